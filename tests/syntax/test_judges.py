"""Whether a verdict is that of the language: texts that are valid, texts that are not, and edits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diffucli.syntax import tools
from diffucli.syntax.check import check
from diffucli.syntax.languages import LANGUAGES, Language, of_path

VERDICTS = Path(__file__).parents[1] / "data" / "verdicts"
# Languages whose own program makes a verdict better, and the shares of wrong verdicts without it.
PROGRAMS = {"bash": "bash", "javascript": "node", "go": "gofmt", "c": "cc", "cpp": "c++"}
VALID_REFUSED, INVALID_ACCEPTED, WITHOUT_TOOLS = 0.04, 0.1, 0.2
LAGGING = {"bash": 0.6, "c": 0.15, "cpp": 0.15, "javascript": 0.15}  # valid refused without the program
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
    most = LAGGING.get(language.name, VALID_REFUSED)
    assert len(refused) <= most * len(cases(language, "valid")), refused
    assert len(accepted) <= WITHOUT_TOOLS * len(cases(language, "invalid")), accepted
