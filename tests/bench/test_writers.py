"""Who takes part in a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.bench.reference import PublishedLoop
from diffucli.bench.writers import DUAL_CACHE, REFERENCE, WRITING, Writer, writers
from diffucli.decode.policy import PRESETS
from diffucli.events import Finished, Stepped
from diffucli.tasks.generate import DEFAULT_ANSWER_TOKENS
from diffucli.ui.live import pull

if TYPE_CHECKING:
    from tests.conftest import Script

    from diffucli.model.load import Checkpoint


def test_yardsticks_come_first_as_they_are_named(checkpoint: Checkpoint) -> None:
    found = writers(checkpoint, {"fast": PRESETS["fast"]}, [DUAL_CACHE, REFERENCE])
    assert list(found) == [DUAL_CACHE, REFERENCE, "fast"]
    assert isinstance(found[REFERENCE].decode, PublishedLoop)
    assert found["fast"] == Writer(checkpoint, PRESETS["fast"], effort=WRITING)
    assert list(writers(checkpoint, {"fast": PRESETS["fast"]})) == ["fast"]


def test_dual_cache_is_a_policy_that_fills_the_canvas_block_by_block(checkpoint: Checkpoint) -> None:
    writer = writers(checkpoint, {}, [DUAL_CACHE])[DUAL_CACHE]
    _, *steps, final = writer.answer("a", length=40, verify="off")
    assert isinstance(final, Finished)
    ((start, stop),) = final.holes
    assert checkpoint.tokenizer.mask not in final.tokens[start:stop]
    windows = [step.window for step in steps if isinstance(step, Stepped)]
    assert list(dict.fromkeys(windows)) == [(start, start + 32), (start + 32, stop)]
    assert windows == sorted(windows)
    assert writer.decode == Writer(checkpoint, PRESETS["fast"], effort=WRITING).decode, "our own loop"
    assert (writer.policy.block, writer.policy.stop, writer.policy.cache) == (32, False, "dual")


def test_what_the_published_loop_wrote_is_not_repaired(checkpoint: Checkpoint) -> None:
    """It has no other way to write."""
    result = pull(writers(checkpoint, {}, [REFERENCE])[REFERENCE].answer("a", length=8))
    assert not result.ok, "the golden checkpoint writes no code"
    assert (result.nfe, len(result.attempts)) == (8, 1)


def test_an_answer_has_the_default_number_of_masks_unless_another_is_given(
    checkpoint: Checkpoint, script: type[Script]
) -> None:
    writer = Writer(checkpoint, PRESETS["balanced"], script(checkpoint, "x = 1\n<|im_end|>"))
    results = [pull(writer.answer("do it", length=length)) for length in (None, 20)]
    assert [each.chosen.written.masks for each in results] == [DEFAULT_ANSWER_TOKENS, 20]


def test_an_answer_that_is_not_verified_is_written_once(checkpoint: Checkpoint, script: type[Script]) -> None:
    writer = Writer(checkpoint, PRESETS["balanced"], script(checkpoint, "def f(:\n<|im_end|>"))
    result = pull(writer.answer("do it", verify="off"))
    assert (result.text, result.nfe, len(result.attempts)) == ("def f(:\n", 3, 1)
