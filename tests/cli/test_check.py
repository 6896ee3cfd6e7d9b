"""`diffu check`: file:line:col of what does not parse, and exit 1."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from diffucli.syntax import newer, tools
from diffucli.syntax.check import CheckResult


def test_what_parses_is_silent_and_0(diffu):
    Path("good.py").write_text("x = 1\n")
    done = diffu("check", "good.py")
    assert (done.code, done.out, done.err) == (0, b"", "")
    assert diffu("check", "good.py", "-v").err == "1 checked, nothing found\n"


def test_places_are_told_for_every_file_and_language(diffu):
    Path("a.py").write_text("x = 1\nif x\n    pass\n")
    Path("b.js").write_text("let x = ;\n")
    Path("c.json").write_text("{}\n")
    done = diffu("check", "a.py", "b.js", "c.json")
    assert done.code == 1
    first, second = done.out.decode().splitlines()
    assert first == "a.py:2:5: expected ':'"
    assert second.startswith("b.js:1:")


def test_stdin_is_checked_by_its_name_its_language_or_as_python(diffu):
    assert diffu("check", stdin=b"x = 1\n").code == 0
    assert diffu("check", "-", stdin=b"let x = 1;\n").out.startswith(b"<stdin>:1:")
    assert diffu("check", "-", "-l", "js", stdin=b"let x = 1;\n").code == 0
    assert diffu("check", "-", "--stdin-filename", "a.js", stdin=b"let x = ;\n").out.startswith(b"a.js:1:")


def test_json_tells_the_same_and_its_status_is_the_exit_code(diffu):
    Path("bad.py").write_text("def f(:\n")
    done = diffu("check", "bad.py", "--json")
    told = json.loads(done.out)
    assert (told["schema"], told["status"], done.code) == ("diffu.check/1", 1, 1)
    assert told["files"] == [
        {
            "file": "bad.py",
            "parses": False,
            "problems": [{"line": 1, "column": 7, "message": "invalid syntax"}],
            "notes": [],
        }
    ]
    assert done.err == ""


def test_no_verdict_is_no_pass(diffu, monkeypatch):
    monkeypatch.setattr(
        "diffucli.syntax.check.check", lambda *_, **__: CheckResult(checked=False, note="not checked: no grammar")
    )
    done = diffu("check", stdin=b"x")
    assert (done.code, done.out, done.err) == (1, b"", "diffu: <stdin>: not checked: no grammar\n")
    assert json.loads(diffu("check", "--json", stdin=b"x").out)["files"][0]["parses"] is None


@pytest.mark.parametrize("name", ["naïve ☃.py", "a\x1b[31mb.py"])
def test_odd_names_are_told_without_steering_the_terminal(diffu, name):
    Path(name).write_text("(\n")
    out = diffu("check", name).out
    assert b"\x1b" not in out
    assert out.endswith(b":1:1: '(' was never closed\n")


def test_what_cannot_be_read_does_not_keep_the_others_from_being_checked(diffu):
    Path("latin.py").write_bytes("é = 1\n".encode("latin-1"))
    Path("notes.txt").write_text("x")
    Path("bad.py").write_text("(\n")
    done = diffu("check", "latin.py", "nosuch.py", "bad.py", "notes.txt")
    assert done.code == 2
    assert done.out.decode().startswith("bad.py:1:")
    assert [line.split(":")[1].strip() for line in done.lines] == ["latin.py", "nosuch.py", "notes.txt"]
    told = json.loads(diffu("check", "latin.py", "bad.py", "--json").out)
    assert (told["status"], [one["parses"] for one in told["files"]]) == (2, [None, False])
    assert "is not valid utf-8" in told["files"][0]["error"]


def test_no_tools_asks_no_program(diffu, monkeypatch):
    asked = []
    monkeypatch.setattr(tools, "ask", lambda name, text, **_: asked.append(name))
    Path("a.sh").write_text("#!/bin/sh\necho a\n")
    Path("b.mjs").write_text("export const a = 1;\n")
    assert diffu("check", "a.sh", "b.mjs").code == 0
    assert asked == ["sh", "module"]
    assert diffu("check", "a.sh", "b.mjs", "--no-tools").code == 0
    assert asked == ["sh", "module"]


def test_a_file_newer_than_the_interpreter_is_told_and_no_error(diffu, monkeypatch):
    Path("a.py").write_text("def f[T](x): return f'{x['a']}'\n")
    monkeypatch.setattr(newer, "version", lambda: "3.x")
    done = diffu("check", "a.py")
    assert (done.code, done.out) == (0, b"")
    if sys.version_info < (3, 12):
        assert done.err == "diffu: a.py: judged by Python 3.x, for which the text is too new\n"


def test_a_file_newer_than_its_project_is_told_and_no_error(diffu):
    Path("pyproject.toml").write_text('[project]\nrequires-python = ">=3.7"\n')
    Path("a.py").write_text("x = (a := 1)\n")
    note = (
        "line 1 has `:=`, which needs Python 3.8; the lowest of this project is 3.7 (requires-python in pyproject.toml)"
    )
    done = diffu("check", "a.py")
    assert (done.code, done.out, done.err) == (0, b"", f"diffu: a.py: {note}\n")
    assert json.loads(diffu("check", "a.py", "--json").out)["files"][0]["notes"] == [note]
    assert diffu("check", "-", "--stdin-filename", "a.py", stdin=b"(a := 1)\n").err == f"diffu: a.py: {note}\n"
    assert diffu("check", "-", stdin=b"(a := 1)\n").err == ""


def test_the_name_tells_the_dialect(diffu):
    for name in ("a.json", "tsconfig.json"):
        Path(name).write_text('{"a": 1, // note\n}\n')
    Path("a.h").write_text("class A { std::string n() const; };\n")
    assert diffu("check", "a.json").code == 1
    assert diffu("check", "tsconfig.json", "a.h", "--no-tools").code == 0
