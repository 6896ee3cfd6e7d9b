"""What parses, and where it does not."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffucli.syntax import languages
from diffucli.syntax.check import CheckResult, check, is_substantial
from diffucli.syntax.languages import LANGUAGES, Language, by_name

PYTHON = by_name("python")
VALID = {
    "python": "@d\nclass A:\n    async def f(self, /, *a): return [x async for x in a]\n",
    "javascript": "export const f = async (x) => `${x ?? 1}`;\n",
    "typescript": "export function f<T>(x: T): T | null { return x!; }\n",
    "tsx": "const A = () => <div className='a'>{b}</div>;\n",
    "go": "package p\n\nfunc f() error { return nil }\n",
    "rust": "fn f<'a>(x: &'a str) -> Option<()> { g(x)?; None }\n",
    "c": "int f(void) { return 0; }\n",
    "cpp": "template <class T> auto f(T &&x) -> decltype(x) { return x; }\n",
    "java": "class A { int f() { return 1; } }\n",
    "bash": "if [ -n \"$x\" ]; then echo '???'; fi\n",
    "json": '{"a": [1, null, "é"]}\n',
    "html": "<!doctype html><p>a<br><b>c</b></p>\n",
    "css": "a > b { color: red; }\n",
}
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


@each_language
def test_valid_text_parses(language: Language) -> None:
    assert check(VALID[language.name], language) == CheckResult(checked=True)


@each_language
def test_a_hole_is_a_parse_error_exactly_where_the_table_says_so(language: Language) -> None:
    assert check(HOLES[language.name].replace("@", "???"), language).ok is language.hole_is_legal
    assert check(HOLES[language.name].replace("@", "1"), language).ok


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n",
        "if 1:\n  a\n b\n",
        "if 1:\n\ta\n        b\n",
        "try:\n  a\n",
        "print 'x'",
        "return 1",
        "f(a=1, a=2)",
    ],
)
def test_python_rejects_what_cpython_rejects(source: str) -> None:
    """Most of these pass tree-sitter; `return 1` passes ast.parse too."""
    assert not check(source, PYTHON).ok


def test_python_warnings_are_neither_shown_nor_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check("x = '\\d'\nassert (1, 2)\nx is 1\n", PYTHON).ok
        assert is_substantial("x = '\\d'\n", PYTHON)


def test_the_checkers_own_future_imports_do_not_reach_the_text() -> None:
    assert not check("f(x: int)\n", PYTHON).ok
    assert check("from __future__ import annotations\nx: y = 1\n", PYTHON).ok


@pytest.mark.parametrize(
    ("name", "text", "point", "message", "shown"),
    [
        ("python", "é = 'éé'; x = )", (1, 15), "unmatched ')'", ")"),
        ("python", "é = 'éé'; return 1", (1, 11), "'return' outside function", "return 1"),
        ("python", "\ufeffx = )", (1, 6), "unmatched ')'", ")"),
        ("python", "\ufeff)", (1, 2), "unmatched ')'", ")"),
        ("python", "\ufeffa = 1\n)", (2, 1), "unmatched ')'", ")"),
        ("python", "\ufeffa = 1\n)\n", (2, 1), "unmatched ')'", ")"),
        ("javascript", "\ufefflet a = 1;\n)\n", (2, 1), "unexpected `)`", ")"),
        ("python", "a = 1\r\nb = (\r\n", (2, 5), "'(' was never closed", "("),
        ("python", "a = 1\rb = (", (2, 5), "'(' was never closed", "("),
        ("python", "x =\n", (1, 4), "invalid syntax", ""),
        ("python", "x =", (1, 4), "invalid syntax", ""),
        ("python", "x = f(1 2)\n", (1, 7), "invalid syntax. Perhaps you forgot a comma?", "1 2"),
        ("javascript", "let x = [1, (2];\n", (1, 15), "missing `)`", ""),
        ("javascript", "f({ (a] };\n", (1, 5), "unclosed `(`", "("),
        ("javascript", "let é = 'ü';\nlet ü = (1;\n", (2, 11), "missing `)`", ""),
        ("javascript", "function f( {\n return 1;\n}\nlet x = 1;", (1, 11), "unclosed `(`", "("),
        ("go", "package p\n// é\nfunc f() { é := ??? }\n", (3, 17), "unexpected `???`", "???"),
        ("html", "<p>ü</p></i>", (1, 9), "unexpected `</i>`", "</i>"),
        ("html", "<p>ü</p><b>hi", (1, 9), "unclosed `<b>`", "<b>"),
        ("css", "é { color: red; ", (1, 3), "unclosed `{`", "{"),
        ("css", "é { color: red top: 1; }\n", (1, 19), "unexpected `:`; is a `;` missing before it?", ":"),
        ("json", '{"é": [1, }', (1, 7), "unclosed `[`", "["),
        ("json", "[NaN]", (1, 2), "unexpected `NaN`", "NaN"),
        ("python", "a\nx\0y", (2, 2), "source code string cannot contain null bytes", "\0"),
        ("python", "\0", (1, 1), "source code string cannot contain null bytes", "\0"),
    ],
)
def test_problems_stand_where_a_reader_counts_characters(
    name: str, text: str, point: tuple[int, int], message: str, shown: str
) -> None:
    problem = check(text, by_name(name)).diagnostics[0]
    assert ((problem.line, problem.column), problem.message) == (point, message)
    assert text[problem.start : problem.stop] == shown


@pytest.mark.parametrize(
    "source",
    [
        "x\0y",
        "x = '\ud800'",
        "x = " + "-" * 100_000 + "1",
        "x = " + "1 + " * 100_000 + "1",
        "x = " + "(" * 300 + ")" * 300,
    ],
    ids=["null byte", "surrogate", "parser stack", "recursion", "parentheses"],
)
def test_what_breaks_the_compiler_is_a_problem_and_no_crash(source: str) -> None:
    assert len(check(source, PYTHON).diagnostics) == 1


def test_deep_nesting_does_not_overflow_the_walk() -> None:
    verdict = check("(" * 3000, by_name("js"))
    assert verdict.checked
    assert verdict.diagnostics


def test_a_parser_that_hangs_leaves_the_verdict_unknown_within_the_bound() -> None:
    began = time.monotonic()
    verdict = check("<a {{b:>c:d(e f)", by_name("tsx"), seconds=0.3)
    assert time.monotonic() - began < 1.5
    assert verdict == CheckResult(checked=False, note="not checked: the parser took longer than 0.3 s")
    assert not verdict.ok


def test_a_text_has_four_seconds_to_be_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(languages, "parse", lambda text, language, *, seconds: given.append(seconds))
    assert not check("{", by_name("rust")).checked
    assert given == [4.0]


def test_a_missing_grammar_is_no_verdict_and_never_a_pass() -> None:
    absent = Language("absent", (), ("tree_sitter_absent", "language"))
    for verdict in (check("x", absent), check("", absent)):
        assert verdict.parses is None
        assert not verdict.checked
        assert not verdict.ok
        assert "absent" in verdict.note


@settings(max_examples=60, deadline=None)
@given(st.text("(){}[]<>;:'\"= \n\ré→ab1", max_size=30), st.sampled_from(LANGUAGES))
def test_every_problem_lies_in_the_text_at_the_line_and_column_it_names(text: str, language: Language) -> None:
    verdict = check(text, replace(language, tools=False), seconds=0.5)
    starts = [0, *accumulate(len(line) for line in text.splitlines(keepends=True))]
    for problem in verdict.diagnostics:
        assert 0 <= problem.start <= problem.stop <= len(text)
        assert problem.start == starts[problem.line - 1] + problem.column - 1


@pytest.mark.parametrize("name", sorted(VALID))
def test_programs_are_substantial(name: str) -> None:
    assert is_substantial(VALID[name], by_name(name))


@pytest.mark.parametrize("name", sorted(VALID))
@pytest.mark.parametrize("text", ["", "   \n", "hello", "42"])
def test_a_bare_word_is_not(name: str, text: str) -> None:
    assert not is_substantial(text, by_name(name))


@pytest.mark.parametrize("text", ["# Here it is", "Hello, world", "non-empty", "'text'", "pass", "...", "def f(:"])
def test_prose_that_parses_as_python_is_not_substantial(text: str) -> None:
    assert not is_substantial(text, PYTHON)


@pytest.mark.parametrize("text", ["f()", "x = 1", "import os", "(lambda: 1)", "[x for x in y]", "\ufeffx = 1"])
def test_a_statement_or_a_call_is(text: str) -> None:
    assert is_substantial(text, PYTHON)


@pytest.mark.parametrize(("language", "text"), [("c", "#if 1\n"), ("c", "int a;\r\n#if 1\r\n"), ("c", "#if 1\n\n")])
def test_an_error_at_the_end_of_a_file_is_in_its_last_line(language, text):
    (found,) = check(text, by_name(language)).diagnostics
    assert found.line == text.count("\n")
