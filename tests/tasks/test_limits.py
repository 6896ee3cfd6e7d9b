"""What mini was not trained for is told, and English requests it may know are not suspected."""

from __future__ import annotations

import pytest

from diffucli.mini import held_out
from diffucli.mini.classics import classics
from diffucli.model import registry
from diffucli.model.load import check
from diffucli.model.registry import Limits
from diffucli.syntax.languages import by_name
from diffucli.tasks.limits import exceeded, is_familiar

PYTHON = by_name("python")
MOST_FLAGGED = 0.01
FOREIGN = (
    "schreibe eine Funktion, die eine Liste sortiert",
    "\u00e9cris une fonction qui trie une liste",
    "escribe una funci\u00f3n que ordene una lista",
    "scrivi una funzione che inverte una stringa",
    "die Summe der geraden Zahlen",
    "skriv en funktion som v\u00e4nder en str\u00e4ng",
    "een functie die een lijst omkeert",
    "liczby pierwsze",
    "\u043d\u0430\u043f\u0438\u0448\u0438 \u0444\u0443\u043d\u043a\u0446\u0438\u044e",
    "\u5199\u4e00\u4e2a\u5feb\u901f\u6392\u5e8f",
)


@pytest.fixture(scope="module")
def mini():
    """The embedded checkpoint's limits and tokenizer."""
    entry = registry.find(registry.MINI)
    _, _, tokenizer = check(entry.folder)
    return entry.limits, tokenizer


def test_english_requests_of_the_held_out_suite_are_hardly_ever_flagged(mini):
    texts = [one.text for one in held_out.phrasings(tasks=classics())]
    texts += [one.text for one in held_out.compositions(300)]
    flagged = [text for text in texts if not is_familiar(text, mini[1])]
    assert len(flagged) <= MOST_FLAGGED * len(texts), flagged


@pytest.mark.parametrize("text", FOREIGN)
def test_other_languages_are_flagged(mini, text):
    (told,) = exceeded(mini[0], mini[1], language=PYTHON, words=text)
    assert told.startswith("knows few of the words of this request")


@pytest.mark.parametrize("text", ["", "quicksort", "levenshtein", "write a quicksort", "2 + 2 = 4"])
def test_too_few_words_to_tell_and_known_ones_are_not(mini, text):
    assert is_familiar(text, mini[1])


def test_another_programming_language_and_contexts_are_told(mini):
    told = list(exceeded(mini[0], mini[1], language=by_name("rust"), words="write a quicksort", contexts=["x"]))
    assert told[0] == "knows no language but python, and rust is asked for"
    assert told[1].startswith("was not trained to read context")
    assert not list(exceeded(mini[0], mini[1], language=PYTHON, words="write a quicksort", contexts=[" "]))


def test_a_checkpoint_without_limits_is_told_of_nothing(mini):
    assert not list(exceeded(Limits(), mini[1], language=by_name("rust"), words=FOREIGN[0], contexts=["x"]))
