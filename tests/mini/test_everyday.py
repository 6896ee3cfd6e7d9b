"""Every template makes programs that compile, define all their names, and do what their case says."""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import random
import re

import pytest
from pyflakes.checker import Checker
from pyflakes.messages import UndefinedName

from diffucli.mini.everyday import SLOT, EverydayProgram, EverydayTemplate, draw, draw_names, templates

DRAWS = 3  # of each template


def programs(template: EverydayTemplate) -> list[EverydayProgram]:
    return [draw(random.Random(f"{seed}/{template.code}"), template) for seed in range(DRAWS)]


def result_of(code: str, case: str) -> object:
    """The value of the case, a comparison with a call of the last definition."""
    scope: dict[str, object] = {"__name__": "candidate", "Path": str}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, "everyday", "exec"), scope)
        names = [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        return eval(f"candidate{case}", {**scope, "candidate": scope[names[-1]]})


def test_there_are_many_and_most_can_be_executed() -> None:
    assert len(templates()) > 700
    assert sum(bool(template.case) for template in templates()) > 600
    assert len({template.code for template in templates()}) == len(templates())


def test_every_program_compiles_and_defines_its_names() -> None:
    for template in templates():
        for program in programs(template):
            found = Checker(ast.parse(program.code)).messages
            unknown = {str(each.message_args[0]) for each in found if isinstance(each, UndefinedName)}
            assert unknown <= {"Path"}, program.code
            assert not [slot for slot, *_ in SLOT.findall(program.code) if len(slot) > 1], program.code
            assert "@{" not in program.code


def test_every_case_holds() -> None:
    for template in templates():
        for program in programs(template) if template.case else []:
            assert result_of(program.code, program.case) is not False, program.code


def test_programs_differ() -> None:
    rng = random.Random(0)
    drawn = [draw(rng).code for _ in range(2000)]
    assert len(set(drawn)) > 1900
    assert any("'" in code and '"' not in code for code in drawn)
    assert any(": list" in code for code in drawn)
    assert any('"""' in code or "'''" in code for code in drawn)
    assert any("print(" in code.rsplit("\n\n\n", maxsplit=1)[-1] for code in drawn)


def test_names_differ_from_each_other_and_from_what_python_has() -> None:
    for seed in range(300):
        names = draw_names(random.Random(seed), "def f(XS, A, B, KEY, VAL, NUM):\n    total = X\n    return N, TEXT\n")
        assert set(names) >= {"XS", "X", "A", "B", "KEY", "VAL", "NUM", "N", "TEXT"}
        assert len(set(names.values())) == len(names)
        assert not set(names.values()) & {*dir(builtins), "total", "f", "return"}


@pytest.mark.parametrize(
    ("gaps", "possible"),
    [
        ("@{a|b}", {"a", "b"}),
        ("@{a|b} @{a|b}~", {"a a", "b b"}),
        ("@{a, b|c, d}: @{b|d}", {"a, b: b", "c, d: d"}),
        ("@{x@{1|2}|y}", {"x1", "x2", "y"}),
        ("@{|1}@{|2}", {"", "1", "2", "12"}),
        ('f"{@{a|b}}"', {'f"{a}"', 'f"{b}"'}),
    ],
)
def test_gaps(gaps: str, possible: set[str]) -> None:
    drawn = {draw(random.Random(seed), EverydayTemplate("s", "", f"# {gaps}")).code.strip() for seed in range(60)}
    assert {text.replace("'", '"').removeprefix("# ").removeprefix("#").strip() for text in drawn} == possible


def test_a_gap_that_does_not_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="open"):
        draw(random.Random(0), EverydayTemplate("s", "", "open @{a|b"))


def test_a_slot_is_filled_inside_names_and_the_summary() -> None:
    template = EverydayTemplate("the NS above", "", "def max_N(NS):\n    return NS")
    program = draw(random.Random(5), template)
    found = re.search(r"def max_(\w+)\((\w+)", program.code)
    assert found
    assert program.request == f"the {found[2].replace('_', ' ')} above"
