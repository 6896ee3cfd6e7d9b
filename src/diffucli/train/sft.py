"""Masked-diffusion fine-tuning on a user's own code: the same loop as that of rollouts, on examples instead."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from diffucli.decode.canvas import Span
from diffucli.errors import UsageError
from diffucli.tasks import prompt
from diffucli.train.data import shuffled
from diffucli.train.loop import Part, UpdateBatch, mine
from diffucli.train.objective import collate, corrupt, padding_weight
from diffucli.train.rollouts import generator_of, seed_of
from diffucli.train.scoring import logprobs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from diffucli.model.config import Config
    from diffucli.model.tokenizer import Tokenizer
    from diffucli.train.data import Example
    from diffucli.train.loop import Trainer

    Row = tuple[list[int], list[Span], bool]  # tokens, holes, whether the last hole reaches to the end

ANSWER_PADDING = (0, 8, 24, 64)  # most pad tokens behind an answer, so that answers end in canvases of any length
HOLE_PADDING = (0, 0, 4, 12)  # of a hole, in checkpoints that were trained with padded holes
HOLES, LINES = 2, 3  # most holes that are drawn in a text, and most lines of each


@dataclass(frozen=True, slots=True)
class SftSettings:
    """examples: of an update. micro_batch: how many of them are computed with at a time."""

    examples: int = 16
    micro_batch: int = 8
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Sft:
    """The method: batches of examples, and their loss."""

    trainer: Trainer
    examples: Sequence[Example]
    settings: SftSettings

    def batch(self, number: int) -> UpdateBatch:
        """Batch `number`, with one update."""
        settings, checkpoint = self.settings, self.trainer.weights.checkpoint
        rng = random.Random(seed_of(settings.seed, "rows", number))
        chosen = shuffled(self.examples, settings.examples, number, settings.seed)
        rows = [row_of(checkpoint.tokenizer, checkpoint.config, each, rng) for each in chosen]
        return UpdateBatch([partial(self._parts, number, rows)], {"tokens": float(sum(len(row[0]) for row in rows))})

    def _parts(self, number: int, rows: Sequence[Row]) -> Iterator[Part]:
        """The weighted mean cross-entropy of the masked tokens, in parts; see `objective.corrupt`."""
        tokenizer = self.trainer.weights.checkpoint.tokenizer
        batch = collate(rows, pad=tokenizer.pad)
        masked, weight = corrupt(batch, generator_of(self.settings.seed, "masks", number))
        weight = torch.where(masked, weight * padding_weight(batch.tokens, tokenizer.pad), 0.0)
        total = float(weight.sum())
        alike: dict[int, list[int]] = defaultdict(list)
        for i, (tokens, _, _) in mine(self.trainer.accelerator, rows):
            alike[len(tokens)].append(i)
        for length, group in alike.items():
            for i in range(0, len(group), self.settings.micro_batch):
                few = group[i : i + self.settings.micro_batch]
                loss = self._loss(batch.tokens[few, :length], masked[few, :length], weight[few, :length])
                yield Part(loss / total, {})

    def _loss(self, tokens: Tensor, masked: Tensor, weight: Tensor) -> Tensor:
        """The sum over the masked tokens of rows of equal length, `[B, n]`."""
        checkpoint, places = self.trainer.weights.checkpoint, masked.any(0).nonzero()[:, 0]
        span = Span(int(places[0]), int(places[-1]) + 1)
        inside = slice(span.start, span.stop)
        shown = tokens.masked_fill(masked, checkpoint.tokenizer.mask)
        with self.trainer.accelerator.autocast():
            found = logprobs(checkpoint.network, shown, span, tokens[:, inside], masked[:, inside])
        return -(found * weight[:, inside].to(found.device)).sum()


def longest_row(examples: Sequence[Example], tokenizer: Tokenizer, config: Config) -> int:
    """Tokens of the longest example, padding included. UsageError: one is longer than the model takes."""
    longest = 0
    for number, example in enumerate(examples, start=1):
        tokens, _, _ = row_of(tokenizer, config, example, random.Random(0))
        if len(tokens) > config.context:
            message = f"example {number} has {len(tokens)} tokens, more than the {config.context} of the model"
            raise UsageError(message, hint="split it, or leave it out")
        longest = max(longest, len(tokens))
    return longest + max(*ANSWER_PADDING, HOLES * max(HOLE_PADDING))


def row_of(tokenizer: Tokenizer, config: Config, example: Example, rng: random.Random) -> Row:
    """The tokens of an example as decoding sees them, and its holes."""
    if example.prompt is not None:
        content = [*tokenizer.encode(example.text), *prompt.closing(tokenizer, example.prompt)]
        padding = [tokenizer.pad] * rng.randint(0, rng.choice(ANSWER_PADDING))
        opening = prompt.opening(tokenizer, example.prompt)
        tokens = [*opening, *content, *padding]
        return tokens, [Span(len(opening), len(tokens))], True
    holes = example.holes or draw_holes(example.text, rng)
    edges = [0, *(edge for hole in holes for edge in hole), len(example.text)]
    parts = [example.text[start:stop] for start, stop in pairwise(edges)]
    outside, inside = parts[::2], parts[1::2]
    contents = [tokenizer.encode(prompt.inside(before, text)) for before, text in zip(outside, inside, strict=False)]
    if config.hole_padding:
        contents = [[*each, *[tokenizer.pad] * rng.randint(0, rng.choice(HOLE_PADDING))] for each in contents]
    layout = prompt.file(tokenizer, outside, [len(each) for each in contents])
    tokens = list(layout.tokens)
    for hole, content in zip(layout.holes, contents, strict=True):
        tokens[hole.start : hole.stop] = content
    return tokens, list(layout.holes), False


def draw_holes(text: str, rng: random.Random) -> tuple[tuple[int, int], ...]:
    """One or two holes of a few whole lines each, without the indentation of the first; they do not touch."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    full = [i for i in range(len(starts) - 1) if text[starts[i] : starts[i + 1]].strip()]
    holes: list[tuple[int, int]] = []
    for _ in range(rng.randint(1, HOLES)):
        first = rng.choice(full)
        piece = text[starts[first] : starts[min(first + rng.randint(1, LINES), len(starts) - 1)]]
        start = starts[first] + len(piece) - len(piece.lstrip())
        stop = starts[first] + len(piece.rstrip())
        if all(stop < other[0] or other[1] < start for other in holes):
            holes.append((start, stop))
    return tuple(sorted(holes))
