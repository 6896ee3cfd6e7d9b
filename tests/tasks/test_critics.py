"""Critics: each finds what it is there for, and leaves ordinary code alone."""

from __future__ import annotations

import ast
import random
import sysconfig
import textwrap
from pathlib import Path

import pytest

from diffucli.syntax.languages import by_name
from diffucli.tasks.critics import NewText, depth, warnings_of
from diffucli.tasks.verify import verify_answer

PYTHON, RUST, JS = by_name("python"), by_name("rust"), by_name("javascript")


def warned(piece: str, behind: str = "", *, before: str = "", old: str = "", language=PYTHON) -> list[tuple[str, str]]:
    """The place in the text and the message of each warning about `piece` between two texts."""
    text, first = before + piece + behind, len(before)
    plain = before + (old or "pass") + behind
    found = warnings_of(plain, text, [NewText(first, first + len(piece), old)], language)
    return [(text[one.start : one.stop], one.message) for one in found]


@pytest.mark.parametrize(
    ("piece", "place"),
    [
        ("len(xs) / len(xs) / len(xs)\n", " / len(xs)"),
        ("x = aa + bb.c + bb.c + bb.c\n", "+ bb.c + bb.c"),
        ("f(1, value, value, value)\n", ", value, value"),
        ("return text[::-1][::-1]\n", "[::-1]"),
        ("x = 1\nprint(x)\nprint(x)\nx = 2\n", "print(x)\n"),
        ("x = 1\nprint(x)\nprint(x)\nprint(x)\n", "print(x)\nprint(x)\n"),
        ("if x:\n    return 1\n    return 1\n", "    return 1\n"),
    ],
)
def test_what_is_repeated_at_once_is_told_with_its_place(piece, place):
    found = warned(piece, language=JS)
    assert len(found) == 1
    assert found[0][0].strip() == place.strip()
    assert found[0][1].endswith("is repeated")


@pytest.mark.parametrize(
    "piece",
    [
        "f(x, None, None)\n",
        "return rows[index][index]\n",
        "return hash(self.network.network)\n",
        "s = '/dev/null/dev/null' + \"%02d:%02d:%02d:\"\n",
        "x = 1  # --name --name --name\n",
        '"""\n-----\n-----\n:name :name :name\n"""\n',
        "try:\n    try:\n        pass\n    finally:\n        f()\nfinally:\n    f()\n",
        "}\n}\n}\n",
        "x = [[0, 0, 0], [0, 0, 0]]\n",
        "a + b + c + d\n",
    ],
)
def test_what_ordinary_code_repeats_is_no_warning(piece):
    assert [message for _, message in warned(piece) if "undefined" not in message] == []


def test_a_last_line_that_is_also_the_next_one_is_told():
    before, behind = "def f(xs):\n    ", "\n    return total\n"
    found = warned("total = 0\n    return total", behind, before=before)
    assert found == [("return total", "`return total` stands below already")]
    assert warned("total = 0\n    total += 1", behind, before=before) == []
    assert warned("total = 0", "\n\n    total = 0\n", before=before) == [], "one line may be wanted twice"


@pytest.mark.parametrize("piece", ["# nothing\n", "pass\n", "\n", "...\n", "# a\n\n# b\npass\n"])
def test_code_that_became_none_is_told(piece):
    (found,) = warned(piece, old="x = 1\n")
    assert found == (piece, "code was replaced by none")
    assert warned(piece, old="# TODO\npass\n") == [], "there was none before"
    assert warned(piece) == [], "a hole held none"


def test_code_that_became_a_comment_is_told_in_other_languages():
    assert warned("// nothing\n", old="f();\n", language=RUST) == [("// nothing\n", "code was replaced by none")]
    assert warned("g();\n", old="f();\n", language=RUST) == []


def test_a_symbol_that_is_no_longer_defined_is_told():
    before, old, behind = "x = 1\n\n\n", "def load(path):\n    return path\n", "\n\nload(x)\n"
    assert [message for _, message in warned("def save(path):\n    return path\n", behind, before=before, old=old)] == [
        "`load` is no longer defined",
        "undefined name `load`",
    ]
    assert warned("def load(path):\n    return 1\n", behind, before=before, old=old) == []


def test_a_method_that_is_no_longer_defined_is_told_and_others_may_be_added():
    before, old = "class A:\n", "    def load(self):\n        return 1\n"
    assert [message for _, message in warned("    x = 2\n", before=before, old=old)] == [
        "`A.load` is no longer defined"
    ]
    assert warned(old + "\n    def save(self):\n        return 2\n", before=before, old=old) == []


@pytest.mark.parametrize("language", [PYTHON, RUST])
def test_controls_that_turn_text_around_are_told(language):
    piece = "x = 'a\u202e\u2066b'\n"
    assert warned(piece, language=language) == [("\u202e\u2066", "the text contains bidirectional controls")]


def test_undefined_names_are_told_in_python_alone_and_only_new_ones():
    assert warned("y = zz\n") == [("zz", "undefined name `zz`")]
    assert warned("y = zz\n", "w = zz\n") == [], "it was undefined before"
    assert warned("y = zz;\n", language=JS) == []
    assert warned("def f():\n    load(1)\n", "def load(x):\n    return x\n") == []


def test_warnings_come_in_order_with_lines_and_columns():
    text = "a = 1\nb = cc\nc = dd\n"
    found = warnings_of("a = 1\n", text, [NewText(6, len(text))], PYTHON)
    assert [(one.line, one.column) for one in found] == [(2, 5), (3, 5)]


def test_depth_is_smaller_the_fewer_errors_and_the_later_the_first():
    def of(text: str) -> tuple[int, int]:
        return depth(text, PYTHON, verify_answer(text, PYTHON, "error"))

    assert of("x = 1\n") == (0, 0)
    assert of("def f(:\n    pass\nx = 1\n") > of("x = 1\nx = 2\ndef f(:\n") > (0, 0)
    one, two = "x = [1]\ny = 2)\n", "x = 1]\ny = 2)\n"
    assert (of(two)[0], of(one)[0]) == (2, 1)
    assert of("return\n" + "x = 1\n" * 4) == (1, 5), "what only the compiler finds is one error"


def functions(count: int) -> list[tuple[str, int, int]]:
    """Ordinary functions: modules of the standard library, and the body of one function in each."""
    found = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("[a-z]*.py")):
        text = path.read_text(encoding="utf-8", errors="ignore")
        starts = [0]
        for line in text.split("\n"):
            starts.append(starts[-1] + len(line) + 1)
        found += [
            (text, starts[node.body[0].lineno - 1], starts[node.end_lineno])
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef) and len(text) < 40_000 and node.end_lineno - node.lineno < 40
        ]
    return random.Random(0).sample(found, count)


def test_ordinary_code_gives_hardly_any_warning():
    """Below 2 % of the functions, each as if it had just been written into its module."""
    false = []
    for text, start, stop in functions(200):
        body = text[start:stop]
        indent = body[: len(body) - len(body.lstrip())]
        found = warnings_of(text[:start] + indent + "pass\n" + text[stop:], text, [NewText(start, stop)], PYTHON)
        false += [(textwrap.shorten(body, 60), one.message) for one in found[:1]]
    assert len(false) < 0.02 * 200, false
