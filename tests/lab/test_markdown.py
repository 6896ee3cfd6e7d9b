"""Tables and lists in Markdown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from diffucli.lab import markdown

cells = st.text("abc 012", min_size=1, max_size=9)


def test_the_first_column_is_text_and_the_others_are_numbers() -> None:
    assert markdown.table(["preset", "NFE"], [["fast", "7"], ["balanced", "1234"]]) == (
        "| preset   |  NFE |\n"
        "| -------- | ---: |\n"
        "| fast     |    7 |\n"
        "| balanced | 1234 |"
    )  # fmt: skip


def test_columns_of_text_are_aligned_to_the_left() -> None:
    assert (
        markdown.table(["n", "licence"], [["10", "MIT"]], text=[1])
        == "|  n | licence |\n| -: | ------- |\n| 10 | MIT     |"
    )


@given(st.integers(1, 5).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1)))
def test_every_line_is_as_long_as_the_others_and_holds_its_cells(rows: list[list[str]]) -> None:
    header, _, *lines = markdown.table(rows[0], rows[1:]).splitlines()
    assert len({len(line) for line in (header, *lines)}) == 1
    for line, row in zip([header, *lines], rows, strict=True):
        assert [cell.strip() for cell in line.strip("|").split("|")] == [cell.strip() for cell in row]


def test_a_table_without_rows_is_its_header() -> None:
    assert markdown.table(["a", "b"], []) == "| a | b |\n| - | : |"


def test_a_list_rounds_floats_and_spells_out_names() -> None:
    assert markdown.bullets({"load_seconds": 1.26, "cores": 2}) == "- load seconds: 1.3\n- cores: 2"
