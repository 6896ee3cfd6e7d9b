"""The card says what was measured, and nothing of where."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from diffucli.lab.machine import Machine
from diffucli.mini import card
from diffucli.mini.training_log import LossPoint, TrainedPackage, TrainingLog
from diffucli.model.config import Config
from diffucli.model.registry import Entry, Facts

drawing = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib comes with the extra train")
SIZE = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
LOG = TrainingLog(
    recipe={"size": SIZE, "seed": 3, "device": "cpu"},
    machine=Machine("Fast CPU", 2, 1, "cpu"),
    packages=(TrainedPackage("toys", "1.2", "MIT", 40), TrainedPackage("tools", "3", "BSD", 2)),
    parameters=4_700_000,
    steps=1234,
    tokens=18_000_000,
    seconds=5520.0,
    rows={
        "task": 100_000,
        "composition": 20,
        "task fill": 3,
        "composition fill": 4,
        "everyday fill": 6_789,
        "open fill": 5,
    },
    programs=77_777,
    points=tuple(LossPoint(i, i * 1000, "causal" if i < 3 else "diffusion", 9.5 - i) for i in range(9)),
    sessions=(92.0,),
)
FACTS = Facts(
    Entry("mini", Path("/home/somebody/mini"), embedded=True),
    Config(2048, 256, 704, num_layers=5, num_heads=4, num_kv_heads=2, trained_length=320),
    None,
    9_500_000,
)
TABLES = {"One greedy answer": "| a | b |\n|---|---|", "Ten": "| c |"}


def test_it_names_what_was_measured() -> None:
    page = card.text(LOG, FACTS, TABLES, picture="mini-loss.svg")
    text = f"{page}{page.replace(chr(10), ' ')}"  # as it stands, and without its line breaks
    for part in (
        "4.7 million parameters in 9.5 MB",
        "5 layers of width 256 with 4 heads, a byte-level vocabulary of 2,048 entries",
        "(77,777 distinct programs",
        "|   100,000 | Apache-2.0",
        "templates) ",
        "|     6,789 | Apache-2.0",
        "42 functions of open code",
        "| toys 1.2  |        40 | MIT     |",
        "92 minutes on one thread of a machine with 2 cores (Fast CPU): 18.0 million tokens in 1,234 steps",
        "For the first 25 % of the time",
        "it ends at 1.50 nats a token](mini-loss.svg)",
        "One greedy answer:\n\n| a | b |\n",
        "toolz, platformdirs",
        "diffu train mini -o FOLDER --minutes 92 --size small --seed 3",
    ):
        assert part in text, part


def test_it_names_no_path_and_leaves_no_field_empty() -> None:
    text = card.text(LOG, FACTS, TABLES, picture=None)
    assert "somebody" not in text
    assert "{" not in text
    assert "![" not in text


def test_lines_of_the_page_are_of_its_width() -> None:
    text = card.text(LOG, FACTS, TABLES, picture="x.svg")
    assert [line for line in text.splitlines() if len(line) > card.WIDTH and not line.startswith(("|", "!"))] == []


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (Machine("X", 1, 1, "cpu"), "one thread of a machine with one core (X)"),
        (Machine("X", 16, 8, "NVIDIA H100"), "one NVIDIA H100 with 8 threads of a machine with 16 cores (X)"),
    ],
)
def test_the_machine_in_words(machine: Machine, words: str) -> None:
    assert words in card.text(replace(LOG, machine=machine), FACTS, TABLES, picture=None)


@pytest.mark.parametrize(("seconds", "words"), [(6.0, "0.1 minutes"), (5520.0, "92 minutes"), (9000.0, "2.5 hours")])
def test_durations_in_words(seconds: float, words: str) -> None:
    assert f"\n{words} on" in card.text(replace(LOG, seconds=seconds), FACTS, TABLES, picture=None)


def test_the_card_has_the_note_of_the_training() -> None:
    text = card.text(replace(LOG, note="It was resumed once."), FACTS, TABLES, picture=None)
    assert "classic tasks. It was resumed once." in text.replace("\n", " ")


def test_every_session_has_its_command() -> None:
    text = card.text(replace(LOG, sessions=(12.0, 64.5)), FACTS, TABLES, picture=None)
    first = "diffu train mini -o FOLDER --minutes 12 --size small --seed 2"
    assert f"{first}\ndiffu train mini -o FOLDER --minutes 64.5 --size small --seed 2 --resume\n" in text


@drawing
def test_card_and_picture_are_in_one_folder(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "mini.md"
    card.write_card(page, log=LOG, facts=FACTS, tables=TABLES, picture=True)
    svg = (tmp_path / "docs" / "mini-loss.svg").read_text()
    assert "(mini-loss.svg)" in page.read_text()
    for words in ("next token", "masked diffusion", "loss, nats a token", "million tokens seen"):
        assert words in svg
    card.write_card(page, log=LOG, facts=FACTS, tables=TABLES, picture=True)
    assert (tmp_path / "docs" / "mini-loss.svg").read_text() == svg, "the same every time"


@drawing
def test_a_picture_may_be_a_png(tmp_path: Path) -> None:
    card.plot_loss(LOG.points, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_card_without_a_picture_is_one_file(tmp_path: Path) -> None:
    card.write_card(tmp_path / "mini.md", log=LOG, facts=FACTS, tables=TABLES, picture=False)
    assert [path.name for path in tmp_path.iterdir()] == ["mini.md"]
