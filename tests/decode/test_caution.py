"""A device that runs out of memory is asked for half once; the result is the same, and a second time it is said."""

from __future__ import annotations

import pytest
import torch

from diffucli.decode.canvas import Canvas, Span
from diffucli.decode.caution import Cautious, within_memory
from diffucli.decode.commit import TopK, linear
from diffucli.decode.loop import denoise
from diffucli.decode.policy import Policy
from diffucli.decode.predict import Full, Windowed
from diffucli.decode.sample import Rules, Sampling
from diffucli.decode.speculate import Speculative
from diffucli.errors import NoRoom
from diffucli.events import Finished

CPU = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
ERRORS = [torch.OutOfMemoryError("CUDA out of memory."), MemoryError(), CPU]
WINDOW = Span(4, 11)


class Tight:
    """A network with room for `rows` rows at most; it has written half of the cache when it fails."""

    def __init__(self, network, rows: int, error: Exception) -> None:
        self.network, self.rows, self.error, self.asked = network, rows, error, []
        self.shift = network.shift

    def cache(self, length: int) -> torch.Tensor:
        return self.network.cache(length)

    def __call__(self, tokens, rows, *, start=0, cache=None):
        asked = len(rows) * (len(tokens) if tokens.ndim > 1 else 1)
        self.asked.append(asked)
        if asked > self.rows:
            if cache is not None:
                cache[: len(cache) // 2] = 0.0
            raise self.error
        return self.network(tokens, rows, start=start, cache=cache)


def canvas() -> Canvas:
    return Canvas(torch.arange(16) % 12, [WINDOW], mask=12)


def positions() -> torch.Tensor:
    return torch.arange(WINDOW.start, WINDOW.stop)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kind", [Full, Windowed])
def test_halves_give_the_logits_of_the_whole(fake, kind, error):
    """With a cache too: what a failed forward left in it is not used."""
    network = Tight(fake(), 4, error)
    cautious = Cautious(lambda: kind(network))
    found = cautious(canvas(), WINDOW, positions())
    torch.testing.assert_close(found, Full(fake())(canvas(), WINDOW, positions()))
    assert network.asked == [7, 4, 3]


def test_guesses_are_given_up_before_rows_are_halved_and_every_forward_counts(fake):
    policy = Policy(TopK(linear), sampling=Sampling(order="entropy"), stop=False, speculate=3)
    finals = []
    for room in (99, 20, 7, 4):
        network = Tight(fake(), room, ERRORS[0])

        def speculative(network=network):
            return Speculative(Full(network), policy, Rules(size=12))

        forward = Cautious(speculative, lambda network=network: Full(network))
        *_, final = denoise(canvas(), forward, policy, Rules(size=12))
        finals.append(final.tokens)
        assert final.nfe == forward.forwards == sum(asked <= room for asked in network.asked)
        assert forward.halved == (room == 4)
        assert (final.nfe < 7) == (room == 99)
    assert finals == finals[:1] * 4


def test_once_halved_it_stays_halved(fake):
    network = Tight(fake(), 4, ERRORS[0])
    cautious = Cautious(lambda: Full(network))
    for _ in range(2):
        cautious(canvas(), WINDOW, positions())
    assert network.asked == [7, 4, 3, 4, 3]


def test_with_room_nothing_is_halved(fake):
    network = Tight(fake(), 7, ERRORS[0])
    Cautious(lambda: Full(network))(canvas(), WINDOW, positions())
    assert network.asked == [7]


@pytest.mark.parametrize("error", ERRORS)
def test_when_half_is_too_much_it_is_said(fake, error):
    network = Tight(fake(), 2, error)
    with pytest.raises(NoRoom, match="7 positions of 16 tokens, even half") as caught:
        Cautious(lambda: Full(network))(canvas(), WINDOW, positions())
    assert network.asked == [7, 4]
    assert "--length" in caught.value.hint


def test_one_row_has_no_second_half(fake):
    network = Tight(fake(), 0, ERRORS[0])
    with pytest.raises(NoRoom):
        Cautious(lambda: Full(network))(canvas(), WINDOW, positions()[:1])
    assert network.asked == [1, 1]


def test_other_errors_pass(fake):
    network = Tight(fake(), 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        Cautious(lambda: Full(network))(canvas(), WINDOW, positions())


def test_a_whole_run_comes_out_the_same_on_a_tight_device(fake):
    finals = []
    for network in (fake(), Tight(fake(), 4, ERRORS[0])):
        written = canvas()
        predict = Cautious(lambda network=network: Full(network))
        *_, final = within_memory(
            denoise(written, predict, Policy(commit=lambda s, *_: s.topk(1).indices), Rules(size=12))
        )
        assert isinstance(final, Finished)
        finals.append(final.tokens)
    assert finals[0] == finals[1]


@pytest.mark.parametrize("error", ERRORS)
def test_sampling_that_runs_out_of_memory_is_said(error):
    def events():
        yield Finished((), "complete", 0, 0.0)
        raise error

    run = within_memory(events())
    next(run)
    with pytest.raises(NoRoom, match="ran out of memory"):
        next(run)


def test_closing_a_run_closes_what_it_runs():
    closed = []

    def events():
        try:
            yield Finished((), "complete", 0, 0.0)
        finally:
            closed.append(True)

    run = within_memory(events())
    next(run)
    run.close()
    assert closed == [True]
