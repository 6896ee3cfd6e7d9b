"""A vocabulary learned in a second, a few open functions, and a network small enough to train in a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from diffucli.mini.checkpoint import learn_vocabulary
from diffucli.mini.classics import classics
from diffucli.mini.corpus import Function
from diffucli.model.tokenizer import read

if TYPE_CHECKING:
    from pathlib import Path

    from diffucli.model.tokenizer import Tokenizer

VOCAB_SIZE = 1024


@pytest.fixture(scope="session")
def vocabulary_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary in the published layout, learned from the classic tasks."""
    folder = tmp_path_factory.mktemp("vocabulary")
    texts = [text for task in classics() for text in (*task.solutions, *task.nouns, *task.verbs)]
    learn_vocabulary(texts, folder, vocab_size=VOCAB_SIZE)
    return folder


@pytest.fixture(scope="session")
def tokenizer(vocabulary_folder: Path) -> Tokenizer:
    return read(vocabulary_folder)


@pytest.fixture(scope="session")
def functions() -> list[Function]:
    return [
        Function("toys", "Twice a number.", "def twice(x):\n    return 2 * x\n"),
        Function("toys", "The first item.", "def first(items):\n    for item in items:\n        return item\n"),
        Function("tools", "Nothing at all.", "def nothing(\n    a,\n    b=None,\n):\n    del a, b\n    return None\n"),
    ]
