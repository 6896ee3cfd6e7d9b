"""The request of gen comes from one place, and files and stdin are context behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffucli.cli import request, streams
from diffucli.cli.request import GenInput
from diffucli.errors import UsageError


@pytest.fixture
def stdin(monkeypatch):
    """stdin("text"): what a pipe brings."""

    def given(text: str) -> None:
        monkeypatch.setattr(streams, "stdin_is_given", lambda: True)
        monkeypatch.setattr(streams, "read_stdin", text.encode)

    monkeypatch.setattr(streams, "stdin_is_given", lambda: False)
    return given


def test_a_request_alone_is_itself_stripped(stdin):
    assert GenInput(" set x ").parts() == ("set x", [])
    Path("r.txt").write_text("set y\n")
    assert GenInput(file=Path("r.txt")).parts() == ("set y", [])


@pytest.mark.parametrize("given", [GenInput(), GenInput("-"), GenInput(file=Path("-"))])
def test_a_request_on_stdin(stdin, given):
    stdin("set x\n")
    assert given.parts() == ("set x", [])


def test_contexts_follow_in_fences_and_stdin_is_the_last(stdin):
    stdin("b = 2\n")
    Path("a.py").write_text("a = 1\n")
    Path("empty.py").write_text("\n")
    wanted = GenInput("use a", context=[Path("a.py"), Path("empty.py")])
    assert wanted.parts() == ("use a", ["a = 1", "b = 2"])
    assert request.joined("use a", ["a = 1", "b = 2"]) == "use a\n\n```\na = 1\n```\n\n```\nb = 2\n```"


def test_without_any_request_a_hint_shows_one(stdin):
    with pytest.raises(UsageError, match="there is no request") as refused:
        GenInput().parts()
    assert refused.value.hint == request.NO_REQUEST


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (GenInput("set x", file=Path("r.txt")), "a PROMPT and -f are two requests"),
        (GenInput("-", context=[Path("-")]), "stdin can be read only once"),
        (GenInput("use", context=[Path("-"), Path("-")]), "stdin can be read only once"),
        (GenInput("  "), "the request is empty"),
        (GenInput("-"), "the request in stdin is empty"),
    ],
)
def test_mistakes_are_refused(stdin, given, message):
    stdin(" ")
    with pytest.raises(UsageError, match=message):
        given.parts()
