"""Verification: what is wrong with new text, in words and with the lines around it."""

from __future__ import annotations

import pytest

from diffucli.errors import Unparsable
from diffucli.syntax.languages import by_name
from diffucli.tasks import targets
from diffucli.tasks.targets import Targets
from diffucli.tasks.verify import NOT_CHECKED, Refused, excerpt, remedy, verify_answer, verify_edit

PYTHON = by_name("python")


def plain(text):
    """A text without regions."""
    return Targets((), text, frozenset())


def at(text, *specs, language=PYTHON, fragments=False):
    """The regions and holes of a text."""
    return targets.find(text, language, specs, all_holes=False, lenient=False, fragments=fragments)


def test_an_answer_that_parses_has_no_faults():
    check = verify_answer("x = 1\n", PYTHON, "error")
    assert (check.message, check.refused, check.faults, check.diagnostics) == ("", False, 0, ())
    assert check.result.ok


@pytest.mark.parametrize(("verify", "refused"), [("error", True), ("warn", False)])
def test_an_answer_that_does_not_parse_is_refused_if_that_is_an_error(verify, refused):
    check = verify_answer("x = 1\ndef f(:\n", PYTHON, verify)
    assert check.message.startswith("the answer does not parse: line 2: ")
    assert check.excerpt == "     1 x = 1\n>    2 def f(:"
    assert (check.refused, check.faults) == (refused, 1)


@pytest.mark.parametrize("text", ["", "# nothing\n", "word\n"])
def test_an_answer_without_code_is_one_fault(text):
    check = verify_answer(text, PYTHON, "error")
    assert (check.message, check.refused, check.faults) == ("the answer holds no code", True, 1)


def test_of_several_errors_the_first_is_told():
    before = "fn a() {}\nfn b() {}\n"
    check = verify_edit("x.rs", plain(before), "fn a( {}\nfn b( {}\n", by_name("rust"), "error")
    assert check.message.startswith("x.rs:1:")
    assert check.faults == len(check.diagnostics) > 1


def test_an_edit_is_told_by_file_line_and_column_with_three_lines_around():
    before = "".join(f"a{i} = {i}\n" for i in range(1, 11))
    check = verify_edit("x.py", plain(before), before.replace("a5 = 5", "a5 = (5"), PYTHON, "error")
    assert check.message == "x.py:5:6: '(' was never closed"
    assert check.excerpt.splitlines() == [
        f"{'>' if i == 5 else ' '} {i:4} a{i} = {'(' * (i == 5)}{i}" for i in range(2, 9)
    ]
    assert check.refused


def test_an_excerpt_ends_where_the_text_does():
    assert excerpt("a\nb\n", 1).splitlines() == [">    1 a", "     2 b"]
    assert excerpt("a\nb\n", 2).splitlines() == ["     1 a", ">    2 b"]


def test_what_is_not_checked_has_no_faults():
    for check in (verify_answer("def f(:", PYTHON, "off"), verify_edit("x", plain(""), "(", PYTHON, "off")):
        assert check is NOT_CHECKED
        assert (check.refused, check.faults, check.result.checked) == (False, 0, False)


def test_a_refusal_says_that_nothing_was_written_and_what_to_try():
    check = verify_answer("def f(:\n", PYTHON, "error")
    refused = Refused("def f(:\n", check)
    assert isinstance(refused, Unparsable)
    assert refused.exit_code == 3
    assert refused.message.endswith("; nothing was written")
    assert refused.hint == remedy("request")
    assert (refused.text, refused.check) == ("def f(:\n", check)


def test_every_error_counts_where_the_rest_of_the_file_is_sound():
    """CPython tells of the bracket on a line that was there before, and of the block that the edit took away."""
    before = "try:\n    a()\nexcept E:\n    b(\n        1,\n    )\n"
    check = verify_edit("x.py", at(before, "2"), before.replace("a()", "pass"), PYTHON, "error")
    assert (check.message, check.result.parses) == ("", True)
    broken = "if x:\n    a(\n    b\n"
    after = broken.replace("    b\n", "    c\n")
    assert verify_edit("x.py", at(broken, "2:3"), after, PYTHON, "error").refused
    assert not verify_edit("x.py", plain(broken), after, PYTHON, "error").refused


def test_an_edit_beside_an_old_error_is_accepted_with_a_warning():
    before = "x = = 1\ny = 1\n"
    check = verify_edit("x.py", at(before, "2"), before.replace("y = 1", "y = 2"), PYTHON, "error")
    assert (check.message, check.refused, check.result.parses) == ("", False, False)
    assert check.warning == "x.py:1:5: invalid syntax; this was wrong before and may hide other errors"
    c = "FOO(x)\nint main() { BAR(a) return 0; }\n"
    assert verify_edit("x.c", at(c, "1", language=by_name("c")), c + "\n", by_name("c"), "error").warning == ""


@pytest.mark.parametrize(
    ("after", "refused", "left"),
    [
        ("x = 1\nz = 1\ny = 2\n", False, 0),
        ("x = 1\nz = 1\ny = )\n", False, 1),
        ("x = 1 1\nz = 1\ny = )\n", True, 0),
        ("x = = 1\nz = 1\ny = )\n", True, 0),
    ],
)
def test_what_mends_leaves_fewer_errors_or_is_refused(after, refused, left):
    found = at("x = = 1\nz = 1\ny = )\n", ":errors")
    check = verify_edit("x.py", found, after, PYTHON, "error")
    assert (check.refused, len(check.result.old)) == (refused, left)
    assert check.hint == (remedy("errors") if refused else "")


FRAGMENT = "        total = 0\n        for x in xs:\n            ???\n        return total\n"


@pytest.mark.parametrize(("line", "refused"), [("total += x", False), ("break", False), ("if x:", True), ("(", True)])
def test_a_part_of_a_function_is_judged_as_one(line, refused):
    found = at(FRAGMENT, fragments=True)
    assert found.fragment
    check = verify_edit("x.py", found, FRAGMENT.replace("???", line), PYTHON, "error")
    assert check.refused is refused
    assert check.result.parses is not refused


def test_each_refusal_has_a_remedy_of_its_own():
    empty = verify_answer("# nothing\n", PYTHON, "error")
    region = verify_edit("x.py", at("x = 1\n", "1"), "(\n", PYTHON, "error")
    hints = [remedy("request"), empty.hint, region.hint, remedy("errors")]
    assert empty.hint == remedy("empty")
    assert region.hint == remedy("region")
    assert len(set(hints)) == 4


def test_lines_are_those_of_an_editor():
    text = "a = 1\x0c\nb = '\u2028'\r\nc = \x85)\nd\n"
    assert excerpt(text, 3).split("\n") == ["     1 a = 1\x0c", "     2 b = '\u2028'", ">    3 c = \x85)", "     4 d"]
