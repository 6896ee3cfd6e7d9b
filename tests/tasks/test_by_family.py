"""Requests and holes are written by what each family can do: its prompt, its length, what it sees."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diffucli.decode.loop import alone
from diffucli.decode.policy import PRESETS
from diffucli.edit import source
from diffucli.events import Resized, Started, fold
from diffucli.tasks.engine import Effort, constraints_of, fitted, growing
from diffucli.tasks.fill import fill
from diffucli.tasks.generate import Request, generate
from diffucli.tasks.jobs import Wanted, jobs_of
from diffucli.tasks.length import Size, ended
from diffucli.tasks.length import growing as growing_size
from diffucli.tasks.options import DecodingOptions

FAMILIES = ("dreamon", "p2", "blockwise", "llada")
BALANCED, ONCE = PRESETS["balanced"], Effort(repair=0, doubt=False)


def job_of(text: str, *regions: str):
    return jobs_of([(source.from_bytes(text.encode()), None)], Wanted(regions, language=None))[0]


def run(checkpoint, task):
    """The events of a task, and its result."""
    events, pulled = [], alone(checkpoint.network, task)
    while True:
        try:
            events.append(next(pulled))
        except StopIteration as end:
            return events, end.value


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("preset", ["balanced", "fast", "published"])
def test_every_family_answers_with_every_preset(checkpoint_of, family, preset):
    checkpoint = checkpoint_of(family)
    policy = DecodingOptions(preset=preset, seed=0).policy(checkpoint.family)
    events, result = run(checkpoint, generate(checkpoint, Request("x", length=12, verify="off"), policy, effort=ONCE))
    (hole,) = result.chosen.written.holes
    assert 0 < len(hole.tokens) <= 12
    assert checkpoint.tokenizer.specials.isdisjoint(hole.tokens)
    started = next(event for event in events if isinstance(event, Started))
    text = checkpoint.tokenizer.decode(started.tokens)
    begins = {"dreamon": "<|beginoftext|># x\n", "p2": "# x\n", "llada": "<|startoftext|><|start_header_id|>user<|"}
    assert text.startswith(begins.get(family, "<[begin▁of▁sentence]>user\nx<[end▁of▁sentence]>"))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_fills_holes_between_their_sides(checkpoint_of, family):
    """Without a length, and with one; what is not in the holes stays."""
    checkpoint = checkpoint_of(family)
    text = "a = ???\nb = ???2\n"
    _, filled = run(checkpoint, fill(checkpoint, job_of(text), BALANCED, verify="warn", effort=ONCE))
    first, second = filled.result.pieces
    assert filled.result.text == text.replace("???2", second).replace("???", first)
    assert len(filled.result.chosen.written.holes[1].tokens) <= 2
    assert bool(filled.result.notes) is (family == "blockwise")


def test_a_dreamons_hole_finds_its_length_in_one_run(checkpoint_of):
    """It begins with four masks, and what resizes it is told; a length that is given stays."""
    checkpoint = checkpoint_of("dreamon")
    text, tokens, grown = "a = ???\nb = ???\nc = ???\n", [], []
    for hole in ("???", "???3", "???6-7"):
        job = job_of(text.replace("???\nc", f"{hole}\nc"))
        events, filled = run(checkpoint, fill(checkpoint, job, BALANCED, verify="off", effort=ONCE))
        started = next(event for event in events if isinstance(event, Started))
        assert [stop - start for start, stop in started.holes][::2] == [4, 4]
        grown.append(any(isinstance(event, Resized) for event in events))
        assert list(fold(events)) == list(events[-1].tokens)
        tokens.append([len(hole.tokens) for hole in filled.result.chosen.written.holes])
    assert any(grown), "holes change their length"
    assert tokens[1][1] == 3
    assert 6 <= tokens[2][1] <= 7


def test_the_bounds_of_a_growing_hole_follow_from_what_is_given():
    assert growing_size(0, None, None, most=64) == (Size(4, padded=False), (1, 64))
    assert growing_size(30, None, None, most=64) == (Size(30, padded=False), (1, 64))
    assert growing_size(100, None, None, most=64) == (Size(100, padded=False), (1, 150))
    assert growing_size(9, 5, 7, most=64) == (Size(7, padded=False), (5, 7))
    assert growing_size(0, 8, 8, most=64) == (Size(8, padded=False), (8, 8))


def test_a_hole_at_the_end_of_its_canvas_gets_room_and_an_end():
    assert ended(0, None, None) == Size(64, padded=True)
    assert ended(50, None, None) == Size(100, padded=True)
    assert ended(9, 1, 12) == Size(12, padded=True)
    assert ended(9, 12, 12) == Size(12, padded=False)


def test_the_limits_of_growth_are_those_of_the_policy(checkpoint_of):
    checkpoint = checkpoint_of("dreamon")
    words, policy = checkpoint.tokenizer, replace(BALANCED, max_length=20)
    plain = constraints_of(checkpoint, policy, ends=frozenset(), forbidden=words.specials, min_tokens=[1])
    grown = growing(plain, checkpoint, policy, [(1, 20)])
    expand, end = words.special("<|expand|>"), words.special("<|endoftext|>")
    assert {expand, end} <= {*plain.forbidden}
    assert {*plain.forbidden} - {*grown.forbidden} == {expand, end}
    assert (grown.resizing.budget, grown.resizing.longest, grown.resizing.bounds) == (40, 4096, ((1, 20),))
    given = growing(plain, checkpoint, replace(policy, expand_budget=0), [(1, 20)])
    assert given.resizing.budget == 0


def test_end_tokens_may_be_late_or_those_that_pad_never_written(checkpoint_of):
    words = checkpoint_of("llada").tokenizer
    end, turn = words.special("<|endoftext|>"), words.special("<|eot_id|>")
    found = {
        ends: constraints_of(
            checkpoint_of("llada"),
            replace(BALANCED, ends=ends),
            ends=words.ends | {7},
            forbidden=frozenset(),
            min_tokens=[1],
        )
        for ends in ("free", "late", "never")
    }
    assert {*found["free"].ends} == {*found["late"].ends} == {7, end, turn}
    assert {*found["late"].late} == {end, turn}
    assert {*found["never"].ends} == {7, turn}
    assert end in found["never"].forbidden
    assert {end, turn}.isdisjoint(found["free"].forbidden)
    assert not found["free"].late


def test_windows_are_no_longer_than_a_block_that_is_seen_at_once(checkpoint_of):
    causal, full = checkpoint_of("blockwise"), checkpoint_of("llada")
    for preset in ("balanced", "fast", "exact"):
        assert fitted(PRESETS[preset], causal).block == 4
        assert fitted(PRESETS[preset], full) is PRESETS[preset]
    assert fitted(replace(BALANCED, block=2), causal).block == 2


def test_a_block_causal_checkpoint_reads_what_is_behind_a_hole_first(checkpoint_of):
    """Hole by hole: those before it have their text, those behind it their old one; the typed beginning stays."""
    checkpoint = checkpoint_of("blockwise")
    text = "def f():\n    x = 1 + ???3\n    y = 2\n    return ???2\n"
    events, filled = run(
        checkpoint, fill(checkpoint, job_of(text, "3:5-3:9"), BALANCED, verify="off", effort=ONCE, instruction="do it")
    )
    canvases = [
        checkpoint.tokenizer.decode(event.tokens) for event in events if isinstance(event, Started) and event.holes
    ]
    first, second, third = filled.result.pieces
    behind = ["\n    y = 2\n    return \n", "\n    return \n", "\n"]
    known = checkpoint.tokenizer.decode(filled.result.chosen.written.holes[0].tokens)
    before = ["# do it\ndef f():\n    x = 1 +", f"# do it\ndef f():\n    x = 1 +{known}\n   "]
    assert len(canvases) == 3
    for canvas, after in zip(canvases, behind, strict=True):
        assert canvas.startswith(f"<[fim-suffix]>{after}<[fim-prefix]>")
    for canvas, start in zip(canvases, before, strict=False):
        assert f"<[fim-prefix]>{start}<[fim-middle]>" in canvas
    assert filled.result.text == f"def f():\n    x = 1 + {first}\n    {second}\n    return {third}\n"
    assert filled.result.notes == ("this model sees one hole at a time, so they are filled one after the other",)


def test_a_single_hole_is_repaired_where_it_was_written(checkpoint_of):
    """On the canvas with its FIM prompt, in the blocks of the network."""
    checkpoint = checkpoint_of("blockwise")
    job = job_of("x = (???4)\n")
    events, filled = run(checkpoint, fill(checkpoint, job, BALANCED, verify="warn", effort=Effort(repair=1)))
    assert filled.result.chosen.written.layout.tokens[0] == checkpoint.tokenizer.special("<[fim-suffix]>")
    assert filled.result.text.startswith("x = (")
    assert filled.result.text.endswith(")\n")
    assert len(events) > 3
