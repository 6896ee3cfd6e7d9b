"""Fine-tuning: rows as decoding sees them, the loss token by token, and examples learned by heart."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.errors import UsageError
from diffucli.tasks import prompt
from diffucli.train.data import Example, shuffled
from diffucli.train.objective import PAD_WEIGHT, collate, corrupt
from diffucli.train.rollouts import generator_of, seed_of
from diffucli.train.sft import Sft, SftSettings, draw_holes, longest_row, row_of

EXAMPLES = [
    Example("def f(x):\n    return x + 1\n", "add one"),
    Example("a = [1, 2]\nfor b in a:\n    print(b)\n"),
    Example("x = 1\ny = x\n", holes=((4, 5), (10, 11))),
]


def test_an_answer_has_the_prompt_the_code_its_end_and_padding(checkpoint):
    tokenizer = checkpoint.tokenizer
    tokens, (hole,), answers = row_of(tokenizer, checkpoint.config, EXAMPLES[0], random.Random(3))
    opening = prompt.opening(tokenizer, "add one")
    content = [*tokenizer.encode(EXAMPLES[0].text), *prompt.closing(tokenizer, "add one")]
    assert tokens[: len(opening)] == opening
    assert tokens[len(opening) : len(opening) + len(content)] == content
    assert set(tokens[len(opening) + len(content) :]) <= {tokenizer.pad}
    assert (hole.start, hole.stop, answers) == (len(opening), len(tokens), True)


def test_a_file_has_its_text_in_the_holes_where_decoding_looks_for_it(checkpoint):
    tokenizer = checkpoint.tokenizer
    tokens, holes, answers = row_of(tokenizer, checkpoint.config, EXAMPLES[2], random.Random(0))
    assert tokenizer.decode(tokens) == EXAMPLES[2].text
    assert [tokenizer.decode(tokens[hole.start : hole.stop]) for hole in holes] == [" 1", " x"]
    assert not answers
    padding = replace(checkpoint.config, hole_padding=True)
    padded = max((row_of(tokenizer, padding, EXAMPLES[2], random.Random(i))[0] for i in range(4)), key=len)
    assert len(padded) > len(tokens)
    assert [each for each in padded if each != tokenizer.pad] == tokens


@given(st.text("ab \n", min_size=1).filter(str.strip), st.integers(0, 99))
def test_drawn_holes_are_apart_and_hold_code(text, seed):
    holes = draw_holes(text, random.Random(seed))
    assert holes
    edges = [edge for hole in holes for edge in hole]
    assert edges == sorted(edges)
    assert all(text[start:stop].strip() == text[start:stop] != "" for start, stop in holes)


def test_the_loss_is_the_weighted_mean_over_masked_tokens(make_trainer):
    trainer = make_trainer(reference=False)
    method = Sft(trainer, EXAMPLES, SftSettings(examples=5, micro_batch=2))
    parts = [part for each in method.batch(1).passes for part in each()]
    checkpoint, rng = trainer.weights.checkpoint, random.Random(seed_of(0, "rows", 1))
    rows = [row_of(checkpoint.tokenizer, checkpoint.config, each, rng) for each in shuffled(EXAMPLES, 5, 1, 0)]
    batch = collate(rows, pad=checkpoint.tokenizer.pad)
    masked, weight = corrupt(batch, generator_of(0, "masks", 1))
    total = weights = 0.0
    for i, (tokens, _, _) in enumerate(rows):
        shown = torch.tensor(tokens).masked_fill(masked[i, : len(tokens)], checkpoint.tokenizer.mask)
        for place in masked[i].nonzero()[:, 0].tolist():
            logits = checkpoint.network(shown[None], [torch.tensor([max(place - 1, 0)])])[0]
            pads = tokens[place] == tokens[place - 1] == checkpoint.tokenizer.pad
            heavy = float(weight[i, place]) * (PAD_WEIGHT if pads else 1)
            total -= heavy * float(logits.log_softmax(-1)[tokens[place]])
            weights += heavy
    assert sum(float(part.loss.detach()) for part in parts) == pytest.approx(total / weights, rel=1e-4)


def test_examples_are_learned_by_heart_by_an_adapter(make_trainer):
    trainer = make_trainer(rank=8, rate=2e-2, updates=12, reference=False)
    method = Sft(trainer, EXAMPLES[:1], SftSettings(examples=4))
    losses = [each.figures["loss"] for each in trainer.train(method, save=lambda: None, every=99)]
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])


def test_an_example_beyond_the_model_is_told(checkpoint):
    long = Example("x = 1\n" * 2000)
    with pytest.raises(UsageError, match=r"example 2 has \d+ tokens, more than the 2048"):
        longest_row([EXAMPLES[0], long], checkpoint.tokenizer, checkpoint.config)
    assert longest_row(EXAMPLES, checkpoint.tokenizer, checkpoint.config) > 60
