"""Proposals: top-p, draws and scores against their formulas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.decode.canvas import Span
from diffucli.decode.sample import (
    NUCLEUS,
    SURE_LINE_END,
    Constraints,
    Proposal,
    Sampling,
    gumbel,
    nucleus,
    propose,
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def logits_of(seed: int, rows: int = 5, width: int = 40, spread: float = 3.0) -> torch.Tensor:
    return spread * torch.randn(rows, width, generator=rng(seed))


def naive_nucleus(row: torch.Tensor, top_p: float) -> set[int]:
    """By a full sort, one token at a time (the reference keeps a token while the mass before it is ≤ top_p)."""
    probabilities, kept, mass = row.double().softmax(-1), set(), 0.0
    for token in row.argsort(descending=True).tolist():
        if mass > top_p:
            break
        kept.add(token)
        mass += float(probabilities[token])
    return kept


@given(st.integers(0, 10_000), st.floats(0.01, 0.99), st.sampled_from([0.1, 3.0]), st.sampled_from([5, 40, 200]))
def test_nucleus_is_what_a_full_sort_gives(seed, top_p, spread, width):
    """Width 200 with a small spread needs more than the first candidates."""
    logits = logits_of(seed, 3, width, spread)
    cut = nucleus(logits, top_p)
    for row, original in zip(cut, logits, strict=True):
        assert set(row.isfinite().nonzero()[:, 0].tolist()) == naive_nucleus(original, top_p)
        assert torch.equal(row[row.isfinite()], original[row.isfinite()])


def test_the_fast_way_of_nucleus_is_taken_and_agrees_with_the_slow_one():
    peaked, flat = logits_of(1, 1, 300, 9.0), logits_of(2, 1, 300, 0.01)
    assert nucleus(flat, 0.9).isfinite().sum() > NUCLEUS
    assert torch.equal(nucleus(torch.cat([peaked, flat]), 0.9), torch.cat([nucleus(peaked, 0.9), nucleus(flat, 0.9)]))


@pytest.mark.parametrize(
    ("spread", "width", "looked_at"), [(9.0, 300, [NUCLEUS]), (0.01, 300, [NUCLEUS, 300]), (0.01, 40, [40])]
)
def test_all_candidates_are_sorted_only_where_the_best_few_do_not_reach_the_mass(monkeypatch, spread, width, looked_at):
    logits, counts, topk = logits_of(1, 4, width, spread), [], torch.Tensor.topk

    def counted(self, count, **settings):
        counts.append(count)
        return topk(self, count, **settings)

    monkeypatch.setattr(torch.Tensor, "topk", counted)
    nucleus(logits, 0.9)
    assert counts == looked_at


def test_nucleus_keeps_one_token_at_least_and_ties_at_its_edge():
    assert nucleus(torch.tensor([[0.0, 9.0, 0.0]]), 0.0).isfinite().tolist() == [[False, True, False]]
    assert nucleus(torch.tensor([[1.0, 1.0, 1.0, 0.0]]), 0.3).isfinite().tolist() == [[True, True, True, False]]


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.7, 2.0]), st.sampled_from([0.3, 0.95, 1.0]))
def test_scores_follow_their_formulas_after_temperature_and_top_p(seed, temperature, top_p):
    logits = logits_of(seed)
    shaped = (logits / temperature if temperature else logits).double()
    if top_p < 1:
        dropped = [[i not in naive_nucleus(row, top_p) for i in range(40)] for row in shaped]
        shaped[torch.tensor(dropped)] = -torch.inf
    p = shaped.softmax(-1)
    proposals = {
        order: propose(logits, Sampling(temperature, top_p, order), rng(seed))
        for order in ("confidence", "margin", "entropy", "origin")
    }
    tokens = proposals["confidence"].tokens
    first, second = p.sort(descending=True).values[:, :2].unbind(1)
    expected = {
        "confidence": p.gather(1, tokens[:, None])[:, 0],
        "margin": first - second,
        "entropy": (p * (p + 1e-10).log()).sum(-1),
        "origin": torch.zeros(5).double(),
    }
    for order, found in proposals.items():
        assert torch.equal(found.tokens, tokens)
        assert found.scores.dtype == torch.float32
        torch.testing.assert_close(found.scores.double(), expected[order], atol=1e-5, rtol=1e-5)


@given(st.integers(0, 1000))
def test_temperature_zero_takes_the_likeliest_and_ties_go_leftmost(seed):
    logits = logits_of(seed).round()  # whole numbers: ties
    tokens = propose(logits, Sampling(), rng()).tokens
    assert tokens.tolist() == [row.index(max(row)) for row in logits.tolist()]


def test_draws_follow_the_softmax():
    row, draws = torch.tensor([0.0, 1.0, 2.0, -1.0, 0.5]), 20_000
    tokens = propose(row.expand(draws, 5), Sampling(temperature=0.8), rng(3)).tokens
    expected = draws * (row / 0.8).softmax(-1)
    found = tokens.bincount(minlength=5)
    assert ((found - expected) ** 2 / expected).sum() < 18.5  # chi-square, 4 degrees of freedom, p = 0.001


def test_draws_stay_inside_the_nucleus():
    logits = logits_of(5, 1, 40, 1.0)
    tokens = propose(logits.expand(3000, 40), Sampling(temperature=1.0, top_p=0.5), rng()).tokens
    assert set(tokens.tolist()) == naive_nucleus(logits[0], 0.5)


def test_gumbel_noise_is_finite_and_has_its_mean():
    noise = gumbel(torch.zeros(1000, 200), rng())
    assert noise.isfinite().all()
    assert float(noise.mean()) == pytest.approx(0.5772, abs=0.02)


@given(st.integers(0, 1000), st.sets(st.integers(0, 39), max_size=38), st.sampled_from([None, 40]))
def test_what_is_forbidden_never_appears(seed, forbidden, vocab_size):
    constraints = Constraints(tuple(forbidden), vocab_size)
    logits = logits_of(seed, 50)
    logits[:, list(forbidden)] += 100  # the likeliest, were they allowed
    for sampling in (Sampling(), Sampling(5.0, 0.9), Sampling(5.0, order="margin"), Sampling(order="entropy")):
        proposal = propose(constraints.apply(logits.clone(), torch.arange(50), ()), sampling, rng(seed))
        assert forbidden.isdisjoint(proposal.tokens.tolist())
        assert proposal.scores.isfinite().all()


@given(st.integers(0, 1000), st.integers(1, 39))
def test_rows_that_were_never_trained_never_appear(seed, size):
    logits = Constraints(vocab_size=size).apply(logits_of(seed, 50), torch.arange(50), ())
    assert int(propose(logits, Sampling(temperature=9.0), rng(seed)).tokens.max()) < size


@given(st.integers(0, 1000), st.integers(0, 12), st.integers(0, 12))
def test_ends_may_not_stand_among_the_first_tokens_of_a_hole_and_nothing_else_changes(seed, first, second):
    logits, positions = logits_of(seed, 14), torch.arange(104, 118)
    holes = Span(102, 109), Span(109, 116)
    constraints = Constraints(ends=(3, 7), min_tokens=(first, second))
    ruled = constraints.apply(logits.clone(), positions, holes)
    early = {*range(102, 109)[:first], *range(109, 116)[:second]}
    for row, position in enumerate(positions.tolist()):
        barred = [3, 7] if position in early else []
        assert (ruled[row] == -torch.inf).nonzero()[:, 0].tolist() == barred
    assert torch.equal(ruled[ruled.isfinite()], logits[ruled.isfinite()])


def test_every_hole_has_a_number_of_its_own():
    with pytest.raises(ValueError, match="shorter"):
        Constraints(ends=(3,), min_tokens=(1,)).apply(logits_of(0, 2), torch.arange(2), (Span(0, 1), Span(1, 2)))


def test_late_tokens_wait_whatever_their_score():
    proposal = Proposal(torch.tensor([3, 7, 4]), torch.tensor([0.9, 0.1, 0.8]), torch.zeros(3))
    assert Constraints(late=(3, 4)).defer(proposal).scores.tolist() == [-torch.inf, pytest.approx(0.1), -torch.inf]


def test_constraints_are_applied_in_place():
    logits = logits_of(0, 6)
    assert Constraints((1,), 30, ends=(2,), min_tokens=(6,)).apply(logits, torch.arange(6), (Span(0, 6),)) is logits


def test_temperature_changes_the_order_too():
    """The paper's finding: scores are taken after the temperature."""
    logits = torch.tensor([[3.0, 2.9, -9.0, -9.0], [1.4, 0.0, 0.0, 0.0]])
    cold, hot = (propose(logits, Sampling(t, order="entropy"), rng()).scores.argmax() for t in (0.3, 3.0))
    assert cold != hot


def test_the_same_seed_draws_the_same():
    logits, hot = logits_of(1, 60), Sampling(temperature=1.0)
    first, again, other = (propose(logits, hot, rng(seed)).tokens for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.4, 2.0]), st.sampled_from([0.3, 1.0]))
def test_own_scores_are_the_networks_whatever_the_temperature(seed, temperature, top_p):
    logits = logits_of(seed)
    found = propose(logits, Sampling(temperature, top_p, tempered=False), rng(seed))
    tempered = propose(logits, Sampling(temperature, top_p), rng(seed))
    assert torch.equal(found.tokens, tempered.tokens), "the draw is the same"
    wanted = logits.softmax(-1).gather(1, found.tokens[:, None])[:, 0]
    torch.testing.assert_close(found.scores, wanted)


def test_what_is_behind_the_first_sure_end_of_a_line_waits():
    tokens = torch.tensor([1, 9, 2, 9, 3])
    constraints = Constraints(line_ends=torch.tensor([9, 8]))
    for scores, kept in [
        ([0.5, 0.95, 1.0, 1.0, 1.0], 2),  # up to the first end, itself included
        ([0.5, SURE_LINE_END, 1.0, 1.0, 1.0], 2),
        ([0.5, 0.80, 1.0, 0.9, 1.0], 4),  # an end that is not sure is none
        ([1.0, 0.10, 1.0, 0.2, 1.0], 5),
    ]:
        found = constraints.defer(Proposal(tokens, torch.tensor(scores), torch.zeros(5)))
        assert found.scores.isfinite().tolist() == [i < kept for i in range(5)]
        assert found.scores[:kept].tolist() == pytest.approx(scores[:kept])
        assert torch.equal(found.tokens, tokens)
    given = Proposal(tokens, torch.ones(5), torch.zeros(5))
    assert Constraints().defer(given) is given


@pytest.mark.parametrize("order", ["confidence", "margin", "entropy", "origin"])
@pytest.mark.parametrize(("temperature", "tempered"), [(0.0, True), (0.7, True), (0.7, False)])
def test_nothing_waits_for_the_device_until_all_of_it_comes_at_once(order, temperature, tempered):
    """On a device whose tensors have no numbers: whatever it would have to be asked for is an error."""
    positions, sampling = torch.arange(10, 18), Sampling(temperature, order=order, tempered=tempered)
    constraints = Constraints((1, 2), 40, ends=(3, 4), min_tokens=(3,))
    logits = torch.empty(8, 50, device="meta")
    proposal = propose(constraints.apply(logits, positions, (Span(9, 18),)), sampling, torch.Generator())
    assert proposal.tokens.device == proposal.scores.device == logits.device
    assert (proposal.tokens.dtype, proposal.scores.dtype) == (torch.int64, torch.float32)
    with pytest.raises(NotImplementedError, match="meta"):
        proposal.cpu()


def test_a_proposal_comes_over_as_it_is():
    scores, logprobs = torch.tensor([0.1, -torch.inf, 1.0]).double(), torch.tensor([-2.5, -torch.inf, 0.0])
    proposal = Proposal(torch.tensor([0, 152_063, 2**24 - 1]), scores, logprobs)
    found = proposal.cpu()
    assert found.tokens.tolist() == proposal.tokens.tolist()
    assert found.tokens.dtype == torch.int64
    assert torch.equal(found.scores, proposal.scores.float())
    assert torch.equal(found.logprobs, logprobs)


def test_what_may_not_be_first_is_banned_at_the_first_position_of_its_hole_alone():
    holes, positions = (Span(2, 5), Span(7, 9), Span(9, 9)), torch.tensor([3, 2, 7, 8])
    found = Constraints(not_first=((1, 4), (), (5,))).apply(torch.zeros(4, 6), positions, holes)
    assert found.isinf().nonzero().tolist() == [[1, 1], [1, 4]]
    whole = Constraints(not_first=((1,), (2, 3))).apply(torch.zeros(4, 6), positions, holes)
    assert whole.isinf().nonzero().tolist() == [[1, 1], [2, 2], [2, 3]]


def test_a_pair_is_banned_at_its_position_alone():
    found = Constraints(banned=((8, 1), (3, 0), (5, 2))).apply(torch.zeros(3, 4), torch.tensor([3, 8, 9]), ())
    assert found.isinf().nonzero().tolist() == [[0, 0], [1, 1]], "position 5 is not asked for"


@pytest.mark.parametrize(("temperature", "top_p"), [(0.0, 1.0), (0.7, 1.0), (1.5, 0.4)])
@pytest.mark.parametrize("tempered", [True, False])
def test_log_probabilities_are_the_networks_own_whatever_the_sampling(temperature, top_p, tempered):
    logits = torch.randn(20, 9, generator=torch.Generator().manual_seed(1)) * 3
    sampling = Sampling(temperature, top_p, "margin", tempered=tempered)
    found = propose(logits.clone(), sampling, torch.Generator().manual_seed(2))
    wanted = logits.log_softmax(-1).gather(1, found.tokens[:, None])[:, 0]
    assert found.logprobs.tolist() == pytest.approx(wanted.tolist(), abs=1e-5)
