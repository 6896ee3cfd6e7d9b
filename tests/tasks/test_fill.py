"""Files become canvases with holes, and what is written into these becomes the file's new text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diffucli.decode.loop import alone
from diffucli.decode.policy import PRESETS
from diffucli.edit import source
from diffucli.errors import UsageError
from diffucli.syntax.languages import by_name
from diffucli.tasks.fill import DEFAULT_HOLE_TOKENS, Wanted, crop_context, fill, hole_length, jobs_of

BALANCED, EXACT = PRESETS["balanced"], PRESETS["exact"]
PYTHON = by_name("python")


def job_of(text: str, *regions: str, name: str | None = None, **wanted):
    path = None if name is None else Path(name)
    read = source.from_bytes(text.encode(), path)
    return jobs_of([(read, path)], Wanted(regions, **wanted))[0]


@pytest.fixture(scope="module")
def padding(checkpoint):
    """The golden checkpoint as if it were trained to pad inside holes."""
    return replace(checkpoint, config=replace(checkpoint.config, hole_padding=True))


def test_all_holes_stand_in_one_canvas_and_come_back_in_order(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, " 1", " b + c")
    done = result_of(fill(checkpoint, job_of("a = ???\nreturn_ = ???\n"), BALANCED, decode=decode))
    assert decode.canvases == ["a =" + "<|mask|>" * 40 + "\nreturn_ =" + "<|mask|>" * 40 + "\n"]
    assert done.result.pieces == ("1", "b + c"), "the blanks belong to the holes"
    assert done.result.text == "a = 1\nreturn_ = b + c\n"
    assert done.new == done.result.text.encode()
    assert done.changed


def test_a_file_that_comes_back_as_it_was_is_unchanged(checkpoint, scripted, result_of):
    done = result_of(fill(checkpoint, job_of("a = 1\n", "1"), BALANCED, decode=scripted(checkpoint, "a = 1")))
    assert not done.changed


def test_crlf_files_keep_their_line_ends_and_the_model_sees_lf(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, " 1\nb = 2")
    done = result_of(fill(checkpoint, job_of("a = ???\r\nc = 3\r\n"), BALANCED, decode=decode))
    assert "\r" not in decode.canvases[0]
    assert done.new == b"a = 1\r\nb = 2\r\nc = 3\r\n"


def test_an_edit_that_adds_an_error_is_written_again_and_refused_if_it_stays(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, " (", " (1")
    done = result_of(fill(checkpoint, job_of("a = ???\n", name="x.py"), BALANCED, decode=decode))
    assert len(done.result.attempts) == 2
    assert done.result.check.refused
    assert done.result.check.message.startswith("x.py:1:5: ")
    assert ">    1 a = (1" in done.result.check.excerpt


def test_errors_that_were_there_before_do_not_count(checkpoint, scripted, result_of):
    job = job_of("def f(:\n    pass\na = 1\n", "3", name="x.py")
    done = result_of(fill(checkpoint, job, BALANCED, decode=scripted(checkpoint, "a = 2")))
    assert not done.result.check.refused
    assert len(done.result.attempts) == 1


def test_how_many_masks_a_hole_gets(checkpoint, padding):
    """Slack can be padded, or else the length must be right."""
    bounds = [(None, None), (8, 8), (1, 41), (None, 41)]
    assert [hole_length(checkpoint, "", low, high) for low, high in bounds] == [40, 8, 21, 21]
    assert [hole_length(padding, "", low, high) for low, high in bounds] == [40, 8, 41, 41]
    tokens = len(checkpoint.tokenizer.encode("x = 1 + 1"))
    assert hole_length(checkpoint, "x = 1 + 1", None, None) == tokens
    assert hole_length(padding, "x = 1 + 1", None, None) == tokens + 16
    assert DEFAULT_HOLE_TOKENS == 40


def test_a_long_region_gets_half_as_much_again_where_slack_is_padded(padding):
    old = "x = 1 + 1\n" * 20
    tokens = len(padding.tokenizer.encode(old))
    assert hole_length(padding, old, None, None) == tokens + tokens // 2


def test_no_run_writes_a_special_token_into_a_hole(checkpoint):
    tokenizer = checkpoint.tokenizer
    for seed in range(3):
        hot = replace(BALANCED, seed=seed, sampling=replace(BALANCED.sampling, temperature=3.0))
        *_, final = alone(checkpoint.network, fill(checkpoint, job_of("x = ???20\n"), hot, verify="off"))
        start, stop = final.holes[0]
        assert not tokenizer.specials & set(final.tokens[start:stop])


def test_a_padding_checkpoint_may_pad_but_not_before_the_least_length(checkpoint, padding, scripted, result_of):
    job, pad = job_of("x = ???12-40\ny = ???\n"), checkpoint.tokenizer.pad
    for model, ends in ((padding, (pad,)), (checkpoint, ())):
        decode = scripted(model, " 1")
        result_of(fill(model, job, EXACT, decode=decode))
        (constraints,) = decode.constraints
        assert (constraints.ends, constraints.min_tokens) == (ends, (12, 1))
        assert set(constraints.forbidden) == model.tokenizer.specials - set(ends)


def test_far_lines_are_left_out_and_counted(checkpoint, scripted, result_of):
    far, decode = "y = 12345\n" * checkpoint.config.context, scripted(checkpoint, " 1")
    done = result_of(fill(checkpoint, job_of(far + "x = ???\n" + far), BALANCED, decode=decode))
    assert "lines far from the regions were left out" in done.result.notes[0]
    canvas = decode.canvases[0]
    assert "x =<|mask|>" in canvas, "the line of the hole is seen"
    assert canvas.split("x =")[0].count("\n") > 20, "both sides are seen"
    assert canvas.split("<|mask|>")[-1].count("\n") > 20, "both sides are seen"
    assert done.result.text.startswith(far)


def test_short_files_are_seen_whole_and_without_a_note(checkpoint):
    parts = ["a\n" * 5, "b\n" * 5]
    assert crop_context(checkpoint, parts, masks=40, request=None, language=PYTHON) == (parts, ())


def test_the_prompt_is_reckoned_in_the_language_it_is_written_in(checkpoint, monkeypatch):
    """A tag of more tokens leaves less room for the file."""
    parts, rust = ["y = 1\n" * 3000, "z\n"], by_name("rust")
    longer = replace(rust, name="rust " * 200)
    some, fewer = (
        crop_context(checkpoint, parts, masks=40, request="do it", language=language)[0][0]
        for language in (rust, longer)
    )
    assert len(fewer) < len(some)


def test_regions_too_far_apart_are_refused_with_the_numbers(checkpoint, result_of):
    job = job_of("a = ???\n" + "b = 2\n" * 9000 + "c = ???\n")
    with pytest.raises(UsageError, match=r"tokens long, more than the \d+ the model can take"):
        result_of(fill(checkpoint, job, BALANCED))


def test_an_instruction_puts_the_file_into_a_fence(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, " 1")
    result_of(fill(checkpoint, job_of("a = ???\n"), BALANCED, instruction="set a", decode=decode))
    assert "user\nset a\n" in decode.canvases[0]
    assert decode.canvases[0].endswith("\n```<|im_end|>")


def test_files_without_anything_to_fill_are_left_out_or_refused():
    read = source.from_bytes(b"a = 1\n", Path("a.py")), Path("a.py")
    holes = source.from_bytes(b"b = ???\n", Path("b.py")), Path("b.py")
    lenient = Wanted(lenient=True)
    assert [job.name for job in jobs_of([read, holes], lenient)] == ["b.py"]
    with pytest.raises(UsageError, match="none of the 1 files holds what to fill"):
        jobs_of([read], lenient)
    with pytest.raises(UsageError, match=r"^a\.py: there is no"):
        jobs_of([read], Wanted())
    with pytest.raises(UsageError, match=r"^<stdin>: there is no"):
        job_of("a = 1\n")


def test_a_patch_names_the_real_file_from_the_current_folder(checkpoint, scripted, result_of, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    for name in ("here/below.py", "above.py"):
        (tmp_path / name).write_text("a = ???\n")
    (tmp_path / "here" / "link.py").symlink_to("below.py")
    monkeypatch.chdir(tmp_path / "here")
    for name, shown in (("link.py", "below.py"), ("../above.py", str(tmp_path / "above.py"))):
        job = job_of("a = ???\n", name=name)
        patch = result_of(fill(checkpoint, job, BALANCED, decode=scripted(checkpoint, " 1"))).diff().decode()
        assert f"--- a/{shown.lstrip('/')}\n+++ b/{shown.lstrip('/')}\n" in patch
        assert patch.endswith("-a = ???\n+a = 1\n")


def test_a_character_that_the_files_encoding_lacks_is_told(checkpoint, scripted, result_of):
    raw = "# coding: latin-1\na = ???\n".encode("latin-1")
    (job,) = jobs_of([(source.from_bytes(raw, Path("a.py")), Path("a.py"))], Wanted())
    done = result_of(fill(checkpoint, job, BALANCED, decode=scripted(checkpoint, ' "→"')))
    with pytest.raises(UsageError, match="cannot be written in"):
        done.new  # noqa: B018 — a property
