"""What to rewrite."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffucli.edit import holes, regions
from diffucli.edit.regions import Region
from diffucli.errors import UsageError

CODE = "def f(x):\n    y = x\n\n    return y\n\n\nclass Cfg:\n    def load(self):\n        pass\n"  # 9 lines


def no_symbol(name):
    raise UsageError(f"no symbol {name}")


def parse(*specs, text=CODE, find_symbol=no_symbol, **finders):
    return regions.parse(specs, text, find_symbol=find_symbol, **finders)


def cut(regions, text=CODE):
    return [text[region.start : region.stop] for region in regions]


@pytest.mark.parametrize(
    ("spec", "covered"),
    [
        ("2", "y = x"),
        ("1:2", "def f(x):\n    y = x"),
        ("1-2", "def f(x):\n    y = x"),
        ("1,2", "def f(x):\n    y = x"),
        ("2,+2", "y = x\n\n    return y"),
        ("2,+0", "y = x"),
        ("3", ""),
        ("5:6", "\n"),
        ("9", "pass"),
        ("1:5-1:5", "f"),
        ("1:5-2:5", "f(x):\n    y"),
        ("2:5-2:9", "y = x"),
        ("3:1-3:1", ""),
    ],
)
def test_lines_and_columns_count_from_one_and_include_their_end(spec, covered):
    (found,) = parse(spec)
    assert CODE[found.start : found.stop] == covered
    assert (found.label, found.lead, found.low, found.high) == (spec, "", None, None)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_region_of_lines_keeps_the_indentation_before_it_and_the_newline_after_it(newline):
    text = CODE.replace("\n", newline)
    (found,) = parse("8:9", text=text)
    assert text[: found.start].endswith(f"class Cfg:{newline}    ")
    assert text[found.stop :] == newline


def test_a_last_line_without_newline_can_be_named():
    assert cut(parse("2", text="a\n  b"), "a\n  b") == ["b"]


def test_an_empty_file_has_one_empty_line():
    assert parse("1", text="") == (Region(0, 0, label="1"),)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("10", "region 10: the file has 9 lines"),
        ("8:40", "region 8:40: the file has 9 lines"),
        ("8,+2", "the file has 9 lines"),
        ("0", "lines count from 1"),
        ("0:3", "lines count from 1"),
        ("4:3", "ends before it starts; the file has 9 lines"),
        ("10:5", "ends before it starts"),
        ("2:10-2:10", "line 2 has 9 columns"),
        ("2:0-2:3", "line 2 has 9 columns"),
        ("3:1-3:2", "line 3 has 0 columns"),
        ("3:2-4:1", "line 3 has 0 columns"),
        ("2:4-2:3", "ends before it starts"),
        ("2:1-10:1", "the file has 9 lines"),
        ("", "of no known form"),
        (":tode", "of no known form"),
        ("1:2:3", "of no known form"),
        ("-3", "of no known form"),
        ("3-", "of no known form"),
        ("\u0661", "of no known form"),
        ("9" * 5000, "of no known form"),
        ("two words", "no symbol two words"),
        ("10a", "of no known form"),
        (":todo", "there is none in the file"),
        (":marks", "there is none in the file"),
        (":errors", "not available here"),
        ("Nope.nope", "no symbol Nope.nope"),
    ],
)
def test_what_names_nothing_is_refused(spec, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        parse(spec)


@pytest.mark.parametrize("name", ["parse_args", "Cfg.load", "ns::f", "größe", "_x", "$", "$el"])
def test_a_symbol_is_looked_up_by_the_callable(name):
    assert parse(name, find_symbol={name: Region(4, 9)}.__getitem__) == (Region(4, 9, label=name),)


def test_regions_come_sorted_and_adjacent_lines_as_one():
    found = parse("8", "4", "1", "2")
    assert cut(found) == ["def f(x):\n    y = x", "return y", "def load(self):"]
    assert found[0].label == "1, 2"


@pytest.mark.parametrize(
    "specs", [("1:4", "3:5"), ("2", "2"), ("3", "3"), ("2:3", "3"), ("1:4", "2:1-2:3"), ("4", "f")]
)
def test_regions_that_overlap_are_refused_by_name(specs):
    with pytest.raises(UsageError) as refusal:
        parse(*specs, find_symbol=lambda name: Region(0, CODE.index("\n\n\n")))
    assert all(spec in refusal.value.message for spec in specs)
    assert refusal.value.hint == "name each part of the file once"


def test_what_touches_is_mended_only_if_both_are() -> None:
    for one, other in ((True, True), (True, False)):
        (both,) = regions.arrange([Region(0, 2, mend=one), Region(2, 4, mend=other)])
        assert both.mend is (one and other)


def test_columns_that_touch_are_one_region_and_a_blank_between_keeps_them_two():
    assert cut(parse("1:1-1:3", "1:4-1:5")) == ["def f"]
    assert cut(parse("1:1-1:3", "1:5-1:5")) == ["def", "f"]


@pytest.mark.parametrize(
    ("text", "spec", "before", "covered"),
    [
        ("for x in items", "1:1-1:4", "", "for"),
        ("for x in items", "1:4-1:6", "for ", "x"),
        ("for x in items", "1:1-1:14", "", "for x in items"),
        ("a =\t1\n", "1:1-1:4", "", "a ="),
        ("a = 1 \t \n", "1:5-1:8", "a = ", "1"),
        ("    y = x\n\n", "1:1-2:1", "    ", "y = x"),
        ("a\r\n\r\n  b", "1:1-3:2", "", "a"),
        ("a\r\n\r\nb", "2:1-3:1", "a\r\n\r\n", "b"),
        ("a\u00a0b", "1:1-1:2", "", "a"),
        ("for x", "1:4-1:4", "for", ""),
        ("a\n    x", "2:1-2:4", "a\n    ", ""),
        ("a\r    x", "2:1-2:4", "a\r    ", ""),
        ("a\n    \nb", "2:1-2:4", "a\n    ", ""),
        ("a\n\n\nb", "2:1-3:1", "a\n\n", ""),
        ("a \n  \nb", "1:2-2:2", "a", ""),
    ],
)
def test_blanks_at_the_ends_of_columns_stay_outside(text, spec, before, covered):
    (found,) = parse(spec, text=text)
    assert (text[: found.start], text[found.start : found.stop]) == (before, covered)
    assert found.label == spec


def test_what_is_written_into_columns_keeps_the_blank_behind_them():
    text = "for x in items"
    assert holes.fill(text, parse("1:1-1:4", text=text), ["async for"], newline="\n") == "async for x in items"


def test_blanks_at_the_ends_of_a_symbol_stay_outside():
    text = "a\n\n  def f(): pass\n\nb"
    assert cut(parse("f", text=text, find_symbol=lambda _: Region(1, text.index("b"))), text) == ["def f(): pass"]


def test_columns_that_touch_are_one_region_before_their_blanks_are_left_out():
    assert cut(parse("1:1-1:4", "1:5-1:7"), CODE) == ["def f(x"]
    assert cut(parse("1:5-1:5", "1:1-1:4", "1:6-1:9")) == ["def f(x):"]


@settings(deadline=None)
@given(st.text(st.sampled_from("ab \t\r\n"), min_size=1, max_size=30), st.data())
def test_columns_without_their_blanks_hold_the_same_words(text, data):
    lines = re.split(r"\r\n|\r|\n", text)
    lines = lines[:-1] if text[-1] in "\r\n" else lines
    points = [(row, column) for row, line in enumerate(lines, 1) for column in range(1, max(len(line), 1) + 1)]
    (first, left), (last, right) = sorted((data.draw(st.sampled_from(points)), data.draw(st.sampled_from(points))))
    spans = regions.line_spans(text)
    raw = text[spans[first - 1][0] + left - 1 : min(spans[last - 1][0] + right, spans[last - 1][1])]
    (found,) = parse(f"{first}:{left}-{last}:{right}", text=text)
    assert text[found.start : found.stop] == raw.strip()
    assert found.start >= spans[first - 1][0] + left - 1


@settings(deadline=None)
@given(st.sets(st.integers(1, 9), min_size=1))
def test_any_set_of_lines_covers_exactly_these_lines(rows):
    covered = {
        row
        for found in parse(*map(str, rows))
        for row in range(CODE.count("\n", 0, found.start) + 1, CODE.count("\n", 0, found.stop) + 2)
    }
    assert covered == rows


def test_the_bounds_of_touching_holes_add_up():
    assert regions.arrange([Region(4, 9, 3, 5, "b"), Region(0, 4, 1, 2, "a")]) == (Region(0, 9, 4, 7, "a, b"),)
    assert regions.arrange([Region(0, 4, 1, 2), Region(4, 9)])[0].high is None


def test_a_new_line_behind_a_region_is_a_region_of_its_own():
    both = (Region(0, 4, label="a"), Region(4, 4, label="b", lead="\n"))
    assert regions.arrange(both[::-1]) == both
    with pytest.raises(UsageError, match="regions a and b overlap"):
        regions.arrange([Region(0, 5, label="a"), Region(4, 4, label="b", lead="\n")])


def test_a_region_that_starts_with_a_new_line_keeps_it_when_another_touches_it():
    assert regions.arrange([Region(2, 2, lead="\n", label="a"), Region(2, 5, label="b")]) == (
        Region(2, 5, lead="\n", label="a, b"),
    )


def test_holes_on_two_lines_stay_two():
    assert len(regions.arrange(holes.find("???\n???8"))) == 2


@pytest.mark.parametrize(
    "stub", ["pass", "...", "raise NotImplementedError", 'raise NotImplementedError("later")  # x']
)
def test_todo_is_the_stub_below_the_comment(stub):
    text = f"def f():\n    # TODO: sort\n    # and reverse\n    {stub}\n\nx = 1\n"
    (found,) = parse(":todo", text=text)
    assert text[found.start : found.stop] == stub
    assert found.label == ":todo of line 2"


@pytest.mark.parametrize(
    ("comment", "stub"),
    [
        ("// TODO: parse", "todo!()"),
        ("/* FIXME later */", 'throw new Error("not implemented");'),
        ("<!-- TODO -->", "..."),
        ("-- TODO x", "pass"),
        ("#TODO", "pass"),
    ],
)
def test_todo_knows_the_comments_and_stubs_of_other_languages(comment, stub):
    text = f"\t{comment}\n\t{stub}\n"
    assert cut(parse(":todo", text=text), text) == [stub]


@pytest.mark.parametrize("below", ["    return 1\n", "pass\n", "", "\n    pass\n"])
def test_a_todo_without_stub_asks_for_a_new_line_below_it(below):
    text = "def f():\n    # TODO: check x\n" + below
    (found,) = parse(":todo", text=text)
    assert (found.start, found.stop, found.lead) == (28, 28, "\n    ")
    assert holes.fill(text, [found], ["g()"], newline="\n") == "def f():\n    # TODO: check x\n    g()\n" + below


@pytest.mark.parametrize(
    "line", ["x = 1  # TODO", "#define TODO 1", "/* TODO", "# methodTODO", "# todo", "pass", "#[todo] TODO"]
)
def test_no_todo_comment_alone_on_its_line_no_region(line):
    assert regions.todos(f"{line}\npass\n") == ()


def test_the_caller_may_find_todos_and_errors_better():
    assert parse(":todo", find_todo=lambda text: [Region(0, 3)]) == (Region(0, 3),)
    assert parse(":errors", find_errors=lambda text: [Region(5, 9), Region(0, 3), Region(2, 4)]) == (
        Region(0, 4),
        Region(5, 9),
    )
    assert parse(":errors", find_errors=lambda text: [Region(3, 3), Region(3, 3)]) == (Region(3, 3),)


def test_marks_are_the_lines_between():
    text = "# diffu:begin\n  a\nb\n# diffu:end\nc\n// diffu:begin x\nd\n// diffu:end\n"
    assert cut(parse(":marks", text=text), text) == ["a\nb", "d"]


def test_marks_with_nothing_between_ask_for_a_new_line():
    text = "  # diffu:begin\n  # diffu:end\n"
    (found,) = parse(":marks", text=text)
    assert holes.fill(text, [found], ["a"], newline="\n") == "  # diffu:begin\n  a\n  # diffu:end\n"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("diffu:begin\n", "line 1: diffu:begin without a diffu:end", "add a diffu:end below it"),
        ("\ndiffu:end\n", "line 2: diffu:end without a diffu:begin", "add a diffu:begin above it"),
        (
            "diffu:begin\ndiffu:begin\ndiffu:end\n",
            "line 2: diffu:begin before the one in line 1 ended",
            "add a diffu:end",
        ),
    ],
)
def test_unpaired_marks_are_refused(text, message, hint):
    with pytest.raises(UsageError, match=f"^{message}$") as refusal:
        parse(":marks", text=text)
    assert refusal.value.hint == hint


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("0", "the file has 9 lines"),
        ("3:2", "write the smaller line first; columns are written 10:5-12:20"),
        ("10", "write a line from 1 to 9"),
        ("3:1-3:2", "columns count from 1"),
        ("2:4-2:3", "write the smaller column first"),
        (":todo", "name lines or a symbol instead"),
    ],
)
def test_what_names_nothing_is_refused_with_a_remedy(spec, hint):
    with pytest.raises(UsageError) as refusal:
        parse(spec)
    assert refusal.value.hint == hint


@settings(deadline=None)
@given(st.text(st.sampled_from("ab \t\r\n"), max_size=30), st.integers(1, 12), st.integers(0, 4))
def test_a_region_of_lines_lies_in_the_text_and_between_newlines(text, first, more):
    try:
        (found,) = parse(f"{first},+{more}", text=text)
    except UsageError:
        assert first + more > max(1, len(re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)))
    else:
        assert 0 <= found.start <= found.stop <= len(text)
        assert found.stop == len(text) or text[found.stop] in "\r\n"
        assert re.search(r"(?:^|[\r\n])[ \t]*\Z", text[: found.start])


@pytest.mark.parametrize(
    "stub", ["pass" + " " * 30_000 + "x", "..." + " " * 30_000, "todo!(" + ") " * 15_000 + "x", " " * 30_000 + "x"]
)
def test_a_line_of_blanks_takes_no_time(stub):
    """Every division of the blanks was tried: 30,000 took 20 s."""
    (region,) = regions.todos(f"# TODO\n{stub}\n")
    assert (region.start == region.stop) is stub.endswith("x")
