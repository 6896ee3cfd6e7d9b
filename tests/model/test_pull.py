"""A pull brings a whole model or none: what is fetched, packed, refused, and what a stop at any point leaves.

The real client talks to a hub on loopback, tests/hub.py.
"""

from __future__ import annotations

import contextlib
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

import adapters
import loopback_hub as loopback
import pytest
from huggingface_hub import constants
from loopback_hub import Fault
from pulling import (
    ALIAS,
    CARD,
    CODE,
    FIRST,
    NAME,
    PICKLE,
    PUBLISHED,
    SECOND,
    edited,
    is_unlisted,
    names,
    pulled,
    refused,
)

from diffucli.cli import app
from diffucli.errors import BadCheckpoint, ModelError, NoRoom, UsageError
from diffucli.model import config, families, registry, store
from diffucli.model import pull as module
from diffucli.model.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from diffucli.model.families import OPEN_DCODER
from diffucli.model.load import load
from diffucli.model.offer import offer, offer_adapter
from diffucli.model.pull import is_done, pull, pull_adapter
from diffucli.units import JobProgress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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


def test_a_tag_is_followed_and_a_commit_that_is_here_needs_no_hub(hub, monkeypatch):
    hub.repositories[NAME].tags = ("v1",)
    pulled(revision="v1")
    commit = hub.repositories[NAME].commit
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert offer(ALIAS, revision=commit).listing.commit == commit
    assert pulled(revision=commit) == []


@pytest.mark.parametrize("why", ["HF_HUB_OFFLINE is set", "no connection to"])
def test_a_model_that_is_here_is_here_without_the_hub_too(hub, monkeypatch, why):
    pulled()
    if why.startswith("HF"):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    offered = offer(NAME)
    assert offered.unasked.startswith(why)
    assert is_done(offered)
    with pytest.raises(ModelError, match=why):
        offer(ALIAS, revision="v1")
    with pytest.raises(ModelError, match=why):
        offer("org/other")


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


def test_closing_the_generator_stops_the_pull_and_frees_the_model(hub):
    steps = pull(offer(ALIAS))
    next(steps)
    assert not store.is_free(ALIAS)
    steps.close()
    assert store.is_free(ALIAS)
    assert is_unlisted()
    pulled()


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


def test_weights_that_were_published_damaged_are_named(hub, published):
    (published / SECOND).write_bytes(b"no safetensors file")
    assert SECOND in refused(BadCheckpoint)
    assert SECOND in refused(BadCheckpoint, str(published))


def test_an_index_that_names_a_shard_too_many_is_refused_before_the_weights(hub, published):
    (published / SECOND).unlink()
    assert SECOND in refused(BadCheckpoint)
    assert not hub.asked(FIRST)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("model-1-of-2.safetensors", "model-2-of-2.safetensors"),
        ("model.safetensors-00001-of-00002.safetensors", "model.safetensors-00002-of-00002.safetensors"),
        ("pytorch_model-00001-of-000002.safetensors", "pytorch_model-00002-of-000002.safetensors"),
    ],
)
def test_shards_may_be_numbered_in_any_way(hub, published, first, second):
    index = published / "model.safetensors.index.json"
    index.write_text(index.read_text().replace(FIRST, first).replace(SECOND, second))
    (published / FIRST).rename(published / first)
    (published / SECOND).rename(published / second)
    (published / "consolidated-1-of-1.safetensors").write_text("in another layout")
    pulled()
    assert {path.name for path in registry.find(ALIAS).folder.glob("*.safetensors")} == {first, second}


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
    assert "holds GGUF files, which diffu does not read (pull the original, whose" in refused(BadCheckpoint)
    (published / "config.json").write_text("{}")
    hub.repositories[NAME].card = {"base_model": ["org/original"]}
    assert "holds GGUF files, which diffu does not read (pull the original: diffu model pull org/original)" in refused(
        BadCheckpoint
    )
    assert {request.path for request in hub.requests} == {f"/api/models/{NAME}"}


def test_an_adapter_is_told_from_a_checkpoint(hub, published):
    (published / "config.json").rename(published / "adapter_config.json")
    hub.repositories[NAME].card = {"base_model": "org/original"}
    assert refused(BadCheckpoint) == (
        f"{NAME} holds an adapter for a model, and no checkpoint (diffu model pull org/original --adapter {NAME})"
    )


def test_weights_in_fp8_are_refused_by_what_the_hub_says_of_them_though_the_config_is_silent(hub, published):
    hub.repositories[NAME].parameters = {"BF16": 9, "F8_E4M3": 90}
    hub.repositories[NAME].card = {"base_model": "org/original"}
    told = refused(BadCheckpoint)
    assert (
        "holds weights in F8_E4M3, which diffu does not read (pull the original: diffu model pull org/original)" in told
    )
    assert {request.path for request in hub.requests} == {f"/api/models/{NAME}"}
    hub.repositories[NAME].parameters = {"BF16": 99}
    pulled()


@pytest.mark.parametrize(
    ("changes", "form"),
    [
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "AWQ with 4 bits"),
        ({"quantization": {"group_size": 64, "bits": 8}}, "MLX's format with 8 bits"),
    ],
)
@pytest.mark.parametrize("base", ["", "org/original"])
def test_weights_in_another_form_are_refused_before_they_are_fetched_and_the_original_is_named(
    hub, published, changes, form, base
):
    edited(published, "config.json", **changes)
    hub.repositories[NAME].card = {"base_model": base}
    told = refused(BadCheckpoint)
    assert form in told
    assert ("diffu model pull org/original" in told) is bool(base)
    assert not hub.asked(FIRST)
    assert told.startswith(f"{NAME}: ")
    assert form in refused(BadCheckpoint, str(published))


def test_a_network_that_is_not_built_is_refused_by_its_repository_and_is_not_fetched_again(hub, published):
    edited(published, "config.json", rope_parameters={"rope_theta": 1e6, "rope_type": "yarn", "factor": 4.0})
    told = refused(BadCheckpoint)
    assert told.startswith(f"{NAME} cannot be run: rope_parameters ")
    assert "brings one that runs" in told
    assert "fetch" not in told
    assert not hub.asked(FIRST)


@pytest.mark.parametrize(
    ("kind", "told"), [("llada_moe", "layers of several experts"), ("llama", "no diffusion model")]
)
def test_other_families_are_refused_before_the_weights(hub, published, kind, told):
    edited(published, "config.json", model_type=kind)
    assert told in refused(BadCheckpoint)
    assert not hub.asked(FIRST)


def test_open_dcoders_mask_token_is_known_by_its_repository_alone(hub, home, golden_of, tmp_path):
    """Its sampler adds it where no file names one; so do packing and loading."""
    folder = shutil.copytree(golden_of("p2"), tmp_path / "p2")
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        edited(folder, file, mask_token=None)
    edited(folder, "config.json", mask_token_id=None)
    hub.repositories[OPEN_DCODER] = loopback.Repository(folder)
    pulled(OPEN_DCODER, quant="nf4")
    (entry,) = (each for each in registry.entries() if not each.embedded)
    checkpoint = load(entry.folder, device="cpu")
    assert (checkpoint.family.name, checkpoint.tokenizer.mask) == ("open-dcoder", 489)
    assert registry.facts(entry).family == checkpoint.family == registry.family(entry)
    with pytest.raises(BadCheckpoint, match="names no mask token"):
        pulled(str(folder))


# the disk


def test_too_little_room_is_told_in_numbers_before_the_weights(hub, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 9 * 10**5, 10**5))
    told = refused(NoRoom)
    assert "100 kB are free" in told
    assert "DIFFU_HOME" in told
    assert not hub.asked(FIRST)


def test_small_files_need_room_too(hub, published, monkeypatch):
    """A tokenizer_config.json of a gigabyte filled a small disk before anybody reckoned."""
    free = sum((published / name).stat().st_size for name in PUBLISHED) - 1
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 9 * 10**5, free))
    refused(NoRoom)
    assert len(hub.requests) == 1, "the listing, and no file"


@pytest.mark.parametrize("name", ["tokenizer_config.json", "chat_template.jinja"])
def test_a_small_file_that_is_none_is_refused_before_it_is_fetched(hub, published, name):
    with (published / name).open("r+b" if (published / name).exists() else "wb") as file:
        file.truncate(20_000_001)
    assert f"{name} has 20.0 MB" in refused(BadCheckpoint)
    assert len(hub.requests) == 1
    assert "20.0 MB" in refused(BadCheckpoint, str(published))


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

    def quantize(source: Path, target: Path, **_: str) -> Iterator[JobProgress]:
        made.append(target)
        shutil.copytree(source, target)
        yield JobProgress("quantising", 1, 1)

    fake = type(sys)("diffucli.model.quantize")
    fake.quantize = quantize  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "diffucli.model.quantize", fake)
    monkeypatch.setattr(module, "has_bitsandbytes", lambda: True)
    return made


def test_a_commit_that_is_here_in_another_form_is_pulled_again(hub, quantised):
    pulled()
    commit = hub.repositories[NAME].commit
    pulled(revision=commit, quant="nf4")
    record = registry.find(ALIAS).record
    assert record is not None
    assert (record.revision, record.quant) == (commit, "nf4")


def test_a_large_checkpoint_is_packed_and_its_originals_go(hub, home, quantised, monkeypatch):
    monkeypatch.setattr(config, "LARGE_HIDDEN_SIZE", 64)
    assert pulled()[-1].stage == "quantising"
    record = registry.find(ALIAS).record
    assert record is not None
    assert record.quant == "nf4"
    assert not store.download_dir(ALIAS).exists()
    assert not any(store.root().joinpath(".made").iterdir())


def test_keep_original_keeps_them_and_another_packing_needs_no_download(hub, quantised):
    pulled(quant="nf4", keep_original=True)
    assert names(store.download_dir(ALIAS)) == {*PUBLISHED}
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


def test_a_folder_in_the_store_is_not_pulled_into_it_and_stays_as_it_is(home, golden, tmp_path):
    """A pull moved it away, and deleted it when its copy was in its place."""
    (home / "models").mkdir(parents=True)
    mine = shutil.copytree(golden, home / "models" / "mine")
    (tmp_path / "link").symlink_to(mine)
    before = {path: path.read_bytes() for path in mine.iterdir()}
    for name in (mine, home / "models" / ".." / "models" / "mine", tmp_path / "link"):
        assert f"is in diffu's own store (diffu model use {mine}" in refused(UsageError, str(name))
    assert {path: path.read_bytes() for path in mine.iterdir()} == before


def test_a_folder_of_the_users_own_in_the_place_of_the_model_is_told_before_anything_is_fetched(hub, home):
    mine = home / "models" / ALIAS
    mine.mkdir(parents=True)
    (mine / "mine.txt").touch()
    assert "is no model that diffu pulled" in refused(ModelError)
    assert names(mine) == {"mine.txt"}
    assert not hub.asked(FIRST)


@pytest.mark.parametrize("keep_original", [False, True])
def test_other_files_in_a_linked_folder_of_downloads_stay(hub, home, tmp_path, keep_original):
    elsewhere, downloads = tmp_path / "elsewhere", store.download_dir(ALIAS)
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("mine")
    downloads.parent.mkdir(parents=True)
    downloads.symlink_to(elsewhere)
    pulled(keep_original=keep_original)
    folder = registry.find(ALIAS).folder
    assert names(folder) == {*PUBLISHED, store.RECORD}
    assert not folder.is_symlink()
    assert names(elsewhere) == ({"mine.txt", *PUBLISHED} if keep_original else {"mine.txt"})
    registry.remove(ALIAS)
    assert names(elsewhere) == {"mine.txt"}
    assert not os.path.lexists(downloads)


def test_weights_of_another_model_in_a_linked_folder_of_downloads_are_not_taken_for_its_own(hub, home, tmp_path):
    downloads = store.download_dir(ALIAS)
    downloads.parent.mkdir(parents=True)
    downloads.symlink_to(tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert "is not a file of diffucoder (move it away)" in refused(BadCheckpoint)
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("difucoder", "did you mean diffucoder"),
        ("llama", "did you mean llada"),
        ("gpt", "known: diffucoder"),
        ("mini", "part of diffu"),
        ("model-q4.gguf", "a GGUF file"),
        ("./nowhere", "there is no folder"),
        ("org/a/b", "no model called"),
        ("", "no model called"),
    ],
)
def test_names_that_mean_nothing_are_refused_without_asking(hub, name, told):
    assert told in refused(ModelError, name)
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


def test_offline_the_command_fails_with_exit_code_4_unless_the_model_is_here(hub, home):
    done = run(hub, home, "pull", ALIAS, "-y", HF_HUB_OFFLINE="1")
    assert done.returncode == 4
    assert "HF_HUB_OFFLINE" in done.stderr
    assert not hub.requests
    pulled()
    done = run(hub, home, "pull", ALIAS, HF_HUB_OFFLINE="1")
    assert done.returncode == 0
    assert done.stderr.splitlines()[0].startswith(
        f"whether there is a newer {ALIAS} is not known: HF_HUB_OFFLINE is set"
    )
    assert "diffucoder is here already" in done.stderr.splitlines()[1]


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


# adapters


ADAPTER = "lab/adapter"


@pytest.fixture
def adapter(hub, tmp_path, golden) -> Path:
    """An adapter for the golden checkpoint on the hub, with what its makers put beside it."""
    folder = adapters.write_adapter(tmp_path / "lora", families.read(golden)[0])
    (folder / "README.md").write_text("never fetched")
    (folder / "adapter_model.bin").write_bytes(b"never fetched")
    hub.repositories[ADAPTER] = loopback.Repository(folder, card={"license": "mit", "base_model": NAME})
    return folder


def brought(name: str = ADAPTER) -> list[JobProgress]:
    return list(pull_adapter(offer_adapter(name), store.model_dir(ALIAS)))


def test_an_adapter_is_pulled_beside_its_model_and_is_no_model_itself(hub, home, adapter):
    pulled()
    brought()
    (found,) = registry.adapters()
    assert names(found.folder) == {ADAPTER_CONFIG, ADAPTER_WEIGHTS, store.RECORD}
    assert found.record is not None
    assert (found.name, found.record.licence) == (ADAPTER, "mit")
    assert registry.find_adapter(ADAPTER.upper()) == found
    assert [entry.name for entry in registry.entries()] == ["mini", ALIAS]
    assert is_done(offer_adapter(ADAPTER))
    assert brought() == []
    with pytest.raises(ModelError, match="lab/adapter is an adapter for a model") as caught:
        registry.find(ADAPTER)
    assert caught.value.hint == "-m MODEL --adapter lab/adapter runs them together"
    assert registry.remove(ADAPTER) > 0
    with pytest.raises(ModelError, match="is not pulled yet") as caught:
        registry.find_adapter(ADAPTER)
    assert caught.value.hint == "diffu model pull MODEL --adapter lab/adapter"


def test_an_adapter_that_was_interrupted_goes_on(hub, adapter):
    pulled()
    hub.faults[ADAPTER_WEIGHTS] = [Fault(cut=1000)]
    brought()
    assert [request.range for request in hub.asked(ADAPTER_WEIGHTS) if request.port == "network"] == ["", "bytes=1000-"]


def test_what_is_no_adapter_for_this_model_is_not_installed(hub, adapter, tmp_path, golden):
    """Its settings are refused before its weights are fetched."""
    pulled()
    wider = replace(families.read(golden)[0], intermediate_size=320)
    adapters.write_adapter(adapter, wider)
    with pytest.raises(BadCheckpoint, match="has shape"):
        brought()
    adapters.write_adapter(adapter, wider, use_dora=True)
    hub.requests.clear()
    with pytest.raises(BadCheckpoint, match="lab/adapter sets use_dora to True, which diffu does not support"):
        brought()
    assert not hub.asked(ADAPTER_WEIGHTS)
    (adapter / ADAPTER_WEIGHTS).unlink()
    with pytest.raises(BadCheckpoint, match=r"has no adapter_model\.safetensors but only adapter_model\.bin, a pickle"):
        brought()
    (adapter / ADAPTER_CONFIG).unlink()
    with pytest.raises(BadCheckpoint, match=r"lab/adapter is no adapter: it lacks adapter_config\.json"):
        brought()
    with pytest.raises(UsageError, match="an adapter in a folder is used as it is"):
        offer_adapter(str(tmp_path))
    assert registry.adapters() == ()


def test_the_commands_pull_show_list_and_run_an_adapter(hub, adapter, capsys, tmp_path, monkeypatch):
    """Each with its own licence; of another model of the same shape it is said that it was made for another one."""

    def told(*words: str) -> Any:
        assert app.run([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    monkeypatch.setenv("DIFFU_STATE", str(tmp_path / "state"))
    values = told("model", "pull", ALIAS, "--adapter", ADAPTER, "-y")
    assert (values["licence"], values["adapter"]["name"], values["adapter"]["licence"]) == (
        "apache-2.0",
        ADAPTER,
        "mit",
    )
    assert values["fetched"] is values["adapter"]["fetched"] is True
    assert told("model", "list")["adapters"] == [{"name": ADAPTER, "size": values["adapter"]["size"]}]
    shown = told("model", "show", ADAPTER)
    assert (shown["licence"], shown["adapter_for"], shown["rank"]) == ("mit", "apple/DiffuCoder-7B-Instruct", 4)
    ran = told("gen", "x", "-m", ALIAS, "--adapter", ADAPTER, "--length", "2", "--verify", "off", "--no-log")
    assert (ran["model"], ran["adapter"]) == (ALIAS, ADAPTER)
    assert app.run(["model", "show", ADAPTER]) == app.run(["model", "list"]) == 0
    out = capsys.readouterr().out
    assert "target modules       q_proj, v_proj, up_proj" in out
    assert f"--adapter {ADAPTER} runs it with its model" in out
    assert app.run(["gen", "x", "-m", ALIAS, "--adapter", ADAPTER, "--length", "2", "--verify", "off"]) == 0
    assert f"the adapter was made for apple/DiffuCoder-7B-Instruct, and {ALIAS} is {NAME}" in capsys.readouterr().err
