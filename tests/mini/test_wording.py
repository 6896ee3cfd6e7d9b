"""A phrase becomes requests as people type them."""

from __future__ import annotations

import random

import pytest

from diffucli.mini.wording import (
    SYNONYMS,
    SYNONYMS_OF,
    all_requests,
    normalize,
    punctuate,
    reword,
    third_person,
    to_request,
)


def test_a_verb_phrase_is_asked_for_in_verb_frames() -> None:
    rng = random.Random(0)
    verbs = {to_request(rng, "sort a list", verb=True).lower().rstrip("?.") for _ in range(300)}
    nouns = {to_request(rng, "a sort", verb=False).lower().rstrip("?.") for _ in range(300)}
    assert {"sort a list", "how do i sort a list", "write a function that sorts a list"} <= verbs
    assert {"write a sort", "a sort", "i need a sort"} <= nouns
    assert not any("sorts" in text for text in nouns)


@pytest.mark.parametrize(
    ("phrase", "third"),
    [
        ("sort a list", "sorts a list"),
        ("copy a file", "copies a file"),
        ("play", "plays"),
        ("search", "searches"),
        ("do it", "does it"),
        ("pass on", "passes on"),
    ],
)
def test_the_third_person(phrase: str, third: str) -> None:
    assert third_person(phrase) == third


def test_only_questions_end_in_a_question_mark() -> None:
    rng = random.Random(1)
    assert {punctuate(rng, "how to sort")[-1] for _ in range(99)} == {"t", "?"}
    assert {punctuate(rng, "sort")[-1] for _ in range(99)} == {"t", "."}


def test_every_request_of_a_phrase_is_among_those_it_may_become() -> None:
    rng = random.Random(2)
    for phrase, verb in [("sort a list", True), ("a sort", False)]:
        assert {normalize(to_request(rng, phrase, verb=verb)) for _ in range(2000)} == set(
            all_requests(phrase, verb=verb)
        )


def test_words_are_changed_for_others_of_their_group_alone() -> None:
    rng = random.Random(3)
    found = {reword(rng, "sort the largest list") for _ in range(600)}
    assert "sort the largest list" in found
    assert len(found) > 20
    for text in found:
        verb, _, size, kind = text.split()
        assert (verb in SYNONYMS_OF["sort"], size in SYNONYMS_OF["largest"], kind in SYNONYMS_OF["list"]) == (True,) * 3


def test_a_word_within_another_word_stands() -> None:
    rng = random.Random(4)
    assert {reword(rng, "enlist sorted stringy twofold") for _ in range(50)} == {"enlist sorted stringy twofold"}


def test_a_word_belongs_to_one_group() -> None:
    words = [word for group in SYNONYMS for word in group]
    assert sorted({word for word in words if words.count(word) > 1}) == []
