"""Readings of a text in words that its grammar knows; whether they help is tested with the verdicts."""

from __future__ import annotations

import re

import pytest

from diffucli.syntax import macros, readings

PIECES = (
    "@(", "*(a)", "${a#", "${ ", "]", "x`", "\\", '"\\', "'", "/*", 'R"a(', "<", "(", "{", "[[", "\n", " ", "case ",
    ".", "goto *", "namespace a ", "coproc ", "esac ", "async of ", "va_arg(", "a b : 1", "import ", "module ",
    "template ",
)  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_a_pattern_takes_time_in_proportion_to_the_text(piece):
    """One that takes its square would hold this test for minutes."""
    texts = [start + piece * (20_000 // len(piece)) for start in ("", "case ", "${a#")]
    for pattern in {pattern for forms in readings._FORMS.values() for pattern, _ in forms}:
        assert all(len(re.sub(pattern, "", text, flags=re.MULTILINE)) <= len(text) for text in texts)
    for pattern in (macros._BRACE, macros._SKIPPED, readings._DOCUMENT):
        assert all(len(pattern.sub("", text)) <= len(text) for text in texts)


@pytest.mark.parametrize("text", ["cat <<A b <<'B'\n1 (\nA\n2 )\n  B\nls\n", "cat <<-A\n\tx\n\tA\n"])
def test_a_here_document_is_blank_and_every_offset_stays(text):
    found = readings._without_documents(text)
    assert [len(line) for line in found.split("\n")] == [len(line) for line in text.split("\n")]
    assert found.split() in (["cat", "b", "ls"], ["cat"])


def test_a_here_document_without_an_end_stays():
    assert readings._without_documents("cat <<A\nx\n") == "cat <<A\nx\n"
