"""The real hub client against a hub on loopback: what is cut goes on, what is damaged is named, nothing half done.

The server is tests/hub.py.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from diffucli.errors import BadCheckpoint, DiffuError, ModelError, NoRoom, UsageError
from diffucli.model import config, download, registry, store
from diffucli.model import pull as module
from diffucli.model.pull import offer, pull
from diffucli.units import JobProgress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def _loopback() -> Any:
    spec = importlib.util.spec_from_file_location("loopback_hub", Path(__file__).parents[1] / "hub.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


loopback = _loopback()
Fault, Repository = loopback.Fault, loopback.Repository
NAME, ALIAS = "apple/DiffuCoder-7B-cpGRPO", "diffucoder"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
PUBLISHED = (
    *("config.json", "generation_config.json", "vocab.json", "merges.txt", "added_tokens.json", FIRST, SECOND),
    *("special_tokens_map.json", "tokenizer_config.json", "model.safetensors.index.json"),
)
CODE, PICKLE, CARD = "modeling_dream.py", "pytorch_model.bin", "README.md"


@pytest.fixture
def published(golden, tmp_path) -> Path:
    """The golden checkpoint as its makers publish it: with code, a pickle and a card beside it."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name in PUBLISHED:
        shutil.copyfile(golden / name, folder / name)
    for name in (CODE, PICKLE, CARD):
        (folder / name).write_text("never fetched")
    (folder / "nested").mkdir()
    (folder / "nested" / "config.json").write_text("{}")
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def hub(published, home, tmp_path, monkeypatch) -> Iterator[Any]:
    """The hub, and the client in this process turned to it."""
    with loopback.Hub() as serving:
        serving.repositories[NAME] = Repository(published)
        monkeypatch.setattr(constants, "ENDPOINT", serving.address)
        template = serving.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
        monkeypatch.setattr(download, "WAITS", (0.01, 0.01, 0.01))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
        yield serving
        huggingface_hub.close_session()


def pulled(name: str = ALIAS, revision: str | None = None, **flags: Any) -> list[JobProgress]:
    return list(pull(offer(name, revision=revision), **flags))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def edited(folder: Path, file: str, **changes: object) -> None:
    values = json.loads((folder / file).read_text()) | changes
    (folder / file).write_text(json.dumps(values))


def is_unlisted() -> bool:
    return [entry.name for entry in registry.entries()] == ["mini"]


def refused(kind: type[DiffuError], name: str = ALIAS, **flags: Any) -> str:
    """The one line of a pull that must fail, which leaves no model."""
    with pytest.raises(kind) as caught:
        pulled(name, **flags)
    assert is_unlisted()
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return f"{caught.value.message} ({caught.value.hint})"


# what a pull brings


def test_a_pull_brings_the_checkpoint_and_nothing_that_can_run_code(hub, home, published):
    pulled()
    folder = home / "models" / ALIAS
    assert names(folder) == {*PUBLISHED, store.RECORD}
    assert all((folder / name).read_bytes() == (published / name).read_bytes() for name in PUBLISHED)
    assert not any(hub.asked(name) for name in (CODE, PICKLE, CARD))


def test_the_commit_is_pinned_and_recorded(hub, published):
    commit = hub.repositories[NAME].commit
    pulled()
    record = registry.find(ALIAS).record
    assert record is not None
    assert (record.source, record.revision, record.quant) == (NAME, commit, "none")
    assert (record.licence, record.licence_link) == ("apache-2.0", f"{hub.address}/{NAME}")
    assert record.files[FIRST] == ((published / FIRST).stat().st_size, loopback.etag(published / FIRST))
    assert all(f"/resolve/{commit}/" in request.path for request in hub.requests if "/resolve/" in request.path)


@pytest.mark.parametrize(
    ("card", "licence", "link"),
    [
        ({"license": "apple-amlr"}, "apple-amlr", ""),
        ({"license": "other", "license_name": "own", "license_link": "LICENSE.md"}, "own", "/blob/main/LICENSE.md"),
        ({"license": "other", "license_link": "https://example.org/l"}, "other", "https://example.org/l"),
        ({"license": ["mit", "apache-2.0"]}, "mit, apache-2.0", ""),
        ({}, "", ""),
    ],
)
def test_the_licence_is_known_before_anything_is_fetched(hub, card, licence, link):
    hub.repositories[NAME].card = card
    listing = offer(ALIAS).listing
    assert listing is not None
    assert listing.licence == licence
    assert listing.licence_link == (link if "://" in link else f"{hub.address}/{NAME}{link}")
    assert [(request.method, request.path) for request in hub.requests] == [("GET", f"/api/models/{NAME}")]


def test_a_tag_is_followed_and_a_commit_that_is_here_needs_no_hub(hub, monkeypatch):
    hub.repositories[NAME].tags = ("v1",)
    pulled(revision="v1")
    commit = hub.repositories[NAME].commit
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert offer(ALIAS, revision=commit).installed
    assert pulled(revision=commit) == []


def test_a_second_pull_finds_it_done_and_a_new_commit_replaces_it(hub, published):
    pulled()
    sent = hub.sent
    assert pulled() == []
    assert hub.sent == sent
    edited(published, "generation_config.json", new=True)
    pulled()
    record = registry.find(ALIAS).record
    assert record is not None
    assert record.revision == hub.repositories[NAME].commit


def test_progress_never_goes_back_and_ends_at_the_whole(hub):
    hub.faults[FIRST] = [Fault(cut=200_000), Fault(plain=True, cut=100_000)]
    steps = pulled()
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages == ["fetching", "checking"]
    for stage in stages:
        done = [step.done for step in steps if step.stage == stage]
        assert done == sorted(done)
        assert done[-1] == next(step.total for step in steps if step.stage == stage) == offer(ALIAS).total


def test_the_token_goes_to_the_hub_and_never_to_its_content_network(hub, monkeypatch):
    hub.repositories[NAME].token, hub.repositories[NAME].private = "hf_mine", True
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    pulled()
    assert {request.token for request in hub.requests if request.port == "hub"} == {"hf_mine"}
    assert {request.token for request in hub.requests if request.port == "network"} == {""}


def test_what_the_hub_client_has_in_its_own_cache_is_taken_from_there(hub, published):
    for name in (FIRST, SECOND):
        huggingface_hub.hf_hub_download(NAME, name)
    sent = hub.sent
    pulled()
    assert hub.sent - sent == sum((published / n).stat().st_size for n in PUBLISHED if not n.endswith(".safetensors"))
    assert Path(huggingface_hub.hf_hub_download(NAME, FIRST)).read_bytes() == (published / FIRST).read_bytes()


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
    look = module.look

    def without(repository: str, revision: str | None) -> Any:
        listing = look(repository, revision)
        return replace(listing, files=tuple(replace(file, digest="") for file in listing.files))

    monkeypatch.setattr(module, "look", without)
    pulled()
    folder = registry.find(ALIAS).folder
    assert all((folder / name).read_bytes() == (published / name).read_bytes() for name in PUBLISHED)
    assert {digest for _, digest in registry.find(ALIAS).record.files.values()} == {""}


# what is cut goes on


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


def test_closing_the_generator_stops_the_pull_and_frees_the_model(hub):
    steps = pull(offer(ALIAS))
    next(steps)
    assert not store.is_free(ALIAS)
    steps.close()
    assert store.is_free(ALIAS)
    assert is_unlisted()
    pulled()


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


def test_two_pulls_at_once_do_not_spoil_each_other(hub, published):
    """The second waits and finds it done: each byte is sent once."""
    hub.faults[FIRST] = [Fault(slow=0.02)]
    first, second = pull(offer(ALIAS)), pull(offer(ALIAS))
    next(first)
    steps: list[JobProgress] = []
    thread = threading.Thread(target=lambda: steps.extend(second))
    thread.start()
    rest = list(first)
    thread.join()
    assert rest
    assert steps == [JobProgress("waiting", 0, 0)]
    assert hub.sent == sum((published / name).stat().st_size for name in PUBLISHED)


# what is damaged is named


def test_a_file_damaged_on_its_way_is_named_and_it_alone_is_fetched_again(hub, published):
    hub.faults[FIRST] = [Fault(flip=True)]
    assert FIRST in refused(BadCheckpoint)
    hub.requests.clear()
    pulled()
    assert len([request for request in hub.requests if request.port == "network"]) == 1
    assert (registry.find(ALIAS).folder / FIRST).read_bytes() == (published / FIRST).read_bytes()


def test_a_damaged_small_file_is_named_too(hub):
    hub.faults["generation_config.json"] = [Fault(flip=True)]
    assert "generation_config.json" in refused(BadCheckpoint)


def test_a_truncated_file_is_named(hub):
    hub.faults[FIRST] = [Fault(short=1000), *[Fault(status=416)] * 9]
    told = refused(ModelError)
    assert FIRST in told


def test_weights_that_were_published_damaged_are_named(hub, published):
    (published / SECOND).write_bytes(b"no safetensors file")
    assert SECOND in refused(BadCheckpoint)
    assert SECOND in refused(BadCheckpoint, str(published))


def test_a_file_that_keeps_ending_early_is_named(hub):
    hub.faults[FIRST] = [Fault(plain=True, short=1000)] * 9
    assert f"{FIRST} is truncated: the hub sends 1000 of" in refused(BadCheckpoint)


def test_an_index_that_names_a_shard_too_many_is_refused_before_the_weights(hub, published):
    (published / SECOND).unlink()
    assert SECOND in refused(BadCheckpoint)
    assert not hub.asked(FIRST)


# what the hub refuses


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([Fault(status=429)] * 4, "429"),
        ([Fault(status=500)] * 4, "answers 500"),
        ([Fault(status=503)] * 4, "answers 503"),
        ([Fault(status=403)], "forbids"),
        ([Fault(short=1)], "does not answer as the hub does"),
    ],
)
def test_refusals_of_the_hub_are_one_line_with_a_remedy(hub, faults, told):
    hub.faults["api"] = faults
    assert told in refused(ModelError)


def test_a_busy_hub_is_asked_again_after_the_time_it_names(hub, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(download.time, "sleep", slept.append)
    hub.faults["api"] = [Fault(status=429, headers={"Retry-After": "7"})]
    hub.faults[FIRST] = [Fault(status=503)]
    pulled()
    assert [seconds for seconds in slept if seconds] == [7.0, 0.01]  # zeros are the server's


def test_an_unknown_repository_is_told(hub):
    assert "there is no repository org/none" in refused(ModelError, "org/none")


def test_an_unknown_revision_is_told(hub):
    assert "no revision 'v9'" in refused(ModelError, revision="v9")


def test_a_gated_repository_tells_what_to_do(hub, monkeypatch):
    hub.repositories[NAME].gated, hub.repositories[NAME].token = True, "hf_mine"
    told = refused(ModelError)
    assert "gated" in told
    assert "HF_TOKEN" in told
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert "your token has no access" in refused(ModelError)
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    assert pulled()


def test_a_wrong_token_is_told(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "does not accept your token" in refused(ModelError)


def test_a_private_repository_without_token_is_told(hub):
    hub.repositories[NAME].private, hub.repositories[NAME].token = True, "hf_mine"
    assert "or it is private" in refused(ModelError)


def test_no_network_is_told(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "no connection to http://127.0.0.1:9" in refused(ModelError)


def test_offline_is_told(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refused(ModelError)


# what cannot be run here


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(hub, published):
    for path in published.glob("*.safetensors*"):
        path.unlink()
    assert "pytorch_model.bin, a pickle" in refused(BadCheckpoint)
    assert len(hub.requests) == 1


def test_a_repository_of_gguf_files_is_refused(hub, published):
    for path in published.iterdir():
        path.unlink() if path.is_file() else shutil.rmtree(path)
    (published / "model-q4.gguf").write_bytes(b"GGUF")
    assert "GGUF" in refused(BadCheckpoint)


def test_variable_length_is_refused_by_its_token_before_the_weights(hub, published):
    added = json.loads((published / "added_tokens.json").read_text())
    added["<|expand|>"] = added.pop("<|dlm_pad|>")
    (published / "added_tokens.json").write_text(json.dumps(added))
    assert "<|expand|>" in refused(BadCheckpoint)
    assert not hub.asked(FIRST)


@pytest.mark.parametrize(("kind", "told"), [("llada", "without the shift"), ("qwen2", "'qwen2' is not supported")])
def test_other_families_are_refused_before_the_weights(hub, published, kind, told):
    edited(published, "config.json", model_type=kind)
    assert told in refused(BadCheckpoint)
    assert not hub.asked(FIRST)


# the disk


def test_too_little_room_is_told_in_numbers_before_the_weights(hub, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 9 * 10**5, 10**5))
    told = refused(NoRoom)
    assert "100 kB are free" in told
    assert "DIFFU_HOME" in told
    assert not hub.asked(FIRST)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_fills_up_leaves_a_part_to_go_on_from(hub, tmp_path, monkeypatch):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", small], check=False).returncode:
        pytest.skip("this system lets nobody mount")
    try:
        monkeypatch.setenv("DIFFU_HOME", str(small))
        monkeypatch.setattr(module, "check_room", lambda *_: None)
        assert "is full" in refused(ModelError)
        subprocess.run(["mount", "-o", "remount,size=4m", small], check=True)
        hub.requests.clear()
        pulled()
        assert next(r.range for r in hub.asked(FIRST) if r.port == "network").startswith("bytes=")
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        hub.repositories["org/other"] = hub.repositories[NAME]
        with pytest.raises(ModelError, match="cannot be written"):
            pulled("org/other")
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_cache_that_cannot_be_written_is_told(hub, home):
    home.write_text("a file where the folder should be")
    with pytest.raises(ModelError, match="cannot be written") as caught:
        pulled()
    assert "DIFFU_HOME" in caught.value.hint


# four bits


@pytest.fixture
def quantised(monkeypatch) -> list[Path]:
    """A stand-in for the packing of large checkpoints; returns where each was made."""
    made: list[Path] = []

    def quantize(source: Path, target: Path) -> Iterator[JobProgress]:
        made.append(target)
        shutil.copytree(source, target)
        yield JobProgress("quantising", 1, 1)

    fake = type(sys)("diffucli.model.quantize")
    fake.quantize = quantize  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "diffucli.model.quantize", fake)
    monkeypatch.setattr(module, "has_bitsandbytes", lambda: True)
    return made


def test_a_large_checkpoint_is_packed_and_its_originals_go(hub, home, quantised, monkeypatch):
    monkeypatch.setattr(config, "LARGE_HIDDEN_SIZE", 64)
    assert pulled()[-1].stage == "quantising"
    record = registry.find(ALIAS).record
    assert record is not None
    assert record.quant == "nf4"
    assert not store.download_dir(ALIAS).exists()
    assert not any(store.root().joinpath(".made").iterdir())
    assert download.NOTE not in names(registry.find(ALIAS).folder)


def test_keep_original_keeps_them_and_another_packing_needs_no_download(hub, quantised):
    pulled(quant="nf4", keep_original=True)
    assert names(store.download_dir(ALIAS)) == {*PUBLISHED, download.NOTE}
    sent = hub.sent
    pulled(quant="none", keep_original=True)
    assert hub.sent == sent
    assert registry.find(ALIAS).record.quant == "none"  # type: ignore[union-attr]
    registry.remove(ALIAS)
    assert not store.download_dir(ALIAS).exists()


@pytest.mark.parametrize("renames", [1, 2])
def test_a_pull_that_is_killed_while_it_replaces_a_model_goes_through_in_the_next(hub, published, renames, monkeypatch):
    """The old model is back before anything is asked of the hub, and nothing of it is left afterwards."""
    pulled()
    edited(published, "generation_config.json", new=True)
    rename, done = Path.rename, []

    def killed(path: Path, target: Path) -> Path:
        done.append(target)
        if len(done) == renames:
            raise SystemExit("as a kill: nothing catches it")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(SystemExit):
            pulled()
    sent = hub.sent
    offered = offer(ALIAS)
    assert registry.find(ALIAS).record.revision != offered.listing.commit  # type: ignore[union-attr]
    list(pull(offered))
    assert hub.sent == sent
    assert registry.find(ALIAS).record.revision == offered.listing.commit  # type: ignore[union-attr]
    assert store.leftovers(ALIAS) == [store.model_dir(ALIAS)]


def test_a_stopped_packing_is_no_model_and_goes_on_without_a_download(hub, quantised, monkeypatch):
    steps = pull(offer(ALIAS), quant="nf4")
    for step in steps:
        if step.stage == "quantising":
            break
    steps.close()
    assert is_unlisted()
    sent = hub.sent
    pulled(quant="nf4")
    assert hub.sent == sent
    assert registry.find(ALIAS).record


@pytest.mark.parametrize("flags", [{"quant": "none"}, {"quant": "nf4"}, {"quant": "none", "keep_original": True}])
def test_what_stops_just_before_the_end_costs_no_second_download(hub, quantised, monkeypatch, flags):
    with monkeypatch.context() as patch:
        patch.setattr(module, "_record", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pulled(**flags)
    assert is_unlisted()
    sent = hub.sent
    pulled(**flags)
    assert hub.sent == sent
    assert names(registry.find(ALIAS).folder) == {*PUBLISHED, store.RECORD}


def test_without_bitsandbytes_a_packing_is_refused_before_the_weights(hub, monkeypatch):
    monkeypatch.setattr(module, "has_bitsandbytes", lambda: False)
    assert "--quant none" in refused(UsageError, quant="nf4")
    assert not hub.asked(FIRST)


PACKED = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}


def test_a_checkpoint_that_is_published_in_four_bits_is_recorded_so_and_is_not_packed_again(hub, published, quantised):
    edited(published, "config.json", quantization_config=PACKED)
    pulled()
    assert quantised == []
    assert registry.find(ALIAS).record.quant == "nf4"  # type: ignore[union-attr]
    assert pulled(quant="nf4") == []


def test_a_folder_in_four_bits_is_recorded_so(home, published):
    edited(published, "config.json", quantization_config=PACKED)
    pulled(str(published))
    assert registry.find("published").record.quant == "nf4"  # type: ignore[union-attr]


def test_no_packing_cannot_be_had_of_a_checkpoint_in_four_bits(hub, published):
    edited(published, "config.json", quantization_config=PACKED)
    for name in (ALIAS, str(published)):
        assert "in four bits as it is published (leave --quant none out)" in refused(UsageError, name, quant="none")
    assert not hub.asked(FIRST)


# folders


def test_a_folder_is_copied_and_stays(home, golden):
    before = names(golden)
    pulled(str(golden))
    entry = registry.find("tiny-dream")
    assert entry.record is not None
    assert entry.record.source == str(golden.resolve())
    assert names(entry.folder) >= {*PUBLISHED, store.RECORD}
    assert "golden-logits.safetensors" not in names(entry.folder)
    assert names(golden) == before


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("difucoder", "did you mean diffucoder"),
        ("llama", "known: diffucoder"),
        ("mini", "part of diffu"),
        ("model-q4.gguf", "a GGUF file"),
        ("./nowhere", "there is no folder"),
        ("org/a/b", "no model called"),
        ("", "no model called"),
    ],
)
def test_names_that_mean_nothing_are_refused_without_asking(hub, name, told):
    assert told in refused(UsageError, name)
    assert not hub.requests


def test_a_folder_that_is_no_checkpoint_is_refused(home, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    assert "lacks config.json" in refused(BadCheckpoint, str(folder))


def test_a_name_that_is_taken_by_another_source_is_refused(home, golden, tmp_path):
    pulled(str(golden))
    other = shutil.copytree(golden, tmp_path / "tiny-dream")
    with pytest.raises(UsageError, match="there is a model tiny-dream"):
        pulled(str(other))


@pytest.mark.parametrize("address", [f"https://huggingface.co/{NAME}", f"https://hf.co/{NAME}/", NAME, NAME.lower()])
def test_a_repository_goes_by_its_alias_however_it_is_named(hub, address):
    hub.repositories[NAME.lower()] = hub.repositories[NAME]
    assert offer(address).origin.name == ALIAS


# the command


def run(hub: Any, home: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "diffucli", "model", *arguments],
        env=environment(hub, home, env),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def environment(hub: Any, home: Path, more: Mapping[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return kept | {"HF_ENDPOINT": hub.address, "HF_HOME": str(home / "hf"), "DIFFU_HOME": str(home)} | dict(more)


def test_the_command_pulls_by_the_environment_alone(hub, home):
    hub.repositories[NAME].token, hub.repositories[NAME].private = "hf_mine", True
    done = run(hub, home, "pull", ALIAS, "-y", HF_TOKEN="hf_mine")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "licence: apache-2.0" in done.stderr.splitlines()[0]
    assert f"{ALIAS} is here" in done.stderr.splitlines()[-1]
    again = run(hub, home, "pull", ALIAS, "--json", HF_TOKEN="hf_mine")
    assert again.stderr == ""
    assert json.loads(again.stdout)["fetched"] is False


def test_without_a_terminal_the_licence_needs_a_flag(hub, home):
    done = run(hub, home, "pull", ALIAS)
    assert done.returncode == 2
    assert "apache-2.0" in done.stderr
    assert "-y" in done.stderr.splitlines()[-1]
    assert not any("/resolve/" in request.path for request in hub.requests)


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of its own")
@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 2), (b"y\n", 0), (b"\x03", -signal.SIGINT)])
def test_on_a_terminal_the_licence_is_asked_for(hub, home, answer, code):
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "diffucli", "model", "pull", ALIAS]
    with subprocess.Popen(
        command, env=environment(hub, home, {}), stdin=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        told = b""
        while b"[y/N]" not in told:
            told += os.read(ours, 4096)
        if answer != b"\x03":
            os.write(ours, answer)
        while (
            answer == b"\x03" and process.poll() is None
        ):  # one that comes just before the read begins is not seen by it
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        with contextlib.suppress(OSError):
            while more := os.read(ours, 4096):
                told += more
    os.close(ours)
    assert process.returncode == code
    assert b"apache-2.0" in told
    assert b"internal" not in told
    assert is_unlisted() is (code != 0)


def test_offline_the_command_fails_with_exit_code_4(hub, home):
    done = run(hub, home, "pull", ALIAS, "-y", HF_HUB_OFFLINE="1")
    assert done.returncode == 4
    assert "HF_HUB_OFFLINE" in done.stderr
    assert not hub.requests


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_ctrl_c_stops_the_command_by_its_signal_and_the_next_resumes(hub, home):
    hub.faults[FIRST] = [Fault(slow=0.5)]
    command = [sys.executable, "-m", "diffucli", "model", "pull", ALIAS, "-y"]
    process = subprocess.Popen(command, env=environment(hub, home, {}), stderr=subprocess.PIPE, text=True)
    part = home / "models" / ".fetched" / ALIAS / f"{FIRST}.part"
    wait_until(lambda: part.exists() and hub.sent > 150_000)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert "the same command goes on from there" in told
    again = run(hub, home, "pull", ALIAS, "-y")
    assert again.returncode == 0, again.stderr
    assert any(line.startswith("resuming at ") for line in again.stderr.splitlines())


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is a signal")
def test_a_killed_pull_leaves_no_lock_and_no_model(hub, home):
    hub.faults[FIRST] = [Fault(slow=0.5)]
    command = [sys.executable, "-m", "diffucli", "model", "pull", ALIAS, "-y", "-q"]
    process = subprocess.Popen(command, env=environment(hub, home, {}))
    wait_until(lambda: hub.sent > 150_000)
    process.kill()
    process.wait()
    assert is_unlisted()
    assert store.is_free(ALIAS)
    assert pulled()


def wait_until(condition: Any) -> None:
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)
