"""Prediction: shift, caches, batches and memory change what is computed, never what it means."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.commit import Progress, TopK, linear
from diffucli.decode.loop import alone
from diffucli.decode.policy import Policy
from diffucli.decode.predict import Predictor, Query
from diffucli.decode.sample import Sampling
from diffucli.errors import NoRoom
from diffucli.model.network import Network
from diffucli.model.transformer import Transformer

MASK = 12
CACHES = ("none", "prefix", "dual")
windows = st.integers(0, 20).flatmap(lambda a: st.integers(a + 1, 24).map(lambda b: Span(a, b)))


def canvas_of(length: int, *holes: Span, seed: int = 0, vocab: int = 12, mask: int = MASK) -> Canvas:
    tokens = torch.randint(0, vocab, (length,), generator=torch.Generator().manual_seed(seed))
    return Canvas(tokens, holes, mask=mask)


def query(canvas: Canvas, window: Span, cache: str = "dual") -> Query:
    """About all positions of a window."""
    positions = torch.arange(window.start, window.stop)
    return Query(canvas.tokens.clone(), window, positions, cache, Progress(0, 1))


def ask(predictor: Predictor, canvas: Canvas, window: Span, cache: str = "dual", *, run: int = 0) -> torch.Tensor:
    """The logits of a window, asked by one run alone."""
    (answer,) = predictor.answer([((run,), (query(canvas, window, cache),))])
    assert answer.nfe == 1
    return answer.logits[0]


def full(network, canvas: Canvas, window: Span) -> torch.Tensor:
    return ask(Predictor(network), canvas, window, "none")


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("cache", CACHES)
@given(window=windows)
def test_a_windows_logits_are_those_of_the_full_shift(fake, cache, shift, window, everywhere):
    canvas, network = canvas_of(24, window, seed=window.start), fake(shift)
    wanted = everywhere(network, canvas.tokens)[window.start : window.stop]
    assert torch.equal(ask(Predictor(network), canvas, window, cache), wanted)


@pytest.mark.parametrize("shift", [0, 1])
def test_everywhere_is_the_published_shift(fake, shift, everywhere):
    """cat([logits[:, :1], logits[:, :-1]], 1) for a shift of 1."""
    tokens, network = torch.arange(9), fake(shift)
    raw = network(tokens[None], [torch.arange(9)])
    shifted = torch.cat([raw[:1], raw[:-1]]) if shift else raw
    assert torch.equal(everywhere(network, tokens), shifted)


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("cache", CACHES)
@given(window=windows, seed=st.integers(0, 99))
def test_the_same_window_again_equals_full_in_a_network_of_one_layer(fake, cache, shift, window, seed):
    """Keys and values of one layer depend on their own token alone, and only the window's tokens changed."""
    network, canvas = fake(shift), canvas_of(24, window, seed=seed)
    predictor = Predictor(network)
    for position in range(window.start, min(window.start + 3, window.stop)):
        assert torch.equal(ask(predictor, canvas, window, cache), full(fake(shift), canvas, window))
        canvas.commit([position], [5])
    canvas.remask([window.start])
    assert torch.equal(ask(predictor, canvas, window, cache), full(fake(shift), canvas, window))


@pytest.mark.parametrize(("shift", "row"), [(0, 0), (1, 1)])
@pytest.mark.parametrize(("cache", "evaluated"), [("none", 24), ("prefix", 20), ("dual", 8)])
def test_the_same_window_again_evaluates_what_the_cache_lacks_and_the_row_the_shift_needs(
    fake, cache, evaluated, shift, row
):
    """A prefix cache lacks what stands behind the window too."""
    network, window = fake(shift), Span(4, 12)
    canvas, predictor = canvas_of(24, window), Predictor(network)
    for _ in range(3):
        ask(predictor, canvas, window, cache)
    again = 24 if cache == "none" else evaluated + row
    assert network.forwards == [(1, 24), (1, again), (1, again)]
    assert predictor.forwards == 3


def test_at_the_left_edge_the_first_output_serves_its_own_position(fake):
    network, window = fake(1), Span(0, 5)
    canvas, predictor = canvas_of(9, window), Predictor(network)
    for _ in range(2):
        found = ask(predictor, canvas, window)
    assert torch.equal(found[0], network(canvas.tokens[None], [torch.tensor([0])])[0])
    assert network.forwards[:2] == [(1, 9), (1, 5)], "nothing stands left of it"


def test_a_prefix_cache_is_nearer_to_full_forwards_than_a_dual_one(checkpoint):
    """What is behind the window sees what was written; what is before it does in neither."""
    window, predictor = Span(20, 40), Predictor(checkpoint.network)
    canvas = canvas_of(60, window, vocab=480, mask=checkpoint.tokenizer.mask)
    for run, cache in enumerate(("prefix", "dual")):
        ask(predictor, canvas, window, cache, run=run)
    canvas.commit([20, 25, 30], [3, 4, 5])
    wanted = full(checkpoint.network, canvas, window)
    prefix, dual = (
        (ask(predictor, canvas, window, cache, run=run) - wanted).abs().mean()
        for run, cache in enumerate(("prefix", "dual"))
    )
    assert 0 < prefix < dual


def test_a_new_window_or_canvas_costs_a_full_forward(fake):
    network, holes = fake(), (Span(4, 8), Span(12, 16))
    one, other, predictor = canvas_of(24, *holes), canvas_of(24, *holes, seed=1), Predictor(network)
    for canvas, window in [(one, holes[0]), (one, holes[1]), (other, holes[1]), (one, holes[1])]:
        assert torch.equal(ask(predictor, canvas, window), full(network, canvas, window))
    assert network.forwards == [(1, 24)] * 8


EDITS = {
    "commit behind the window": lambda canvas: canvas.commit([17], [5]),
    "commit before it": lambda canvas: canvas.commit([3], [5]),
    "remask behind it": lambda canvas: canvas.remask([16]),
    "remask before it": lambda canvas: canvas.remask([2]),
    "insert behind it": lambda canvas: canvas.insert(17),
    "insert before it": lambda canvas: canvas.insert(3),
    "delete behind it": lambda canvas: canvas.delete(18),
    "insert inside it": lambda canvas: canvas.insert(9),
    "insert and delete": lambda canvas: (canvas.insert(17), canvas.delete(3)),
}


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("edit", EDITS)
def test_keys_and_values_that_went_stale_are_computed_anew(fake, edit, shift):
    """Whatever changed outside of the window since they were computed."""
    window = Span(8, 12)
    canvas = canvas_of(24, Span(1, 5), window, Span(15, 20))
    canvas.commit([2, 16], [7, 7])
    network = fake(shift)
    predictor = Predictor(network)
    ask(predictor, canvas, window)
    ask(predictor, canvas, window)
    assert network.forwards[-1] != (1, 24)
    EDITS[edit](canvas)
    assert torch.equal(ask(predictor, canvas, window), full(fake(shift), canvas, window))
    assert network.forwards[-1] == (1, len(canvas))


def test_a_prefix_cache_stays_good_whatever_changes_behind_it(fake):
    window, network = Span(8, 12), fake()
    canvas, predictor = canvas_of(24, window, Span(15, 20)), Predictor(network)
    ask(predictor, canvas, window, "prefix")
    canvas.commit([17], [5])
    assert torch.equal(ask(predictor, canvas, window, "prefix"), full(fake(), canvas, window))
    assert network.forwards == [(1, 24), (1, 17)]


def test_the_neighbour_that_the_shift_needs_may_change(fake):
    """It is evaluated with the window each time."""
    network, canvas = fake(1), canvas_of(24, Span(4, 12))
    predictor, window = Predictor(network), Span(8, 12)
    ask(predictor, canvas, window)
    canvas.commit([7], [5])
    assert torch.equal(ask(predictor, canvas, window), full(fake(1), canvas, window))
    assert network.forwards == [(1, 24), (1, 5)]


@pytest.mark.parametrize("start", [0, 1, 5])
@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_windowed_equals_full_on_a_windows_first_query_on_the_golden_checkpoint(checkpoint, cache, start, everywhere):
    window = Span(start, start + 20)
    canvas = canvas_of(60, window, Span(40, 60), vocab=480, mask=checkpoint.tokenizer.mask)
    first = ask(Predictor(checkpoint.network), canvas, window, cache)
    torch.testing.assert_close(first, full(checkpoint.network, canvas, window), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        first, everywhere(checkpoint.network, canvas.tokens)[start : start + 20], atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("start", [0, 1, 5])
@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_the_real_cache_is_exact_on_an_unchanged_canvas(checkpoint, cache, start):
    """In any number of layers: what is stored is what would be computed."""
    window = Span(start, start + 20)
    canvas, predictor = canvas_of(60, window, vocab=480, mask=488), Predictor(checkpoint.network)
    first = ask(predictor, canvas, window, cache)
    torch.testing.assert_close(ask(predictor, canvas, window, cache), first, atol=1e-4, rtol=0)


@pytest.mark.parametrize("start", [0, 1, 5])
@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_the_real_cache_is_exact_in_one_layer_when_only_the_window_changed(checkpoint, cache, start):
    torch.manual_seed(0)
    network = Network(Transformer(replace(checkpoint.config, num_layers=1)))
    window = Span(start, start + 20)
    canvas, predictor = canvas_of(60, window, vocab=480, mask=488), Predictor(network)
    before = ask(predictor, canvas, window, cache)
    canvas.commit([start, start + 7], [3, 4])
    again = ask(predictor, canvas, window, cache)
    torch.testing.assert_close(again, full(network, canvas, window), atol=1e-5, rtol=0)
    assert not torch.allclose(again, before, atol=1e-5)


def changed(asked: Query, position: int, token: int) -> Query:
    tokens = asked.tokens.clone()
    tokens[position] = token
    return replace(asked, tokens=tokens)


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("cache", CACHES)
def test_guesses_cost_no_forward_of_their_own_and_are_answered_as_each_alone(fake, cache, shift):
    """Once the window is known; what they computed is not kept."""
    network, window = fake(shift), Span(6, 12)
    canvas, predictor = canvas_of(24, window, Span(16, 24)), Predictor(network)
    before = ask(predictor, canvas, window, cache)
    first = query(canvas, window, cache)
    asked = (first, changed(first, 7, 4), changed(first, 11, 5))
    (together,) = predictor.answer([((0,), asked)])
    assert (together.nfe, predictor.forwards, len(network.forwards)) == (1, 2, 2)
    for each, logits in zip(asked, together.logits, strict=True):
        (alone_,) = Predictor(fake(shift)).answer([((0,), (replace(each, cache="none"),))])
        assert torch.equal(alone_.logits[0], logits)
    assert torch.equal(ask(predictor, canvas, window, cache), before)


def test_keys_and_values_are_those_of_the_canvas_itself_not_of_a_guess(fake):
    """On a window's first query a guess is evaluated apart from the cache."""
    network, window = fake(), Span(6, 12)
    canvas, predictor = canvas_of(24, window), Predictor(network)
    first = query(canvas, window)
    (answer,) = predictor.answer([((0,), (first, changed(first, 20, 4), changed(first, 7, 4)))])
    assert network.forwards == [(1, 24), (2, 24)]
    assert answer.nfe == 2
    assert torch.equal(ask(predictor, canvas, window), answer.logits[0])
    assert network.forwards[-1] == (1, 7)


def test_runs_whose_windows_are_of_one_length_share_a_forward(fake):
    """Wherever these lie, however long the canvases are, whatever their number of positions."""
    network = fake()
    predictor, places = Predictor(network), [(24, Span(4, 8)), (31, Span(20, 24)), (12, Span(8, 12))]
    canvases = [canvas_of(length, window, seed=i) for i, (length, window) in enumerate(places)]
    asked = [
        (run, (query(canvas, window),)) for run, (canvas, (_, window)) in enumerate(zip(canvases, places, strict=True))
    ]
    predictor.answer(asked)
    assert network.forwards == [(1, 24), (1, 31), (1, 12)], "whole canvases of other lengths do not"
    asked[1] = 1, (replace(asked[1][1][0], positions=torch.tensor([21, 23])),)
    for answer, (_, (each,)) in zip(predictor.answer(asked), asked, strict=True):
        (wanted,) = Predictor(fake()).answer([((0,), (replace(each, cache="none"),))])
        assert torch.equal(answer.logits[0], wanted.logits[0])
        assert answer.nfe == pytest.approx(1 / 3)
    assert network.forwards[3:4] == [(3, 5)]
    assert predictor.forwards == 4


def test_forwards_are_shared_out_by_their_rows(fake):
    """Two rows of one run and one of another: two thirds and one third."""
    predictor, window = Predictor(fake()), Span(4, 8)
    one, other = (query(canvas_of(24, window, seed=seed), window, "none") for seed in (1, 2))
    first, second = predictor.answer([((0,), (one, changed(one, 5, 3))), (1, (other,))])
    assert (first.nfe, second.nfe) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert predictor.forwards == 1


class Slots:
    """A network that notes the caches it made and the slots it was given."""

    def __init__(self, network) -> None:
        self.network, self.shift, self.block = network, network.shift, network.block
        self.made: list[tuple[int, int, bool]] = []
        self.given: list[list[int]] = []

    def new_cache(self, slots, longest, *, old=None):
        self.made.append((slots, longest, old is not None))
        return self.network.new_cache(slots, longest, old=old)

    def copy_slot(self, cache, source, target):
        self.network.copy_slot(cache, source, target)

    def __call__(self, tokens, rows, *, starts=(), cache=None, lengths=()):
        self.given.append(list(cache[1]) if cache else [])
        return self.network(tokens, rows, starts=starts, cache=cache, lengths=lengths)


def test_equal_canvases_are_one_row_and_fill_the_slots_of_all(fake):
    """As candidates begin; each goes on with keys and values of its own."""
    network, window = fake(), Span(4, 8)
    predictor, first = Predictor(network), query(canvas_of(24, window), window)
    found = predictor.answer([((0,), (first,)), ((1,), (changed(first, 20, 3),)), ((2,), (first,))])
    assert network.forwards == [(2, 24)]
    assert torch.equal(found[0].logits[0], found[2].logits[0])
    assert not torch.equal(found[0].logits[0], found[1].logits[0])
    assert found[0].logits[0].data_ptr() != found[2].logits[0].data_ptr(), "constraints change logits in place"
    assert [each.nfe for each in found] == pytest.approx([1 / 3] * 3)
    (one,), (two,) = (predictor.answer([((run,), (changed(first, 5, 2),))]) for run in (0, 2))
    assert network.forwards[1:] == [(1, 5), (1, 5)], "the window alone"
    assert torch.equal(one.logits[0], two.logits[0])


def test_a_run_keeps_its_slot_until_it_is_released_and_the_next_one_takes_the_lowest(fake):
    network, window = Slots(fake()), Span(4, 8)
    predictor, canvas = Predictor(network), canvas_of(24, window)
    for run in (7, 3, 5):
        ask(predictor, canvas, window, run=run)
    assert network.given == [[0], [1], [2]]
    predictor.release((3,))
    predictor.release((3,))  # once more is nothing
    ask(predictor, canvas, window, "none", run=9)
    ask(predictor, canvas, window, run=8)
    ask(predictor, canvas, window, run=5)
    assert network.given[3:] == [[], [1], [2]]


def test_runs_are_batched_in_the_order_of_their_slots(fake):
    """Whatever order they ask in, so that slots in a row are written in place."""
    network, window = Slots(fake()), Span(4, 8)
    predictor, canvases = Predictor(network), [canvas_of(24, window, seed=run) for run in range(3)]
    for order in ([0, 1, 2], [2, 0, 1]):
        answers = predictor.answer([((run,), (query(canvases[run], window),)) for run in order])
        for run, answer in zip(order, answers, strict=True):
            assert torch.equal(answer.logits[0], full(fake(), canvases[run], window))
    assert network.given == [[0, 1, 2]] * 2


def test_a_released_run_that_comes_again_is_a_new_one(fake):
    network, window = fake(), Span(4, 8)
    predictor, canvas = Predictor(network), canvas_of(24, window)
    ask(predictor, canvas, window)
    predictor.release((0,))
    ask(predictor, canvas, window)
    assert network.forwards == [(1, 24)] * 2


def test_a_cache_that_grows_keeps_what_it_holds(fake):
    """For more runs, for a longer canvas, and for both."""
    network = Slots(fake())
    predictor, window, long = Predictor(network), Span(4, 8), Span(30, 34)
    canvas, longer = canvas_of(24, window), canvas_of(40, long, seed=1)
    ask(predictor, canvas, window)
    ask(predictor, canvas, window, run=1)
    ask(predictor, longer, long, run=2)
    for run in (0, 1):
        assert torch.equal(ask(predictor, canvas, window, run=run), full(fake(), canvas, window))
    assert torch.equal(ask(predictor, longer, long, run=2), full(fake(), longer, long))
    assert network.made == [(1, 24, False), (2, 24, True), (3, 40, True)]
    assert network.network.forwards == [(1, 24)] * 2 + [(1, 40)] + [(1, 5)] * 3


def test_a_run_whose_canvas_grows_keeps_its_slot(fake):
    network = Slots(fake())
    predictor, canvas, window = Predictor(network), canvas_of(24, Span(4, 8)), Span(4, 8)
    for _ in range(4):
        assert torch.equal(ask(predictor, canvas, window), full(fake(), canvas, window))
        canvas.insert(5)
    assert network.given == [[0]] * 4
    assert [longest for _, longest, _ in network.made] == [24, 25, 26, 27]


def test_without_a_cache_none_is_made(fake):
    network = Slots(fake())
    ask(Predictor(network), canvas_of(24, Span(4, 8)), Span(4, 8), "none")
    assert network.made == []


def test_runs_that_ask_nothing_cost_nothing(fake):
    predictor = Predictor(fake())
    assert predictor.answer([]) == []
    assert predictor.forwards == 0


# Memory: what does not fit is done in smaller batches, with the same result.

CPU = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
ERRORS = [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), CPU]
WINDOW = Span(4, 11)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("cache", CACHES)
def test_halves_give_the_logits_of_the_whole(fake, kit, cache, error):
    """With a cache too: what a failed forward left in it is not used."""
    network = kit.Tight(fake(), 4, error)
    predictor, canvas = Predictor(network), canvas_of(16, WINDOW)
    for _ in range(2):
        (answer,) = predictor.answer([((0,), (query(canvas, WINDOW, cache),))])
        assert torch.equal(answer.logits[0], full(fake(), canvas, WINDOW))
        assert answer.nfe == 2
    assert network.asked == [7, 4, 3, 4, 3], "once halved it stays halved"
    assert predictor.forwards == len(network.forwards) == 4


def test_with_room_nothing_is_halved(fake, kit):
    network = kit.Tight(fake(), 7, ERRORS[0])
    ask(Predictor(network), canvas_of(16, WINDOW), WINDOW)
    assert network.asked == [7]


def test_memory_that_runs_out_costs_guesses_first_then_batches_then_halves(fake, kit):
    """Of two runs with three guesses each; nothing comes back once it was given up, and every forward counts."""
    canvases = [canvas_of(16, WINDOW, seed=seed) for seed in range(2)]
    asked = []
    for run, canvas in enumerate(canvases):
        first = query(canvas, WINDOW, "none")
        asked.append((run, (first, *(changed(first, 5, token) for token in (1, 2, 3)))))
    expected = {  # room for rows of logits → the forwards tried in two steps
        99: [56, 56],
        56: [56, 56],
        55: [56, 14, 14],
        13: [56, 14, 7, 7, 7, 7],
        6: [56, 14, 7, 4, 3, 4, 3, 4, 3, 4, 3],
    }
    for room, tried in expected.items():
        network = kit.Tight(fake(), room, ERRORS[0])
        predictor = Predictor(network)
        for _ in range(2):
            before = predictor.forwards
            answers = predictor.answer(asked)
            for (_, queries), answer in zip(asked, answers, strict=True):
                assert len(answer.logits) == (4 if room >= 56 else 1)
                for each, logits in zip(queries, answer.logits, strict=False):
                    (wanted,) = Predictor(fake()).answer([((0,), (each,))])
                    assert torch.equal(logits, wanted.logits[0])
            assert sum(answer.nfe for answer in answers) == pytest.approx(predictor.forwards - before)
        assert network.asked == tried
        assert predictor.forwards == len(network.forwards)


def test_guesses_that_are_left_out_are_the_last_ones(fake):
    """An answer is about the first queries of a run; one that lacks one in between would be about others."""

    class Failing:
        """Fails at the calls of these numbers."""

        def __init__(self, network, *fails: int) -> None:
            self.network, self.shift, self.fails, self.calls, self.block = network, network.shift, fails, 0, None

        def __call__(self, tokens, rows, **settings):
            self.calls += 1
            if self.calls in self.fails:
                raise ERRORS[0]
            return self.network(tokens, rows, **settings)

    windows_ = Span(4, 8), Span(4, 8), Span(2, 7)
    canvases = [canvas_of(length, window) for length, window in zip((16, 16, 30), windows_, strict=True)]
    one, two, long = (query(canvas, window, "none") for canvas, window in zip(canvases, windows_, strict=True))
    # two runs together are too many, so that batches become of one; then the first guess fails and the second does not
    predictor = Predictor(Failing(fake(), 1, 6))
    predictor.answer([((0,), (one,)), (1, (two,))])
    (answer,) = predictor.answer([((2,), (long, *(changed(long, 3, token) for token in (1, 2, 3))))])
    assert len(answer.logits) == 2
    for logits, token in zip(answer.logits, (MASK, 1), strict=True):
        (wanted,) = Predictor(fake()).answer([((0,), (changed(long, 3, token),))])
        assert torch.equal(logits, wanted.logits[0])


@pytest.mark.parametrize("cache", CACHES)
@settings(max_examples=15)
@given(room=st.integers(15, 60), data=st.data())
def test_runs_write_the_same_whatever_room_there_is(fake, kit, cache, room, data):
    """Guesses or not, one run or several."""
    requests = [
        replace(data.draw(kit.requests()), policy=replace(data.draw(kit.POLICIES), cache=cache, budget=None))
        for _ in range(data.draw(st.integers(1, 3)))
    ]
    network = kit.Tight(fake(), room, MemoryError())
    for request in requests:
        found, wanted = (list(alone(each, request.run())) for each in (network, fake()))
        assert kit.told(found) == kit.told(wanted)


def test_a_run_under_memory_pressure_goes_on_without_guesses(fake, kit):
    policy = Policy(TopK(linear), sampling=Sampling(order="entropy"), stop=False, speculate=3)
    finals = []
    for room in (99, 20, 7, 4):
        network = kit.Tight(fake(), room, ERRORS[0])
        *_, final = alone(network, kit.Request(policy, (WINDOW,), 16).run())
        finals.append(final.tokens)
        assert final.nfe == len(network.forwards) == sum(asked <= room for asked in network.asked)
        assert (final.nfe < 7) == (room == 99)
        assert (final.nfe > 7) == (room == 4)
    assert finals == finals[:1] * 4


@pytest.mark.parametrize("error", ERRORS)
def test_when_half_is_too_much_it_is_said(fake, kit, error):
    network = kit.Tight(fake(), 2, error)
    with pytest.raises(NoRoom, match="7 positions of 16 tokens, even half") as caught:
        ask(Predictor(network), canvas_of(16, WINDOW), WINDOW)
    assert network.asked == [7, 4]
    assert "--length" in caught.value.hint


def test_one_position_has_no_second_half(fake, kit):
    network = kit.Tight(fake(), 0, ERRORS[0])
    with pytest.raises(NoRoom):
        ask(Predictor(network), canvas_of(16, Span(4, 5)), Span(4, 5))
    assert network.asked == [1, 1]


def test_other_errors_pass(fake, kit):
    network = kit.Tight(fake(), 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        ask(Predictor(network), canvas_of(16, WINDOW), WINDOW)


def test_a_canvas_for_whose_keys_there_is_no_room_is_told_by_the_driver(fake, kit):
    class Full(kit.Tight):
        def new_cache(self, slots, longest, *, old=None):
            raise MemoryError

    with pytest.raises(NoRoom, match="ran out of memory for this canvas") as caught:
        list(alone(Full(fake(), 99, ERRORS[0]), kit.Request(Policy(TopK(linear), cache="dual")).run()))
    assert "--block" in caught.value.hint


# Block-causal attention: the cache holds a prefix, which is exact.


@given(data=st.data())
@settings(max_examples=25)
def test_a_prefix_is_exact_whatever_changes_between_two_queries(checkpoint_of, data):
    """Anywhere in the canvas, with guesses that differ anywhere, and canvases that change their length."""
    network = checkpoint_of("blockwise").network
    predictor, canvas = Predictor(network), canvas_of(26, Span(5, 26), vocab=480, mask=5)
    for _ in range(4):
        start = data.draw(st.integers(0, len(canvas) - 1))
        window = Span(start, data.draw(st.integers(start + 1, len(canvas))))
        first = query(canvas, window)
        places = data.draw(st.lists(st.integers(0, len(canvas) - 1), max_size=2))
        asked = (first, *(changed(first, place, 100 + place) for place in places))
        (answer,) = predictor.answer([((0,), asked)])
        for each, logits in zip(asked, answer.logits, strict=True):
            (wanted,) = Predictor(network).answer([((0,), (replace(each, cache="none"),))])
            torch.testing.assert_close(logits, wanted.logits[0], atol=1e-4, rtol=0)
        open_masks = canvas.open_masks(Span(0, len(canvas))).tolist()
        if open_masks:
            place = data.draw(st.sampled_from(open_masks))
            canvas.commit([place], [data.draw(st.integers(10, 400))])
        if data.draw(st.booleans()) and len(canvas) < 32:
            canvas.insert(data.draw(st.integers(6, len(canvas))))


def test_what_lies_behind_a_window_is_not_computed(checkpoint_of):
    """A window is computed with its blocks alone, and again only from the first block on that has changed."""
    widths = []

    class Counting:
        shift, block, new_cache = 0, 4, checkpoint_of("blockwise").network.new_cache

        def __call__(self, tokens, rows, **settings):
            widths.append(tuple(tokens.shape))
            return checkpoint_of("blockwise").network(tokens, rows, **settings)

    predictor, canvas = Predictor(Counting()), canvas_of(40, Span(6, 40), vocab=480, mask=5)
    ask(predictor, canvas, Span(6, 8))
    ask(predictor, canvas, Span(8, 12))
    canvas.commit([30], [7])
    ask(predictor, canvas, Span(8, 12))
    canvas.commit([6], [7])
    ask(predictor, canvas, Span(9, 11), "none")
    ask(predictor, canvas, Span(9, 11))
    assert widths == [(1, 8), (1, 4), (1, 4), (1, 12), (1, 8)]
