"""Whatever comes from a file, a hub or a model reaches a terminal as one line that steers nothing."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from diffucli import doctor
from diffucli.cli import pull, streams
from diffucli.cli.report import Report, tell
from diffucli.doctor import Finding, Probe
from diffucli.model.hub import Listing, Remote

HOSTILE = "a\x1b]0;owned\x07\x9b2J\u202eb\u2066\nfake row\r"
NAME = HOSTILE.replace("/", "") + ".py"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Bytes(io.BytesIO):
    """Bytes that may go to a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class Out(io.TextIOWrapper):
    """A stdout that may be a terminal."""

    def __init__(self, encoding: str, *, terminal: bool) -> None:
        super().__init__(Bytes(terminal=terminal), encoding)


def require_harmless(done, *, lines: int | None = None) -> None:
    told = done.out.decode() + done.err
    assert "␛" in told or "\\x9b" in told or "\\u202e" in told, "the field is printed"
    assert not STEERING.search(told)
    assert not any(line.startswith("fake row") for line in told.splitlines())
    assert lines is None or len(told.splitlines()) == lines


@pytest.fixture
def folder(golden, tmp_path) -> Path:
    """A checkpoint to be made hostile."""
    return Path(shutil.copytree(golden, tmp_path / "ckpt"))


def edited(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("words", ["check", "fill", "fill -w"])
def test_names_of_files(diffu, words):
    Path(NAME).write_text("x = (\n")
    require_harmless(diffu(*words.split(), NAME), lines=1)


@pytest.mark.parametrize(
    "words", ["check", "fill", "gen x -o", "gen x -c", "gen x -m", "model pull", "model use", "undo"]
)
def test_names_of_nothing(diffu, words):
    require_harmless(diffu(*words.split(), HOSTILE + "/x"), lines=1)


@pytest.mark.parametrize("flags", ["-r", "-l", "--length", "--preset"])
def test_values_of_flags(diffu, flags):
    Path("a.py").write_text("x = 1\n")
    require_harmless(diffu("fill", "a.py", *flags.split(), HOSTILE), lines=1)


def test_names_in_a_list_of_writes(diffu, says):
    says("1")
    Path(NAME).write_text("x = ???\n")
    assert diffu("fill", NAME, "-w", "-q").code == 0
    require_harmless(diffu("undo", "--list"), lines=1)
    require_harmless(diffu("undo"), lines=1)


def test_what_a_message_quotes_of_a_file(diffu):
    Path("a.js").write_text(f"let x = {HOSTILE!s};\n")
    require_harmless(diffu("check", "a.js"))
    Path("b.js").write_text("class A { 'a\x1b[2Jb'() {} }\n")
    require_harmless(diffu("fill", "b.js", "-r", "nope"), lines=1)


def test_a_refused_text(diffu, says):
    says("(\x1b]0;owned\x07\x9b")
    Path("a.py").write_text("x = ???\n")
    require_harmless(diffu("fill", "a.py", "-w"))


def test_the_default_model(diffu, tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DIFFU_MODEL")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.json").write_text(json.dumps({"model": HOSTILE}))
    require_harmless(diffu("model", "path"), lines=1)


def test_tokens_and_folders_of_a_checkpoint(diffu, folder):
    names = json.loads((folder / "added_tokens.json").read_text())
    edited(folder / "added_tokens.json", **{HOSTILE: max(names.values()) + 1})
    require_harmless(diffu("model", "show", folder))
    moved = folder.rename(folder.with_name(HOSTILE))
    require_harmless(diffu("model", "path", moved), lines=1)


@pytest.mark.parametrize("key", ["model_type", "hidden_act", "rope_scaling", "vocab_size", "quantization_config"])
def test_values_of_a_config(diffu, folder, key):
    edited(folder / "config.json", **{key: HOSTILE})
    done = diffu("gen", "x", "-m", folder)
    assert not STEERING.search(done.err)
    assert len(done.lines) == 1


def test_names_of_shards_and_tensors(diffu, folder, checkpoint):
    index = folder / "model.safetensors.index.json"
    edited(index, weight_map={"x": f"{HOSTILE}.safetensors"})
    require_harmless(diffu("gen", "x", "-m", folder), lines=1)
    index.unlink()
    save_file({HOSTILE: checkpoint.network.model.lm_head.weight.clone()}, folder / "model.safetensors")
    assert not STEERING.search(diffu("gen", "x", "-m", folder).err)


def test_what_a_hub_says_of_a_licence(diffu, monkeypatch):
    """The question wrote the name of the licence to the terminal as it was."""
    listing = Listing("org/name", "0" * 40, HOSTILE, HOSTILE, (Remote("config.json", 7, ""),))
    monkeypatch.setattr("diffucli.model.offer.look", lambda *_: listing)
    monkeypatch.setattr("diffucli.model.offer.files_of", lambda listing: listing.files)
    require_harmless(diffu("model", "pull", "org/name", "-v"), lines=3)


def test_a_question(monkeypatch):
    given: list[str] = []
    monkeypatch.setattr(sys, "stdin", Out("utf-8", terminal=True))
    monkeypatch.setattr(sys, "stderr", Out("utf-8", terminal=True))
    monkeypatch.setattr("typer.confirm", lambda question, **_: not given.append(question))
    assert pull.confirmed(f"Do you accept {HOSTILE}?")
    assert given == ["Do you accept a␛]0;owned␇\\x9b2J\\u202eb\\u2066\\nfake row␍?"]


def test_findings_of_doctor(diffu, monkeypatch):
    probe = Probe("model", lambda: Finding("model", "bad", HOSTILE, HOSTILE))
    monkeypatch.setattr(doctor, "probes", lambda: (probe,))
    require_harmless(diffu("doctor"), lines=3)


@pytest.mark.parametrize("say", ["notice", "say", "warn", "note"])
def test_every_way_to_say_something(capsys, say):
    getattr(Report(verbose=True), say)(HOSTILE)
    tell(HOSTILE)
    told = capsys.readouterr()
    for text in (told.out, told.err):
        assert text.count("\n") == 1
        assert not STEERING.search(text)


RESULT = "x = 1\r\n\ty = 'ä\u200d'\n".encode()


@pytest.mark.parametrize(
    ("data", "encoding", "shown"),
    [
        (RESULT, "utf-8", RESULT),
        (b"\x1b[2J\x7f\r\x00", "utf-8", "␛[2J␡␍␀".encode()),
        (b"\x1b\x9b", "ascii", b"\\x1b\\x9b"),
        ("\x9b\u202e\u2069".encode(), "utf-8", b"\\x9b\\u202e\\u2069"),
        (b"\x9b \xe4", "utf-8", b"\\x9b \xe4"),
        ("\x85ä".encode("latin-1"), "latin-1", b"\\x85\xe4"),
    ],
)
def test_a_result_steers_no_terminal_and_stays_as_it_is_elsewhere(monkeypatch, data, encoding, shown):
    for terminal, expected in ((True, shown), (False, data)):
        out = Out(encoding, terminal=terminal)
        monkeypatch.setattr(sys, "stdout", out)
        streams.put(data)
        assert out.buffer.getvalue() == expected
