"""Verification: what is wrong with new text, in words and with the lines around it."""

from __future__ import annotations

import pytest

from diffucli.errors import Unparsable
from diffucli.syntax.languages import by_name
from diffucli.tasks.verify import NOT_CHECKED, Refused, excerpt, verify_answer, verify_edit

PYTHON = by_name("python")


def test_an_answer_that_parses_has_no_faults():
    check = verify_answer("x = 1\n", PYTHON, "error")
    assert (check.message, check.refused, check.faults, check.diagnostics) == ("", False, 0, ())
    assert check.result.ok


@pytest.mark.parametrize(("verify", "refused"), [("error", True), ("warn", False)])
def test_an_answer_that_does_not_parse_is_refused_if_that_is_an_error(verify, refused):
    check = verify_answer("x = 1\ndef f(:\n", PYTHON, verify)
    assert check.message.startswith("the answer does not parse: line 2: ")
    assert check.excerpt == "x = 1\ndef f(:"
    assert (check.refused, check.faults) == (refused, 1)


@pytest.mark.parametrize("text", ["", "# nothing\n", "word\n"])
def test_an_answer_without_code_is_one_fault(text):
    check = verify_answer(text, PYTHON, "error")
    assert (check.message, check.refused, check.faults) == ("the answer holds no code", True, 1)


def test_of_several_errors_the_first_is_told():
    before = "fn a() {}\nfn b() {}\n"
    check = verify_edit("x.rs", before, "fn a( {}\nfn b( {}\n", by_name("rust"), "error")
    assert check.message.startswith("x.rs:1:")
    assert check.faults == len(check.diagnostics) > 1


def test_an_edit_is_told_by_file_line_and_column_with_three_lines_around():
    before = "".join(f"a{i} = {i}\n" for i in range(1, 11))
    check = verify_edit("x.py", before, before.replace("a5 = 5", "a5 = (5"), PYTHON, "error")
    assert check.message == "x.py:5:6: '(' was never closed"
    assert check.excerpt.splitlines() == [
        f"{'>' if i == 5 else ' '} {i:4} a{i} = {'(' * (i == 5)}{i}" for i in range(2, 9)
    ]
    assert check.refused


def test_an_excerpt_ends_where_the_text_does():
    assert excerpt("a\nb\n", 1).splitlines() == [">    1 a", "     2 b"]
    assert excerpt("a\nb\n", 2).splitlines() == ["     1 a", ">    2 b"]


def test_what_is_not_checked_has_no_faults():
    for check in (verify_answer("def f(:", PYTHON, "off"), verify_edit("x", "", "(", PYTHON, "off")):
        assert check is NOT_CHECKED
        assert (check.refused, check.faults, check.result.checked) == (False, 0, False)


def test_a_refusal_says_that_nothing_was_written_and_what_to_try():
    check = verify_answer("def f(:\n", PYTHON, "error")
    refused = Refused("def f(:\n", check)
    assert isinstance(refused, Unparsable)
    assert refused.exit_code == 3
    assert refused.message.endswith("; nothing was written")
    assert refused.hint
    assert (refused.text, refused.check) == ("def f(:\n", check)
