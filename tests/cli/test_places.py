"""A region behind the name of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffucli.cli.places import split
from diffucli.cli.streams import STDIN
from diffucli.errors import UsageError


@pytest.mark.parametrize(
    ("name", "file", "region"),
    [
        ("app.py:10", "app.py", "10"),
        ("app.py:10-14", "app.py", "10-14"),
        ("app.py:10,14", "app.py", "10,14"),
        ("app.py:10,+3", "app.py", "10,+3"),
        ("app.py:10:5-12:20", "app.py", "10:5-12:20"),
        ("sub/app.py::load", "sub/app.py", "load"),
        ("app.cpp::ns::f", "app.cpp", "ns::f"),
        ("app.py::Cfg.load=whole", "app.py", "Cfg.load=whole"),
    ],
)
def test_a_region_stands_behind_the_name(name: str, file: str, region: str) -> None:
    assert split([Path(name)]) == {Path(file): (region,)}


@pytest.mark.parametrize("name", ["app.py", "app.py:", "app.py:x", "app.py::", "x" * 5000])
def test_other_names_are_files(name: str) -> None:
    assert split([Path(name)]) == {Path(name): ()}


def test_a_file_of_that_name_is_itself() -> None:
    for name in ("a.py:10", "a.py::f", "10:14"):
        Path(name).touch()
        assert split([Path(name)]) == {Path(name): ()}


def test_nothing_and_stdin_have_no_regions() -> None:
    assert split(None) == {}
    assert split([STDIN]) == {STDIN: ()}


def test_the_regions_of_a_file_are_brought_together() -> None:
    names = [Path(name) for name in ("a.py:1", "b.py", "a.py:5-6", "b.py::f")]
    assert split(names) == {Path("a.py"): ("1", "5-6"), Path("b.py"): ("f",)}


def test_a_file_is_named_twice_only_with_regions() -> None:
    with pytest.raises(UsageError, match=r"a\.py is named twice"):
        split([Path("a.py"), Path("a.py")])


@pytest.mark.parametrize("name", ["10", "10:14", "10-14", "10,+3", "10:5-12:20", ":errors", ":todo"])
def test_a_region_alone_belongs_behind_r(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        split([Path("app.py"), Path(name)])
    assert caught.value.message == f"{name}: no such file; did you mean -r {name}?"


@pytest.mark.parametrize("name", ["app.py:10:14", "app.py:10:14:"])
def test_two_numbers_may_be_two_things(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        split([Path(name)])
    assert caught.value.message == f"{name}: is it a column or a line behind line 10?"
    assert caught.value.hint == "write app.py:10 for the line, app.py:10-14 for lines 10 to 14"
