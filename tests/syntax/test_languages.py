"""Names, suffixes, fences and grammars."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffucli.errors import UsageError
from diffucli.syntax import languages
from diffucli.syntax.check import check, is_substantial
from diffucli.syntax.languages import LANGUAGES, Language, by_name, characters, detect, grammar, of_path, parse


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_every_language_is_found_by_its_names_and_suffixes(language: Language) -> None:
    for name in (language.name, *language.aliases):
        assert by_name(name) is language
    for suffix in language.suffixes:
        found = of_path(f"a/b{suffix}")
        assert found is not None
        assert replace(found, dialect="") == language
    assert language.tag == language.name


def test_no_two_languages_share_a_name_suffix_or_program() -> None:
    for words in ([(x.name, *x.aliases) for x in LANGUAGES], [x.suffixes for x in LANGUAGES]):
        flat = [word for each in words for word in each]
        assert len(flat) == len(set(flat))


@pytest.mark.parametrize(
    ("name", "expected"), [("py", "python"), ("C++", "cpp"), (" JS ", "javascript"), ("sh", "bash")]
)
def test_names_are_taken_in_any_case(name: str, expected: str) -> None:
    assert by_name(name).name == expected


def test_an_unknown_name_tells_the_nearest_and_the_known_ones() -> None:
    with pytest.raises(UsageError, match="did you mean `python`") as caught:
        by_name("pyhton")
    assert caught.value.hint == f"use one of: {', '.join(language.name for language in LANGUAGES)}"


@pytest.mark.parametrize(
    ("path", "first_line", "expected"),
    [
        ("tool", "#!/usr/bin/env python3", "python"),
        ("tool", "#!/usr/bin/python3.12 -u", "python"),
        ("tool", "#!/usr/bin/env -S FOO=1 node --x", "javascript"),
        ("tool", "#! /bin/sh", "bash"),
        ("tool.rs", "#!/bin/sh", "rust"),
        ("A.PY", "", "python"),
    ],
)
def test_a_path_is_known_by_suffix_and_else_by_its_shebang(path: str, first_line: str, expected: str) -> None:
    found = of_path(path, first_line)
    assert found is not None
    assert found.name == expected


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_a_script_is_known_by_each_of_the_programs_of_its_language(language: Language) -> None:
    for program in language.programs:
        for line in (f"#!/usr/bin/env {program}", f"#!/opt/{program} -x"):
            found = of_path("tool", line)
            assert found is not None
            assert replace(found, dialect="") == language


def test_the_suffixes_and_programs_are_those_that_people_use() -> None:
    suffixes = {
        "python": ".py .pyi .pyw",
        "javascript": ".js .mjs .cjs .jsx",
        "typescript": ".ts .mts .cts",
        "tsx": ".tsx",
        "go": ".go",
        "rust": ".rs",
        "c": ".c .h",
        "cpp": ".cpp .cc .cxx .hpp .hh .hxx .ipp",
        "java": ".java",
        "bash": ".sh .bash .zsh",
        "json": ".json .jsonc .code-workspace",
        "html": ".html .htm .xhtml",
        "css": ".css",
    }
    programs = {
        "python": "python python3",
        "javascript": "node nodejs",
        "typescript": "deno ts-node bun",
        "bash": "bash sh dash zsh",
    }
    assert {language.name: " ".join(language.suffixes) for language in LANGUAGES} == suffixes
    assert {language.name: " ".join(language.programs) for language in LANGUAGES if language.programs} == programs


@pytest.mark.parametrize(
    ("text", "path", "name", "expected"),
    [
        ("", None, None, "python"),
        ("", Path("a.rs"), None, "rust"),
        ("", Path("a.rs"), "go", "go"),
        ("", Path("a.rs"), "", "rust"),
        ("#!/bin/sh\nls\n", Path("tool"), None, "bash"),
        ("#!/bin/sh\nls\n", None, None, "bash"),
        ("ls\n#!/bin/sh\n", None, None, "python"),
    ],
)
def test_a_language_is_detected_by_name_file_or_first_line(
    text: str, path: Path | None, name: str | None, expected: str
) -> None:
    assert detect(text, path, name).name == expected


@pytest.mark.parametrize(
    ("path", "first_line", "dialect"),
    [
        ("a.mjs", "", "module"),
        ("a.cjs", "", "script"),
        ("a.d.ts", "", "declarations"),
        ("a.d.mts", "", "declarations"),
        ("a.js", "", ""),
        ("a.h", "", "header"),
        ("a.hpp", "", ""),
        ("tsconfig.json", "", "comments"),
        ("x/TSConfig.build.json", "", "comments"),
        (".vscode/settings.json", "", "comments"),
        ("x/.devcontainer/devcontainer.json", "", "comments"),
        ("a.jsonc", "", "comments"),
        ("package.json", "", ""),
        ("my-tsconfig.json", "", ""),
        ("tool", "#!/bin/sh", "sh"),
        ("tool", "#!/usr/bin/env zsh", "zsh"),
        ("tool", "#!/bin/bash", ""),
        ("a.sh", "#!/bin/dash -e", "dash"),
        ("a.zsh", "", "zsh"),
    ],
)
def test_a_name_or_first_line_tells_the_dialect(path: str, first_line: str, dialect: str) -> None:
    found = of_path(path, first_line)
    assert found is not None
    assert found.dialect == dialect


def test_a_header_is_of_the_language_in_which_it_has_fewer_errors() -> None:
    for text, expected in [
        ("int f(int);\n", "c"),
        ("class A { std::string n() const; };\n", "cpp"),
        ("struct a { int b };\n", "c"),
        ("", "c"),
    ]:
        found = detect(text, Path("a.h"))
        assert (found.name, found.dialect) == (expected, "header")


def test_a_file_that_says_no_language_is_refused() -> None:
    with pytest.raises(UsageError, match=r"notes\.txt: its language is not known") as caught:
        detect("prose\n", Path("notes.txt"))
    assert caught.value.hint == "say it with -l"
    with pytest.raises(UsageError, match="no language is named `klingon`"):
        detect("", None, "klingon")


def test_comments_open_and_close_as_each_language_has_them() -> None:
    others = {
        "python": ("#", ""),
        "bash": ("#", ""),
        "html": ("<!--", "-->"),
        "css": ("/*", "*/"),
        "json": ("", ""),
    }
    for language in LANGUAGES:
        assert (language.comment, language.comment_end) == others.get(language.name, ("//", ""))


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_a_comment_of_each_language_parses_and_is_no_code(language: Language) -> None:
    text = f"{language.comment} write a sort {language.comment_end}".rstrip() + "\n"
    if not language.comment:
        assert language.name == "json"
        return
    assert check("package p\n" * (language.name == "go") + text, language).ok
    assert not is_substantial(text, language)
    if not language.comment_end:
        assert not check(text + "))", language).ok, "it ends with its line"


def test_an_unknown_name_without_a_near_one_tells_the_known_ones_only() -> None:
    with pytest.raises(UsageError) as caught:
        by_name("klingon")
    assert caught.value.message == "no language is named `klingon`"


@pytest.mark.parametrize(("path", "line"), [("notes", ""), ("a.xyz", ""), ("tool", "#!/usr/bin/perl"), ("tool", "#!")])
def test_what_is_not_known_is_none(path: str, line: str) -> None:
    assert of_path(path, line) is None


def test_importing_the_rooms_modules_loads_no_parser() -> None:
    program = (
        "import sys\nfrom diffucli.syntax import check, languages, symbols\n"
        "languages.by_name('py'); languages.of_path('a.rs')\n"
        "print([name for name in sys.modules if name.startswith('tree_sitter')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_wheel_gives_no_grammar_and_no_tree() -> None:
    absent = Language("absent", (".absent",), ("tree_sitter_absent", "language"))
    assert grammar(absent) is None
    assert parse("x", absent) is None


def test_a_grammar_is_loaded_once() -> None:
    assert grammar(by_name("go")) is grammar(by_name("go"))


def test_a_parser_that_hangs_is_stopped_in_time_and_spoils_no_later_parse() -> None:
    tsx = by_name("tsx")
    began = time.monotonic()
    assert parse("<a {{b:>c:d(e f)", tsx, seconds=0.3) is None
    assert time.monotonic() - began < 1.5
    tree = parse("const a = 1;\n", tsx)
    assert tree is not None
    assert tree.root_node.end_byte == len("const a = 1;\n")


@given(st.text())
def test_byte_offsets_become_character_offsets(text: str) -> None:
    offset = characters(text)
    for index in range(len(text) + 1):
        assert offset(len(text[:index].encode("utf-8", "surrogatepass"))) == index


def test_long_texts_reach_the_parser_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "_CHUNK", 7)
    tree = parse("let é = 'ü'; // ß\n" * 50, by_name("js"))
    assert tree is not None
    assert not tree.root_node.has_error
    assert tree.root_node.child_count == 100


def test_half_a_surrogate_pair_is_parsed_as_it_stands() -> None:
    tree = parse("x = '\ud800'\n", by_name("rust"))
    assert tree is not None
    assert tree.root_node.end_byte == len("x = ''\n") + 3
