"""The request of gen comes from one place, and files and stdin are context behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffucli.cli import request, streams
from diffucli.cli.report import Report
from diffucli.cli.request import Context, GenInput
from diffucli.errors import UsageError

TELLING = Report()


@pytest.fixture
def stdin(monkeypatch):
    """stdin("text"): what a pipe brings."""

    def given(text: str) -> None:
        monkeypatch.setattr(streams, "stdin_is_given", lambda: True)
        monkeypatch.setattr(streams, "stdin_comes_along", lambda: True)
        monkeypatch.setattr(streams, "read_stdin", text.encode)

    monkeypatch.setattr(streams, "stdin_is_given", lambda: False)
    monkeypatch.setattr(streams, "stdin_comes_along", lambda: False)
    return given


def test_a_request_alone_is_itself_stripped(stdin):
    assert GenInput(" set x ").parts(TELLING) == ("set x", [])
    Path("r.txt").write_text("set y\n")
    assert GenInput(file=Path("r.txt")).parts(TELLING) == ("set y", [])


@pytest.mark.parametrize("given", [GenInput(), GenInput("-"), GenInput(file=Path("-"))])
def test_a_request_on_stdin(stdin, given):
    stdin("set x\n")
    assert given.parts(TELLING) == ("set x", [])


def test_contexts_follow_in_fences_and_stdin_is_the_last(stdin):
    stdin("b = 2\n")
    Path("a.py").write_text("a = 1\n")
    Path("empty.py").write_text("\n")
    wanted = GenInput("use a", context=[Path("a.py"), Path("empty.py")])
    contexts = [Context(Path("a.py"), "a = 1", 1), Context(Path("-"), "b = 2", 1)]
    assert wanted.parts(TELLING) == ("use a", contexts)
    assert request.joined("use a", contexts) == "use a\n\n```\na = 1\n```\n\n```\nb = 2\n```"


def test_without_any_request_a_hint_shows_one(stdin):
    with pytest.raises(UsageError, match="there is no request") as refused:
        GenInput().parts(TELLING)
    assert refused.value.hint == request.NO_REQUEST


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (GenInput("set x", file=Path("r.txt")), "a PROMPT and -f are two requests"),
        (GenInput("-", context=[Path("-")]), "stdin can be read only once"),
        (GenInput("use", context=[Path("-"), Path("-")]), "stdin can be read only once"),
        (GenInput("-", no_stdin=True), "--no-stdin leaves alone what - names"),
        (GenInput("x", context=[Path("-")], no_stdin=True), "--no-stdin leaves alone what - names"),
        (GenInput(no_stdin=True), "there is no request"),
        (GenInput("  "), "the request is empty"),
        (GenInput("-"), "the request in stdin is empty"),
    ],
)
def test_mistakes_are_refused(stdin, given, message):
    stdin(" ")
    with pytest.raises(UsageError, match=message):
        given.parts(TELLING)


@pytest.mark.parametrize(("text", "told"), [("a\n\n", "2 lines of stdin are"), ("a", "1 line of stdin is")])
def test_what_was_taken_of_stdin_is_told_but_for_the_quiet(stdin, capsys, text, told):
    stdin(text)
    GenInput("use a").parts(TELLING)
    assert capsys.readouterr().err == f"diffu: {told} context (--no-stdin leaves it alone)\n"
    GenInput("use a", context=[Path("-")]).parts(TELLING)
    assert capsys.readouterr().err == f"diffu: {told} context\n", "it is there because it was named"
    for given, report in ((GenInput("use a"), Report(quiet=True)), (GenInput("use a", no_stdin=True), TELLING)):
        given.parts(report)
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("blank", ["", "\n \n"])
def test_a_stdin_without_text_is_no_context_and_not_told(stdin, capsys, blank):
    stdin(blank)
    assert GenInput("use a").parts(TELLING) == ("use a", [])
    assert capsys.readouterr().err == ""
