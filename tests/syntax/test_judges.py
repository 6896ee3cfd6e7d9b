"""Whether a verdict is that of the language: texts that are valid, texts that are not, and edits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diffucli.syntax import tools
from diffucli.syntax.check import check
from diffucli.syntax.compare import new_diagnostics
from diffucli.syntax.languages import LANGUAGES, Language, detect, of_path

VERDICTS = Path(__file__).parents[1] / "data" / "verdicts"
# Languages whose own program makes a verdict better, and the shares of wrong verdicts without it.
PROGRAMS = {"bash": "bash", "javascript": "node", "go": "gofmt", "c": "cc", "cpp": "c++"}
VALID_REFUSED, INVALID_ACCEPTED, WITHOUT_TOOLS = 0.04, 0.1, 0.2
each_language = pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)


def cases(language: Language, kind: str) -> list[str]:
    blocks = (VERDICTS / f"{language.name}.txt").read_text(encoding="utf-8").split("%% ")[1:]
    return [text for head, _, text in (block.partition("\n") for block in blocks) if head == kind]


def in_dialect(language: Language, text: str, *, programs: bool) -> Language:
    found = of_path(f"x{language.suffixes[0]}", text.partition("\n")[0])
    assert found is not None
    return replace(language, dialect=found.dialect, tools=programs)


def wrong(language: Language, kind: str, *, programs: bool) -> list[str]:
    accepted = kind == "valid"
    texts = cases(language, kind)
    assert len(texts) >= (10 if accepted else 5)
    return [text for text in texts if check(text, in_dialect(language, text, programs=programs)).ok is not accepted]


@each_language
def test_verdicts_are_those_of_the_language(language: Language) -> None:
    program = PROGRAMS.get(language.name)
    if program and not tools.find(program):
        pytest.skip(f"{program} is not installed")
    assert (wrong(language, "valid", programs=True), wrong(language, "invalid", programs=True)) == ([], [])


@each_language
def test_without_programs_few_verdicts_are_wrong(language: Language) -> None:
    refused, accepted = (wrong(language, kind, programs=False) for kind in ("valid", "invalid"))
    assert len(refused) <= VALID_REFUSED * len(cases(language, "valid")), refused
    assert len(accepted) <= WITHOUT_TOOLS * len(cases(language, "invalid")), accepted


EXTERN = '#ifdef __cplusplus\nextern "C" {\n#endif\nint f(void);\n#ifdef __cplusplus\n}\n#endif\n'
CLASS = "#include <string>\nclass A {\n public:\n  int x();\n  std::string n() const;\n};\n"
INIT = "static int __init a(void)\n{\n    return 1;\n}\n"
GO = "package p\n\nvar a = []int{\n\t1,\n\t2,\n}\n"
SQL = "const a = sql<User[]>`select 1`;\nconst b = 1;\n"
NEW = 'names = {"a": 1}\nprint(f"value {names["a"]}")\n'


# The ids are those of a collection of edits whose verdicts were wrong; test_compare.py has the others.
@pytest.mark.parametrize(
    ("name", "path", "before", "after", "accepted"),
    [
        ("E01", "a.h", CLASS, CLASS.replace("};", "  std::string m() const;\n};"), True),
        ("E02", "a.h", CLASS, CLASS.replace("n()", "renamed()"), True),
        ("E01", "a.h", CLASS, CLASS.replace("};", "  std::string m( const;\n};"), False),
        ("E03", "a.c", INIT, INIT.replace("a(void)", "renamed(void)"), True),
        ("E03", "a.c", INIT, INIT.replace("a(void)", "renamed(void"), False),
        ("E04", "a.c", INIT, INIT.replace("return 1", "return 2"), True),
        ("E05", "a.h", EXTERN, EXTERN.replace("f(void);\n", "f(void);\nint g(int);\n"), True),
        ("E06", "a.css", "@media (width > 40em) { a { b: c } }\n", "@media (width > 50em) { a { b: c } }\n", True),
        ("E07", "a.css", "a { b: c }\n", "a { b: c }\n@container (width > 40em) { a { b: d } }\n", True),
        ("E08", "a.ts", SQL, SQL + "const c = sql<User[]>`select 2`;\n", True),
        ("E09", "a.sh", "echo a\n", "cat <<EOF; echo b\nx\nEOF\necho a\n", True),
        ("E10", "a.html", "<p>a</p>\n", "<p>a & b</p>\n", True),
        ("E11", "a.html", "<body><p>a\n", "<body><p>b\n", True),
        ("E12", "a.rs", 'unsafe extern "C" { fn a(); }\n', 'unsafe extern "C" { safe fn a(); }\n', True),
        (
            "E13",
            "A.java",
            "class A { int f(Object o) { return switch (o) { case String s -> 1; default -> 0; }; } }\n",
            "class A { int f(Object o) { return switch (o) { case final String s -> 1; default -> 0; }; } }\n",
            True,
        ),
        ("E14", "a.py", "def f(x):\n    return x\n", "def f[T](x: T) -> T:\n    return x\n", True),
        ("E15", "a.go", GO, GO.replace("2,", "2"), False),
        ("E16", "a.go", "package p\n\nfunc f() {\n}\n", "package p\n\nfunc f()\n{\n}\n", False),
        ("E17", "a.js", "const a = 1;\n", "const a;\n", False),
        ("E17", "a.ts", "const a = 1;\n", "const a: number;\n", False),
        ("E17", "a.d.ts", "declare const b: string;\n", "export const a: number;\n", True),
        ("E18", "a.json", '{"a": 1}\n', "", False),
        ("E18", "a.json", '{"a": 1}\n', '// note\n{"a": 1}\n', False),
        ("E18", "a.json", '{"a": 1}\n', '{"a": 1}\n{"b": 2}\n', False),
        ("E18", "tsconfig.json", '{"a": 1}\n', '// note\n{"a": 1,}\n', True),
        ("E19", "a.tsx", "const a = <b>x</b>;\n", "const a = <b>x</i>;\n", False),
        ("E20", "a.rs", "fn f() {}\n", "fn fn() {}\n", False),
        ("E21", "a.cpp", "int x = 1;\n", "int class = 1;\n", False),
        ("E22", "a.css", "a { b: c }\n", "// x\na { b: c }\n", False),
        ("E23", "a.sh", "if true; then echo; fi\n", "if true; then fi\n", False),
        ("E24", "a.c", "int x;\n", "# this is not a comment\nint x;\n", False),
        ("E25", "a.py", NEW, NEW + "return 1\n", False),
        ("E25", "a.py", NEW, NEW + "await x\n", False),
        ("E27", "a.py", NEW, NEW + "b = = 1\n", False),
        ("E27", "a.py", NEW, NEW + "b = 1\n", True),
    ],
)
def test_an_edit_gets_the_verdict_of_a_reader(name: str, path: str, before: str, after: str, accepted: bool) -> None:
    language = detect(before, Path(path))
    assert new_diagnostics(before, after, language).ok is accepted
    if name != "E09":  # which the grammar cannot read
        assert new_diagnostics(before, after, replace(language, tools=False)).ok is accepted


@pytest.mark.parametrize(
    ("path", "before", "after", "accepted"),
    [  # each line of the first text is one that no judge can read
        ("a.c", "int foo bar baz;\nint x;\n", "int foo bar qux;\nint x;\n", True),
        ("a.c", "int foo bar baz;\nint x;\n", "int foo bar baz;\nint y;\nint z;\n", True),
        ("a.c", "int foo bar baz;\nint x;\n", "int foo bar baz;\nint x y;\n", False),
        ("a.c", "int foo bar baz;\nint x;\n", "int foo bar (baz;\nint x;\n", False),
        ("a.rs", "fn f() { let = 1; }\nfn g() {}\n", "fn f() { let = 2; }\nfn h() {}\n", True),
        ("a.rs", "fn f() { let = 1; }\nfn g() {}\n", "fn f() { let = 1; }\nfn g( {}\n", False),
        ("a.html", "<b>x</i>\n<p>y</p>\n", "<b>x</i>\n<p>z</p>\n", True),
        ("a.html", "<b>x</i>\n<p>y</p>\n", "<b>x</i>\n<u>z</p>\n", False),
    ],
)
def test_an_old_error_in_its_place_is_not_new(path: str, before: str, after: str, accepted: bool) -> None:
    language = replace(detect(before, Path(path)), tools=False)
    assert new_diagnostics(before, after, language).ok is accepted
