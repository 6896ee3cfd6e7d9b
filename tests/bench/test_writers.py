"""Who takes part in a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.bench.reference import PublishedLoop
from diffucli.bench.writers import DUAL_CACHE, REFERENCE, writers
from diffucli.decode.policy import PRESETS
from diffucli.tasks.engine import Engine

if TYPE_CHECKING:
    from diffucli.model.load import Checkpoint


def test_yardsticks_come_first_as_they_are_named(checkpoint: Checkpoint) -> None:
    found = writers(checkpoint, {"fast": PRESETS["fast"]}, [DUAL_CACHE, REFERENCE])
    assert list(found) == [DUAL_CACHE, REFERENCE, "fast"]
    assert isinstance(found[REFERENCE], PublishedLoop)
    assert found["fast"] == Engine(checkpoint, PRESETS["fast"])
    assert list(writers(checkpoint, {"fast": PRESETS["fast"]})) == ["fast"]


def test_dual_cache_is_a_policy_that_fills_the_canvas_block_by_block(checkpoint: Checkpoint) -> None:
    writer = writers(checkpoint, {}, [DUAL_CACHE])[DUAL_CACHE]
    run = writer.generate("a", length=40)
    *_, final = run.events
    hole = run.layout.holes[0]
    assert checkpoint.tokenizer.mask not in final.tokens[hole.start : hole.stop]  # type: ignore[union-attr]
    assert isinstance(writer, Engine)
    assert (writer.policy.block, writer.policy.suffix, writer.policy.cache) == (32, None, "dual")
