"""Which errors an edit is to blame for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffucli.syntax import languages
from diffucli.syntax.check import CheckResult, check
from diffucli.syntax.compare import mended, new_diagnostics
from diffucli.syntax.languages import LANGUAGES, Language, by_name

PYTHON = by_name("python")
# What a hole stands in, by language; `@` is where it goes.
HOLES = {
    "python": "x = @\n",
    "javascript": "let x = @;\n",
    "typescript": "let x = @;\n",
    "tsx": "let x = @;\n",
    "go": "package p\nfunc f() { x := @ }\n",
    "rust": "fn f() { let x = @; }\n",
    "c": "int f(void) { int x = @; }\n",
    "cpp": "int f() { int x = @; }\n",
    "java": "class A { int x = @; }\n",
    "bash": "x=@\n",
    "json": '{"a": @}\n',
    "html": "<p>@</p>\n",
    "css": "a { color: @; }\n",
}
each_language = pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)


def test_an_error_on_an_old_line_is_not_counted_where_no_parser_can_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython tells only its first error, and the tree that could tell the others took too long."""
    before, after = "a = (\nb = ]\n", "b = ]\n"
    monkeypatch.setattr(languages, "parse", lambda text, language, *, seconds: None)
    assert check(after, PYTHON).diagnostics
    assert new_diagnostics(before, after, PYTHON).diagnostics == ()


def test_an_edit_of_what_cannot_be_checked_has_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Language("absent", (), ("tree_sitter_absent", "language"))
    for verdict in (new_diagnostics("x", "y", absent), new_diagnostics(None, "y", absent), mended("x", "y", absent)):
        assert not verdict.checked
        assert "absent" in verdict.note
    given = []
    monkeypatch.setattr(languages, "parse", lambda text, language, *, seconds: given.append(seconds))
    assert not new_diagnostics("{", "[", by_name("rust")).checked
    assert given == [4.0]


MACROS = "foo bar baz;\nint main() { return 0 1; }\n"


@each_language
@settings(max_examples=10, deadline=None)
@given(st.text("(){};= \nab", max_size=20))
def test_an_edit_that_changes_nothing_is_to_blame_for_nothing(language: Language, text: str) -> None:
    verdict = new_diagnostics(text, text, replace(language, tools=False), seconds=0.5)
    assert not verdict.diagnostics


def test_c_that_already_shows_errors_stays_writable() -> None:
    c = by_name("c")
    assert not check(MACROS, c).ok
    assert new_diagnostics(MACROS, "// one more line\n" + MACROS + "int g(void) { return 1; }\n", c).ok


def test_a_new_error_beside_old_ones_counts_and_so_does_a_second_copy_of_one() -> None:
    c = by_name("c")
    added = new_diagnostics(MACROS, MACROS + "int g(void) { return (1; }\n", c).diagnostics
    assert [(problem.line, problem.message) for problem in added] == [(3, "missing `)`")]
    old = "int g(void) { return (1; }\n"
    assert len(new_diagnostics(old, old + old, c).diagnostics) == 1


@pytest.mark.parametrize("before", [None, "x = 1\n"])
def test_without_earlier_errors_every_problem_counts(before: str | None) -> None:
    assert len(new_diagnostics(before, "x = (\n", PYTHON).diagnostics) == 1


def test_python_that_did_not_compile_may_be_edited_elsewhere() -> None:
    before = "a = 1\nif x:\nprint 'old'\n"
    assert new_diagnostics(before, before.replace("a = 1", "a = 2\nb = 3"), PYTHON).ok


def test_python_that_did_not_compile_is_not_a_licence_to_break_more() -> None:
    before = "a = 1\nb = 2\nprint 'old'\nc = 3\n"
    earlier = new_diagnostics(before, before.replace("a = 1", "a = )"), PYTHON)
    later = new_diagnostics(before, before.replace("c = 3", "c = [3"), PYTHON)
    assert [problem.line for problem in earlier.diagnostics] == [1]
    assert later.diagnostics


def test_mending_the_first_of_two_python_errors_is_not_blamed_for_the_second() -> None:
    before = "x = )\ny = 1\nprint 'old'\n"
    assert new_diagnostics(before, before.replace(")", "1"), PYTHON).ok


def test_a_neutral_hole_hides_no_error_behind_it() -> None:
    after = "try:\n    a()\nb = 1\n"
    assert not new_diagnostics("_\nb = 1\n", after, PYTHON).ok


@each_language
def test_filling_a_hole_is_not_blamed_for_the_holes_own_error(language: Language) -> None:
    text = HOLES[language.name]
    assert new_diagnostics(text.replace("@", "???"), text.replace("@", "1"), language).ok


BROKEN = "x = 1\ny = f'{a!z}'\nz = 3\n"  # an error of the f-string, as one of a later Python is for an earlier


# The ids are those of a collection of edits that once got a wrong verdict; test_judges.py has the others.
@pytest.mark.parametrize(
    ("name", "language", "before", "after", "accepted"),
    [
        ("E25", "python", BROKEN, BROKEN + "return 1\n", False),
        ("E25", "python", BROKEN, BROKEN + "await z\n", False),
        ("E26", "python", "a = (\nb = 1\n", "a = (\nb = (1\n", False),
        ("E26", "javascript", "let a = (;\nlet b = 1;\n", "let a = (;\nlet b = (1;\n", False),
        ("E27", "python", BROKEN, BROKEN + "b = = 1\n", False),
        ("E28", "python", "print 'a'\n", "print 'a'\ndef f():\n    a = 1\n  b = 2\n", True),
        ("E29", "javascript", "let a = ;\nlet b = 1;\n", "let a = 1;\nlet b = ;\n", False),
        ("E30", "javascript", "let a = ;\nlet b = 1;\n", "let b = 1;\nlet a = ;\n", True),
    ],
)
def test_an_edit_of_a_broken_text_gets_the_verdict_of_a_reader(
    name: str, language: str, before: str, after: str, accepted: bool
) -> None:
    verdict = new_diagnostics(before, after, by_name(language))
    assert verdict.ok is accepted, name
    assert verdict.parses is False, name


def test_what_was_wrong_before_is_told_apart() -> None:
    before = "x = = 1\ny = 1\n"
    verdict = new_diagnostics(before, before.replace("y = 1", "y = )"), PYTHON)
    assert [one.line for one in verdict.diagnostics] == [2]
    assert [one.line for one in verdict.old] == [1]
    kept = new_diagnostics(before, before.replace("y = 1", "y = 2"), PYTHON)
    assert (kept.ok, kept.parses, [one.line for one in kept.old]) == (True, False, [1])


def test_where_the_rest_is_sound_every_error_counts_wherever_it_is_reported() -> None:
    before, after = "x = )\ny = f(\nz = 1\n", "y = f(\nz = 1\n"
    assert new_diagnostics(before, after, PYTHON).ok
    assert not new_diagnostics(before, after, PYTHON, sound=True).ok


def test_what_mends_must_leave_fewer_errors() -> None:
    before = "x = = 1\ny = )\n"
    assert mended(before, "x = 1\ny = 2\n", PYTHON) == CheckResult(checked=True)
    half = mended(before, "x = 1\ny = )\n", PYTHON)
    assert (half.ok, [one.line for one in half.old]) == (True, [2])
    none = mended(before, "x = = 2\ny = ]\n", PYTHON)
    assert (sorted(one.line for one in none.diagnostics), none.old) == ([1, 2], ())
    assert not mended("let a = ;\n", "let a = );\n", by_name("js")).ok


def test_a_part_of_a_function_is_judged_as_such() -> None:
    before = "        total = _\n    return total\n"
    assert new_diagnostics(before, before.replace("_", "0"), PYTHON, fragment=True).parses
    assert not new_diagnostics(before, before.replace("_", "("), PYTHON, fragment=True).ok
