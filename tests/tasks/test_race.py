"""Of texts that are written side by side the best clean one wins, and what cannot win is not written to its end."""

from __future__ import annotations

import pytest

from diffucli.decode.canvas import Span
from diffucli.decode.lanes import side_by_side
from diffucli.events import Finished, Started, Stepped
from diffucli.tasks import length
from diffucli.tasks.prompt import Layout
from diffucli.tasks.race import Race
from diffucli.tasks.write import HoleText, RunOutput


def told(tokens, logprobs, *, seen=None):
    """A run that writes a token a step, each of which costs a forward; `seen` gets what it has written."""
    yield Started((0,) * len(tokens), 9, ((0, len(tokens)),))
    for i, (token, logprob) in enumerate(zip(tokens, logprobs, strict=True)):
        left = len(tokens) - i - 1
        yield Stepped(i + 1, (i,), (token,), (logprob,), (0, len(tokens)), left, i + 1.0, 0.0, (), (logprob,))
        if seen is not None:
            seen.append(token)
    yield Finished(tuple(tokens), "complete", float(len(tokens)), 0.0)
    layout = Layout((0,) * len(tokens), (Span(0, len(tokens)),), Span(0, len(tokens)))
    return RunOutput(layout, (HoleText(tuple(tokens), tuple(logprobs)),), len(tokens), 0, float(len(tokens)), 0.0)


@pytest.fixture
def run(result_of, monkeypatch):
    """Makes a race of what is told, in order: (race, outputs, texts read). dirty: faults, ends: ends, by text."""

    def go(*texts, dirty=None, ends=None, most=9, breaking=(), pads=True):
        def end_logprob(layout, _number, _tokenizer):
            yield from ()
            return (ends or {}).get(layout.tokens, 0.0), 1.0

        def faults(output):
            read.append(output.holes[0].tokens)
            return (dirty or {}).get(output.holes[0].tokens)

        read = []
        monkeypatch.setattr(length, "end_logprob", end_logprob)
        race = Race(faults, lambda output: output.holes[0].tokens in breaking, object() if pads else None, most)
        outputs = []
        for tokens, logprobs, fixed, *seen in texts:
            lane = race.lane(told(tokens, logprobs, seen=seen[0] if seen else None), len(tokens) if fixed else None)
            outputs += result_of(side_by_side([lane]))
        return race, outputs, read

    return go


def best_of(race):
    return race.best.holes[0].tokens


def test_the_clean_text_with_the_highest_score_wins(run):
    texts = [((1, 1), (-0.5, -0.5), True), ((2, 2), (-0.1, -0.1), True), ((3, 3), (-0.3, -0.3), True)]
    race, _, _ = run(*texts)
    assert best_of(race) == (2, 2)
    race, _, _ = run(*texts, dirty={(2, 2): (1,)})
    assert best_of(race) == (3, 3)
    race, _, _ = run(*texts, dirty={(1, 1): (1,), (2, 2): (3,), (3, 3): (1,)})
    assert best_of(race) == (3, 3), "the fewest faults, and of these the highest score"


def test_an_unlikely_end_and_another_line_speak_against_a_text(run):
    texts = [((1, 1), (-0.15, -0.15), False), ((2, 2), (-0.1, -0.1), False)]
    assert best_of(run(*texts, ends={(2, 2): -4.0})[0]) == (1, 1)
    assert best_of(run(*texts, ends={(2, 2): -4.0}, pads=False)[0]) == (2, 2), "without padding there are no ends"
    assert best_of(run(*texts, breaking={(2, 2)})[0]) == (1, 1)


def test_a_text_that_several_lengths_agree_on_is_better_than_a_likelier_one(run):
    sure, agreed = ((1, 1), (-0.01, -0.01), False), ((2, 2), (-0.15, -0.15), False)
    assert best_of(run(sure, agreed)[0]) == (1, 1)
    race, _, read = run(sure, agreed, agreed)
    assert best_of(race) == (2, 2)
    assert read == [(1, 1), (2, 2)], "each is read once"
    assert best_of(run(sure, agreed, agreed, sure)[0]) == (1, 1)


def test_the_surest_writing_of_a_text_is_kept(run):
    race, outputs, _ = run(((1,), (-0.5,), False), ((1,), (-0.1,), False), ((1,), (-0.3,), False))
    assert race.best is outputs[1]


def test_what_cannot_be_the_best_any_more_is_given_up_and_has_its_cost(run):
    seen = []
    race, outputs, read = run(((1, 1), (-0.1, -0.1), True), ((2, 2, 2, 2), (-0.3, -2.0, -0.1, -0.1), True, seen))
    assert outputs[1] is None
    assert (seen, read) == ([2], [(1, 1)]), "its second token was too unlikely"
    assert race.nfe == 2 + 1 + 2, "two steps and an end; two steps"


def test_nothing_is_given_up_before_a_clean_text_nor_where_the_length_is_not_known(run):
    unlikely = (2, 2, 2), (-5.0, -5.0, -5.0)
    assert run(((1,), (-0.1,), True), (*unlikely, True), dirty={(1,): (1,)})[1][1] is not None
    assert run(((1,), (-0.1,), True), (*unlikely, False))[1][1] is not None


def test_a_length_that_others_have_found_may_still_win(run):
    """With the text of another length it would have two votes."""
    likelier, found = ((1, 1, 1), (-0.05,) * 3, True), ((2, 2), (-0.3, -0.3), False)
    assert run(likelier, found, ((2, 2), (-0.2, -0.2), True))[1][2] is not None
    assert run(likelier, ((2, 2), (-0.2, -0.2), True))[1][1] is None


def test_so_many_texts_are_read_and_an_empty_one_is_none(run):
    texts = [((i,), (-0.5 + 0.1 * i,), True) for i in range(1, 5)]
    race, _, read = run(*texts, dirty={(i,): (9 - i,) for i in range(5)}, most=2)
    assert read == [(1,), (2,)]
    assert best_of(race) == (2,)
    assert run(((), (), False))[0].best is None
