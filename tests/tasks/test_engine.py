"""Requests become runs, and last canvases become text: on the golden checkpoint and on canvases written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from diffucli.decode.policy import PRESETS
from diffucli.decode.sample import SURE
from diffucli.errors import UsageError
from diffucli.events import Finished, Started, Stepped, fold
from diffucli.model import registry
from diffucli.model.load import load
from diffucli.tasks.engine import ANSWER, FREE, Engine, Gap

if TYPE_CHECKING:
    from diffucli.model.load import Checkpoint
    from diffucli.tasks.engine import Run

BALANCED, EXACT = PRESETS["balanced"], PRESETS["exact"]


@pytest.fixture(scope="module")
def engine(checkpoint: Checkpoint) -> Engine:
    return Engine(checkpoint, BALANCED)


@pytest.fixture(scope="module")
def padding(checkpoint: Checkpoint) -> Engine:
    """The golden checkpoint as if it were trained to pad inside holes."""
    return Engine(replace(checkpoint, config=replace(checkpoint.config, hole_padding=True)), BALANCED)


@pytest.fixture(scope="module")
def mini() -> Checkpoint:
    """The embedded model."""
    return load(registry.find("mini").folder)


def ended(run: Run, engine: Engine, *texts: str) -> Finished:
    """The end of `run` had it written `texts`, specials by name, into its holes; what is left stays masked."""
    words = engine.checkpoint.tokenizer
    tokens = list(run.layout.tokens)
    for hole, text in zip(run.layout.holes, texts, strict=True):
        ids = words.encode(text, special=True)
        assert len(ids) <= len(hole)
        tokens[hole.start : hole.stop] = [*ids, *[words.mask] * (len(hole) - len(ids))]
    return Finished(tuple(tokens), "end", 1, 0.1)


def sizes(run: Run) -> list[int]:
    return [len(hole) for hole in run.layout.holes]


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("x = 1\n```<|im_end|>", "x = 1\n"),
        ("x = 1\n```\nThis sets x.<|im_end|>", "x = 1\n"),
        ("x = 1<|endoftext|>y = 2", "x = 1\n"),
        ("\n\nx = 1\n\n\n<|dlm_pad|>", "x = 1\n"),
        ("s = '```'\n```<|im_end|>", "s = '```'\n"),
        ("    ~~~\n", ""),
        ("<|im_end|>", ""),
    ],
)
def test_an_answer_ends_at_its_fence_or_turn_with_one_newline(engine: Engine, written: str, code: str) -> None:
    run = engine.generate("do it", length=40)
    assert engine.answer_of(run, ended(run, engine, written)) == (code, True)


def test_an_answer_that_fills_the_canvas_is_told_apart(engine: Engine) -> None:
    run = engine.generate("do it", length=8)
    assert engine.answer_of(run, ended(run, engine, "x = 1")) == ("x = 1\n", False)


def test_the_default_answer_has_room_for_256_tokens(engine: Engine) -> None:
    assert sizes(engine.generate("do it")) == [ANSWER] == [256]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_an_answer_has_the_tokens_it_must_have_before_it_may_end(checkpoint: Checkpoint, preset: str) -> None:
    run = Engine(checkpoint, PRESETS[preset]).generate("do it", length=24, least=20)
    *_, final = run.events
    assert isinstance(final, Finished)
    start = run.layout.holes[0].start
    assert run.ends.isdisjoint(final.tokens[start : start + 20])


def test_no_run_writes_a_special_token_into_a_hole_of_a_file(engine: Engine) -> None:
    words = engine.checkpoint.tokenizer
    for seed in range(3):
        hot = Engine(
            engine.checkpoint, replace(BALANCED, seed=seed, sampling=replace(BALANCED.sampling, temperature=3.0))
        )
        run = hot.fill(["x = ", "\n"], [Gap(low=20, high=20)])
        final = list(run.events)[-1]
        hole = run.layout.holes[0]
        assert isinstance(final, Finished)
        assert not words.specials & set(final.tokens[hole.start : hole.stop])


def test_a_padding_checkpoint_may_pad_but_not_before_the_least_length(padding: Engine) -> None:
    words = padding.checkpoint.tokenizer
    for seed in range(4):
        hot = Engine(padding.checkpoint, replace(EXACT, seed=seed, sampling=replace(EXACT.sampling, temperature=5.0)))
        run = hot.fill(["x = ", "\n"], [Gap(low=12, high=40)])
        final, start = list(run.events)[-1], run.layout.holes[0].start
        assert isinstance(final, Finished)
        assert words.pad not in final.tokens[start : start + 12]


def test_how_many_masks_a_gap_gets(engine: Engine, padding: Engine) -> None:
    gaps = [Gap(), Gap(low=8, high=8), Gap(low=1, high=41), Gap(old="x = 1 + 1")]
    parts = ["a", "b", "c", "d", "e"]
    old = len(engine.checkpoint.tokenizer.encode("x = 1 + 1"))
    assert sizes(engine.fill(parts, gaps)) == [FREE, 8, 21, old]
    assert sizes(padding.fill(parts, gaps)) == [FREE, 8, 41, old + 16], "slack can be padded"


def test_all_gaps_stand_in_one_canvas_and_come_back_in_order(engine: Engine) -> None:
    parts = ["a = ", "\nif b:\n    ", "\n"]
    run = engine.fill(parts, [Gap(), Gap()])
    final = ended(run, engine, " 1", " return c\n")
    assert engine.pieces_of(run, final, parts) == ("1", "return c"), "the spaces belong to the parts before"


def test_fill_leaves_far_lines_out_and_says_how_many(engine: Engine) -> None:
    known = engine.checkpoint.context
    far = "y = 12345\n" * known
    run = engine.fill([far + "x = ", "\n" + far], [Gap()])
    assert "lines far from the regions were left out" in run.note
    assert len(run.layout.tokens) <= known
    text = engine.checkpoint.tokenizer.decode(run.layout.tokens)
    assert "x =<|mask|>" in text, "the line that the gap stands in is seen"
    assert text.split("x =")[0].count("\n") > 20, "both sides are seen"
    assert text.split("<|mask|>")[-1].count("\n") > 20, "both sides are seen"


def test_short_files_are_seen_whole_and_without_a_note(engine: Engine) -> None:
    run = engine.fill(["a\n" * 5, "b\n" * 5], [Gap()])
    assert run.note == ""
    text = engine.checkpoint.tokenizer.decode(run.layout.tokens)
    assert (text.count("a\n"), text.count("b\n")) == (5, 5)


def test_regions_too_far_apart_are_refused_with_the_numbers(engine: Engine) -> None:
    with pytest.raises(UsageError, match=r"tokens long, more than the \d+ the model can take"):
        engine.fill(["a", "b " * 9000, "c"], [Gap(), Gap()])


def test_a_canvas_beyond_what_was_trained_gets_a_note_and_far_beyond_a_refusal(engine: Engine) -> None:
    known = engine.checkpoint.context
    assert f"the {known} the model was trained for" in engine.generate("do it", length=known).note
    with pytest.raises(UsageError, match="more than the 4096") as refused:
        engine.generate("do it", length=2 * known)
    assert "smaller --length" in refused.value.hint


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_events_of_a_run_add_up_to_its_last_canvas(checkpoint: Checkpoint, preset: str) -> None:
    run = Engine(checkpoint, PRESETS[preset]).generate("do it", length=24)
    events = list(run.events)
    assert isinstance(events[0], Started)
    final = events[-1]
    assert isinstance(final, Finished)
    assert fold(events) == final.tokens
    assert final.nfe == sum(isinstance(event, Stepped) for event in events)
    assert final.tokens[: run.layout.holes[0].start] == run.layout.tokens[: run.layout.holes[0].start]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_speculation_writes_the_same_in_no_more_forwards(checkpoint: Checkpoint, preset: str) -> None:
    finals = []
    for speculate in (0, 3):
        policy = replace(PRESETS[preset], speculate=speculate)
        *_, final = Engine(checkpoint, policy).generate("do it", length=24).events
        assert isinstance(final, Finished)
        finals.append(final)
    assert finals[0].tokens == finals[1].tokens
    assert finals[0].nfe >= finals[1].nfe


def test_nothing_runs_before_the_first_event_is_pulled(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("diffucli.decode.predict.Windowed.__call__", lambda *_: calls.append(1))
    engine.generate("do it", length=4)
    assert not calls


def test_by_line_nothing_is_written_behind_a_sure_line_end_before_its_line_is(mini: Checkpoint) -> None:
    """mini is sure of many at once, so that the same code comes in more steps."""
    plain = Engine(mini, PRESETS["balanced"])
    by_line = Engine(mini, replace(plain.policy, by_line=True))
    whole, lines = (list(engine.generate("write a quicksort", length=96).events) for engine in (plain, by_line))
    assert len(lines) > len(whole)
    ends = set(mini.tokenizer.line_ends)
    for event in lines[1:-1]:
        assert isinstance(event, Stepped)
        sure = [
            place
            for place, token, score in zip(event.positions, event.tokens, event.scores, strict=True)
            if token in ends and score >= SURE
        ]
        assert not sure or sure == [max(event.positions)]


def test_line_ends_are_the_tokens_that_hold_a_newline(mini: Checkpoint) -> None:
    words = mini.tokenizer
    assert words.encode("\n")[0] in words.line_ends
    assert all(b"\n" in words.piece(i) for i in words.line_ends)
    assert len(words.line_ends) == sum(b"\n" in words.piece(i) for i in range(words.vocab_size))
