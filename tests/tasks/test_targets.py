"""What `diffu fill` rewrites: regions by name, and the holes that are no code."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from diffucli.edit.regions import Region
from diffucli.errors import UsageError
from diffucli.syntax.languages import LANGUAGES, Language, by_name
from diffucli.tasks import targets

if TYPE_CHECKING:
    from diffucli.tasks.targets import Targets

PYTHON = by_name("python")
ABSENT = Language("absent", (".absent",), ("tree_sitter_absent", "language"))
CODE = "@cached\ndef f(x):\n    y = x\n    return y\n\n\nclass A:\n    @property\n    async def g(self):\n        ...\n"


def find(
    text: str, *specs: str, language: Language = PYTHON, all_holes: bool = False, lenient: bool = False
) -> Targets:
    return targets.find(text, language, specs, all_holes=all_holes, lenient=lenient)


def cut(text: str, *specs: str, language: Language = PYTHON, all_holes: bool = False) -> list[str]:
    found = find(text, *specs, language=language, all_holes=all_holes)
    return [text[region.start : region.stop] for region in found.regions]


@pytest.mark.parametrize(
    "text",
    [
        "x = ???\n",
        "???\n",
        "f(???)\n",
        "if ???:\n    pass\n",
        "def f():\n    ???8\n",
        "[???1-4, 2]\n",
        "x = ???\ny = (\n",
    ],
)
def test_a_hole_that_breaks_the_text_is_one(text: str) -> None:
    (hole,) = cut(text)
    assert hole.startswith("???")


@pytest.mark.parametrize("code", ['"???"', "'a ??? b'", "1  # ???", "1  #???", '"""\n???\n"""', "f'???'", '"x{???}"'])
def test_what_stands_in_a_string_or_comment_is_no_hole_but_by_request(code: str) -> None:
    text = f"x = {code}\n"
    with pytest.raises(UsageError, match=r"every \?\?\? stands where it is legal") as refusal:
        find(text)
    assert refusal.value.hint == "add --hole, or a region"
    assert cut(text, all_holes=True) == ["???"]


def test_a_hole_in_an_expression_within_a_string_is_one() -> None:
    assert cut("x = f'{???}'\n") == ["???"]


def test_of_holes_and_strings_only_the_holes_count() -> None:
    text = "x = '???'\ny = ???\n# ???\nz = ???4\n"
    assert cut(text) == ["???", "???4"]
    assert [region.start for region in find(text).regions] == [text.index("???\n#"), text.index("???4")]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_bare_question_marks_are_a_hole_where_they_are_no_code(language: Language) -> None:
    text = "???\n"
    if language.hole_is_legal:
        with pytest.raises(UsageError, match="legal"):
            find(text, language=language)
    else:
        assert cut(text, language=language) == ["???"]
    assert cut(text, language=language, all_holes=True) == ["???"]


def test_without_a_grammar_every_hole_counts() -> None:
    assert cut("x = ???\n'???'\n", language=ABSENT) == ["???", "???"]


def test_without_a_grammar_holes_that_may_be_code_are_none() -> None:
    with pytest.raises(UsageError, match="legal"):
        find("x=???\n", language=replace(ABSENT, hole_is_legal=True))


def test_a_hole_within_a_region_is_part_of_it() -> None:
    text = "a = ???\nb = ???\n"
    found = find(text, "1")
    assert [(region.label, text[region.start : region.stop]) for region in found.regions] == [
        ("1", "a = ???"),
        ("??? in line 2", "???"),
    ]
    assert [found.is_hole(region) for region in found.regions] == [False, True]


def test_a_region_that_is_just_a_hole_keeps_its_bounds() -> None:
    found = find("x = ???3-7\n", "1:5-1:10")
    assert [(region.label, region.low, region.high) for region in found.regions] == [("1:5-1:10", 3, 7)]
    assert found.is_hole(found.regions[0])


def test_a_free_hole_to_the_left_of_a_bounded_one_is_found() -> None:
    found = find("f(???, ???8)\n")
    assert [(region.start, region.stop, region.low, region.high) for region in found.regions] == [
        (2, 5, None, None),
        (7, 11, 8, 8),
    ]


def test_holes_that_touch_are_one_of_both_lengths_and_free_if_one_is() -> None:
    (both,) = find("x = ???2???3-4\n").regions
    assert (both.low, both.high) == (5, 6)
    (free,) = find("x = ???8???\n").regions
    assert (free.start, free.stop, free.low, free.high) == (4, 11, None, None)


def test_plain_text_has_a_name_of_the_same_length_for_each_hole() -> None:
    text = "x = ???\ny = ???1-40\nz = '???'\n"
    assert find(text).plain == "x = ___\ny = _______\nz = '???'\n"
    assert find(text, all_holes=True).plain == "x = ___\ny = _______\nz = '___'\n"


def test_bounds_are_given_to_regions_that_have_none() -> None:
    found = find("x = ???\ny = ???8\nz = 1\n", "3").bounded((2, 30))
    assert [(region.low, region.high) for region in found.regions] == [(2, 30), (8, 8), (2, 30)]


@pytest.mark.parametrize(
    ("symbol", "covered"),
    [
        ("f", "y = x\n    return y"),
        ("f=whole", "@cached\ndef f(x):\n    y = x\n    return y"),
        ("A.g", "..."),
        ("g", "..."),
        ("A::g=whole", "@property\n    async def g(self):\n        ..."),
        ("A", "@property\n    async def g(self):\n        ..."),
    ],
)
def test_a_symbol_is_its_body_and_whole_if_asked_for(symbol: str, covered: str) -> None:
    assert cut(CODE, symbol) == [covered]


@pytest.mark.parametrize(
    ("language", "text", "body", "whole"),
    [
        ("ts", "@C() class A { x = 1 }\n@D()\nclass B {}\n", "x = 1", "@C() class A { x = 1 }"),
        ("rust", "#[x]\nfn A() -> i32 {\n    1\n}\n", "1", "#[x]\nfn A() -> i32 {\n    1\n}"),
        ("java", "interface A { void z(); }\n", "void z();", "interface A { void z(); }"),
        ("go", "package p\nfunc A() {}\n", "{}", "func A() {}"),
    ],
)
def test_elsewhere_braces_are_no_part_of_a_body_unless_they_are_empty(
    language: str, text: str, body: str, whole: str
) -> None:
    assert cut(text, "A", language=by_name(language)) == [body]
    assert cut(text, "A=whole", language=by_name(language)) == [whole]


def test_a_symbol_without_a_body_is_whole() -> None:
    assert cut("interface I { void z(); }\n", "I.z", language=by_name("java")) == ["void z();"]


def test_the_body_of_a_function_that_has_but_a_docstring_is_a_new_line_below_it() -> None:
    text = 'class A:\n\tdef f(self):\n\t\t"""Do.\n\t\t\tIt.\n\t\t\t"""\n\nx = 1\n'
    (found,) = find(text, "f").regions
    assert (text[: found.start].endswith('"""'), found.start, found.lead) == (True, found.stop, "\n\t\t")


def test_symbols_are_found_although_a_hole_stands_in_the_text() -> None:
    assert cut(CODE + "z = ???\n", "f") == ["y = x\n    return y", "???"]


def test_errors_are_the_statements_that_do_not_parse() -> None:
    assert cut("a = 1\nb = )\nc = 2\n", ":errors") == ["b = )"]
    assert cut("let a = ;\nlet b = 1;\nlet c = );\n", ":errors", language=by_name("js")) == ["let a = ;", "let c = );"]
    assert cut("x = [\n  1\n  2\n]\n", ":errors") == ["x = [\n  1\n  2\n]"]


def test_errors_are_to_be_mended_and_other_regions_are_not() -> None:
    found = find("a = 1\nb = )\n", ":errors")
    assert [(region.mend, region.label) for region in found.regions] == [(True, ":errors of line 2")]
    assert found.mends
    both = find("a = 1\nb = )\n", ":errors", "1")
    assert [region.mend for region in both.regions] == [False, True]
    assert both.mends
    assert not find("a = 1\n", "1").mends


def test_errors_in_one_statement_are_one_region() -> None:
    assert cut("fn f( -> i32 {\n    1\n}\n", ":errors", language=by_name("rust")) == ["fn f( -> i32 {"]


@pytest.mark.parametrize(
    ("text", "spec", "sound"),
    [
        ("x = 1\ny = (\n", "2", True),
        ("x = 1\ny = (\n", "1", False),
        ("def f(x)\n    return x\n", "1", True),
        ("def f():\n    return ???\n", "1", True),
    ],
)
def test_a_text_is_sound_if_no_error_lies_outside_of_the_regions(text: str, spec: str, sound: bool) -> None:
    assert find(text, spec).sound is sound


def test_other_languages_are_never_sound_because_their_grammars_are_not() -> None:
    assert not find("let a = 1;\n", "1", language=by_name("js")).sound


def test_a_part_of_a_function_is_one_only_where_that_is_asked_for() -> None:
    text = "    x = 1\n    return ???\n"
    assert targets.find(text, PYTHON, (), all_holes=False, lenient=False, fragments=True).fragment
    assert not find(text).fragment
    assert not targets.find("x = ???\n", PYTHON, (), all_holes=False, lenient=False, fragments=True).fragment


def test_in_a_part_of_a_function_a_comment_has_no_holes() -> None:
    text = "    # ???\n    return '???' + ???\n"
    found = targets.find(text, PYTHON, (), all_holes=False, lenient=False, fragments=True)
    assert [region.start for region in found.regions] == [text.rindex("???")]


def test_a_hole_is_no_error() -> None:
    with pytest.raises(UsageError, match="region :errors: there is none in the file"):
        find("x = ???\n", ":errors")


def test_todos_and_marks_are_found_by_their_names() -> None:
    text = "# TODO\npass\n# diffu:begin\nx\n# diffu:end\n"
    assert cut(text, ":todo", ":marks") == ["pass", "x"]


def test_a_todo_in_column_0_asks_for_a_new_line() -> None:
    found = find("# TODO\nx = 1\n", ":todo")
    assert found.regions == (Region(6, 6, label=":todo of line 1", lead="\n"),)


@pytest.mark.parametrize("spec", [":todo", ":marks", ":errors"])
def test_lenient_finders_may_find_nothing(spec: str) -> None:
    assert find("x = 1\n", spec, lenient=True).regions == ()
    with pytest.raises(UsageError, match="there is none in the file"):
        find("x = 1\n", spec)


def test_lenient_does_not_forgive_a_region_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="the file has 1 lines"):
        find("x = 1\n", "9", lenient=True)


def test_nothing_to_fill_is_refused() -> None:
    with pytest.raises(UsageError, match=r"there is no \?\?\?, and no region is named"):
        find("x = 1\n")


def test_a_hole_that_half_lies_in_a_region_overlaps_it() -> None:
    with pytest.raises(UsageError, match="overlap"):
        find("x = ???\n", "1:1-1:6")


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("x = ???\n" * 300, []),
        ("# diffu:begin\nx = 1\n# diffu:end\n" * 300, [":marks"]),
        ("# TODO x\npass\n" * 300, [":todo"]),
        ("x = 1\n" * 600, [str(line) for line in range(1, 600, 2)]),
    ],
)
def test_more_regions_than_can_be_written_together_are_refused(text: str, specs: list[str]) -> None:
    """Each of them was looked at by itself, in the whole text: thousands took minutes."""
    with pytest.raises(UsageError, match="there are 300 regions and holes, at most 256 are filled together"):
        find(text, *specs)


def test_any_number_of_question_marks_may_stand_in_comments() -> None:
    assert cut("# ???\n" * 5000 + "x = ???\n") == ["???"]


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("x = ????\n", "???? in line 1"),
        ("a = 1\nx = ??????\n", "?????? in line 2"),
        ("x = ??\n", "?? in line 1"),
        ("f(??)\n", "?? in line 1"),
        ("x = \uff1f\uff1f\uff1f\n", "\uff1f\uff1f\uff1f in line 1"),
    ],
)
def test_what_is_nearly_a_hole_is_named(text, near):
    with pytest.raises(UsageError, match=rf"^{re.escape(near)} is no hole$") as caught:
        find(text)
    assert caught.value.hint == "write ??? for a hole, or ???8 for one of eight tokens"


@pytest.mark.parametrize("text", ["x = a ?? b\n", "x = a ? b : c\n", "x = 1\n"])
def test_what_is_an_operator_is_not_nearly_a_hole(text):
    with pytest.raises(UsageError, match="there is no"):
        find(text, language=by_name("javascript"))
