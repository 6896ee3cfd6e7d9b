"""Open code is read as short functions without their docstrings."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from diffucli.mini import corpus
from diffucli.mini.corpus import Function, functions

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = '''\
"""A module."""
import os

class Thing:
    @property
    def size(self):
        """How large it is.

        More of that.
        """

        return self.width * 2

def plain(x):
    """Adds one."""
    return x + 1

def undocumented(x):
    return x

def only_documented():
    """Says nothing."""

def umlaut(x):
    """Fügt hinzu."""
    return x

def tabbed(x):
    """Tabs."""
    return "	"

def long(x):
    """Too long."""
''' + "    x = x + 1\n" * 60 + "    return x\n"  # fmt: skip


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "toy_package_of_a_test"
    (folder / "tests").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "code.py").write_text(SOURCE, encoding="utf-8")
    (folder / "broken.py").write_text("def f(:\n")
    (folder / "latin.py").write_bytes(b"x = '\xff'\n")
    (folder / "tests" / "test_code.py").write_text('def test():\n    """Tests."""\n    assert True\n')
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_documented_short_ascii_functions_are_found_without_their_docstrings(package: str) -> None:
    assert sorted(functions((package,)), key=lambda f: f.summary) == [
        Function(package, "Adds one.", "def plain(x):\n    return x + 1\n"),
        Function(package, "How large it is.", "@property\ndef size(self):\n    return self.width * 2\n"),
    ]


def test_a_package_that_is_not_installed_has_none() -> None:
    assert list(functions(("no_such_package_anywhere",))) == []


def test_a_package_that_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_module_of_a_test.py").write_text('def f():\n    """One."""\n    return 1\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert list(functions(("toy_module_of_a_test",))) == [
        Function("toy_module_of_a_test", "One.", "def f():\n    return 1\n")
    ]


def test_the_standard_library_is_read_without_its_tests_and_others_packages() -> None:
    paths = list(corpus._files("stdlib"))
    assert any(path.name == "textwrap.py" for path in paths)
    assert not any({"site-packages", "test", "idlelib"} & set(path.parts) for path in paths)


def test_what_is_found_parses_and_is_short() -> None:
    found = list(functions(("packaging",)))
    assert len(found) > 20
    for function in found:
        assert isinstance(ast.parse(function.code).body[0], ast.FunctionDef)
        assert len(function.code) <= corpus.LONGEST
        assert function.code.isascii()


def test_the_packages_held_out_are_among_those_that_are_known() -> None:
    assert set(corpus.HELD_OUT) < set(corpus.PACKAGES)
