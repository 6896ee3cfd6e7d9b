"""What is cut goes on where it stopped, what is damaged is named, and no byte is sent twice.

The real client talks to a hub on loopback, tests/hub.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from loopback_hub import Fault
from pulling import (
    ALIAS,
    FIRST,
    NAME,
    PUBLISHED,
    SECOND,
    pulled,
    refused,
)

from diffucli.errors import BadCheckpoint, ModelError
from diffucli.model import download, registry, store
from diffucli.model import hub as client
from diffucli.model import offer as offers
from diffucli.model.offer import offer
from diffucli.model.pull import pull
from diffucli.units import JobProgress


def test_progress_never_goes_back_and_ends_at_the_whole(hub):
    hub.faults[FIRST] = [Fault(cut=200_000), Fault(plain=True, cut=100_000)]
    steps = pulled()
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages == ["fetching", "checking"]
    for stage in stages:
        done = [step.done for step in steps if step.stage == stage]
        assert done == sorted(done)
        assert done[-1] == next(step.total for step in steps if step.stage == stage) == offer(ALIAS).total


def test_what_the_hub_client_has_in_its_own_cache_is_taken_from_there(hub, published):
    for name in (FIRST, SECOND):
        huggingface_hub.hf_hub_download(NAME, name)
    sent = hub.sent
    pulled()
    assert hub.sent - sent == sum((published / n).stat().st_size for n in PUBLISHED if not n.endswith(".safetensors"))
    assert Path(huggingface_hub.hf_hub_download(NAME, FIRST)).read_bytes() == (published / FIRST).read_bytes()


def test_a_file_of_another_commit_is_not_taken_from_the_hub_clients_cache(hub):
    huggingface_hub.hf_hub_download(NAME, FIRST)
    listing = offers.look(NAME, None)
    assert client.cached(listing, FIRST) is not None
    assert client.cached(replace(listing, commit="0" * 40), FIRST) is None


def test_a_cached_file_of_the_wrong_size_is_fetched_anew(hub, published):
    """As where another program was stopped while it wrote there."""
    found = Path(huggingface_hub.hf_hub_download(NAME, FIRST)).resolve()
    found.write_bytes(found.read_bytes()[:-1])
    sent = hub.sent
    pulled()
    assert hub.sent - sent == offer(ALIAS).total
    assert (registry.find(ALIAS).folder / FIRST).read_bytes() == (published / FIRST).read_bytes()


def test_a_file_for_which_the_hub_has_no_digest_is_pulled_all_the_same(hub, published, monkeypatch):
    """Its size alone is compared."""
    look = offers.look

    def without(repository: str, revision: str | None) -> Any:
        listing = look(repository, revision)
        return replace(listing, files=tuple(replace(file, digest="") for file in listing.files))

    monkeypatch.setattr(offers, "look", without)
    pulled()
    folder = registry.find(ALIAS).folder
    assert all((folder / name).read_bytes() == (published / name).read_bytes() for name in PUBLISHED)
    assert {digest for _, digest in registry.find(ALIAS).record.files.values()} == {""}


def test_a_cut_connection_is_taken_up_at_once_from_where_it_broke(hub, published):
    hub.faults[FIRST] = [Fault(cut=200_000)]
    pulled()
    assert [request.range for request in hub.asked(FIRST) if request.port == "network"] == ["", "bytes=200000-"]
    assert hub.sent == sum((published / name).stat().st_size for name in PUBLISHED)


def test_a_pull_that_is_stopped_goes_on_in_the_next(hub, published):
    hub.faults[FIRST] = [Fault(cut=300_000), *[Fault(status=500)] * 4]
    assert "500" in refused(ModelError)
    hub.requests.clear()
    offered = offer(ALIAS)
    small = sum((published / name).stat().st_size for name in PUBLISHED if not name.endswith(".safetensors"))
    assert offered.present == 300_000 + small
    steps = list(pull(offered))
    assert steps[0] == JobProgress("fetching", offered.present, offered.total)
    assert [request.range for request in hub.asked(FIRST) if request.port == "network"] == ["bytes=300000-"]
    assert hub.sent == offered.total, "every byte is sent once, in two pulls together"
    assert registry.find(ALIAS).record


def test_a_part_of_another_commit_is_not_gone_on_with(hub, published):
    hub.faults[SECOND] = [Fault(cut=100_000), *[Fault(status=500)] * 4]
    refused(ModelError)
    content = bytearray((published / SECOND).read_bytes())
    content[-8:] = b"\0" * 8
    (published / SECOND).write_bytes(content)
    pulled()
    assert (registry.find(ALIAS).folder / SECOND).read_bytes() == content


def test_a_server_without_ranges_is_read_from_the_beginning(hub, published):
    hub.faults[FIRST] = [Fault(cut=200_000), Fault(plain=True)]
    pulled()
    assert (registry.find(ALIAS).folder / FIRST).read_bytes() == (published / FIRST).read_bytes()


SMALL = [name for name in PUBLISHED if not name.endswith(".safetensors")]


def damage(path: Path) -> None:
    """One bit in the middle of a file is another."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", [FIRST, "config.json", "vocab.json", "model.safetensors.index.json"])
def test_a_file_damaged_on_its_way_is_fetched_again_and_it_alone(hub, published, name):
    hub.faults[name] = [Fault(flip=True)]
    pulled()
    assert hub.sent == offer(ALIAS).total + (published / name).stat().st_size
    assert (registry.find(ALIAS).folder / name).read_bytes() == (published / name).read_bytes()


@pytest.mark.parametrize("name", [FIRST, "config.json"])
def test_a_file_that_comes_damaged_twice_is_named_and_gone(hub, name):
    hub.faults[name] = [Fault(flip=True)] * 2
    assert f"{name} was damaged in transit" in refused(BadCheckpoint)
    hub.requests.clear()
    pulled()
    assert len([request for request in hub.requests if "/resolve/" in request.path and request.port == "hub"]) == (
        1 if name == FIRST else 3
    ), "what was fetched before is not fetched again"


@pytest.mark.parametrize("name", SMALL)
def test_a_bit_flipped_on_the_disk_makes_no_pull_stuck(hub, published, name):
    hub.faults[FIRST] = [Fault(cut=300_000), *[Fault(status=500)] * 4]
    refused(ModelError)
    damage(store.download_dir(ALIAS) / name)
    pulled()
    folder = registry.find(ALIAS).folder
    assert (folder / name).read_bytes() == (published / name).read_bytes()
    damage(folder / name)
    sent = hub.sent
    pulled()
    assert (folder / name).read_bytes() == (published / name).read_bytes()
    assert hub.sent - sent == (published / name).stat().st_size, "all others are taken from the installed model"


def test_a_truncated_file_is_named(hub):
    hub.faults[FIRST] = [Fault(short=1000), *[Fault(status=416)] * 9]
    told = refused(ModelError)
    assert FIRST in told


def test_a_file_that_keeps_ending_early_is_named(hub):
    hub.faults[FIRST] = [Fault(plain=True, short=1000)] * 9
    assert f"{FIRST} is truncated: the hub sends 1000 of" in refused(BadCheckpoint)


def test_a_busy_hub_is_asked_again_after_the_time_it_names(hub, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(download.time, "sleep", slept.append)
    hub.faults["api"] = [Fault(status=429, headers={"Retry-After": "7"})]
    hub.faults[FIRST] = [Fault(status=503)]
    pulled()
    assert [seconds for seconds in slept if seconds] == [7.0, 0.01]  # zeros are the server's
