"""Files become canvases with holes, and what is written into these becomes the file's new text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diffucli.decode.loop import alone
from diffucli.decode.policy import PRESETS
from diffucli.edit import source
from diffucli.errors import UsageError
from diffucli.events import Finished, Started, Stepped
from diffucli.syntax.languages import by_name
from diffucli.tasks import length
from diffucli.tasks.engine import Effort
from diffucli.tasks.fill import fill
from diffucli.tasks.jobs import Wanted, job_between, jobs_of

BALANCED, EXACT = PRESETS["balanced"], PRESETS["exact"]
PYTHON = by_name("python")


def job_of(text: str, *regions: str, name: str | None = None, **wanted):
    path = None if name is None else Path(name)
    read = source.from_bytes(text.encode(), path)
    return jobs_of([(read, path)], Wanted(regions, **wanted))[0]


class Told:
    """Writes a text for each number of masks; the more masks, the likelier."""

    def __init__(self, checkpoint, texts):
        self.tokenizer, self.texts = checkpoint.tokenizer, texts

    def __call__(self, canvas, policy, constraints):
        del policy, constraints
        (hole,) = canvas.holes
        ids = self.tokenizer.encode(self.texts[len(hole)])[: len(hole)]
        yield Started(tuple(canvas.tokens.tolist()), canvas.mask, canvas.spans)
        where = tuple(range(hole.start, hole.start + len(ids)))
        canvas.commit(where, ids)
        sure = (-1.0 / len(hole),) * len(ids)
        yield Stepped(1, where, tuple(ids), sure, (hole.start, hole.stop), canvas.masks_left, 1, 0.1, (), sure)
        yield (finished := Finished(tuple(canvas.tokens.tolist()), "complete", 1, 0.1, canvas.spans))
        return finished


@pytest.fixture(scope="module")
def padding(checkpoint):
    """The golden checkpoint as if it were trained to pad inside holes."""
    return replace(checkpoint, config=replace(checkpoint.config, hole_padding=True))


def test_holes_of_given_lengths_stand_in_one_canvas_and_come_back_in_order(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, " 1", " b + c")
    done = result_of(fill(checkpoint, job_of("a = ???4\nreturn_ = ???8\n"), BALANCED, decode=decode))
    assert decode.canvases == ["a =" + "<|mask|>" * 4 + "\nreturn_ =" + "<|mask|>" * 8 + "\n"]
    assert done.result.pieces == ("1", "b + c"), "the blanks belong to the holes"
    assert done.result.text == "a = 1\nreturn_ = b + c\n"
    assert done.new == done.result.text.encode()
    assert done.changed


def test_a_file_that_comes_back_as_it_was_is_unchanged(checkpoint, scripted, result_of):
    done = result_of(fill(checkpoint, job_of("a = 1\n", "1"), BALANCED, decode=scripted(checkpoint, "a = 1")))
    assert not done.changed


def test_crlf_files_keep_their_line_ends_and_the_model_sees_lf(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, " 1\nb = 2")
    done = result_of(fill(checkpoint, job_of("a = ???9\r\nc = 3\r\n"), BALANCED, decode=decode))
    assert "\r" not in decode.canvases[0]
    assert done.new == b"a = 1\r\nb = 2\r\nc = 3\r\n"


def test_an_edit_that_adds_an_error_is_refused_if_repair_does_not_mend_it(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, " (")
    done = result_of(fill(checkpoint, job_of("a = ???2\n", name="x.py"), BALANCED, decode=decode))
    assert decode.repairs
    assert done.result.check.refused
    assert done.result.check.message.startswith("x.py:1:5: ")
    assert ">    1 a = (" in done.result.check.excerpt


def test_an_edit_that_adds_an_error_is_repaired_and_the_rest_of_its_text_stays(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, " f(1", repair=")")
    done = result_of(fill(checkpoint, job_of("a = ???4\nb = 2\n"), BALANCED, decode=decode))
    assert (done.result.text, done.result.pieces) == ("a = f(1)\nb = 2\n", ("f(1)",))
    assert done.result.ok


def test_without_rounds_nothing_is_repaired(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, " f(1", repair=")")
    done = result_of(fill(checkpoint, job_of("a = ???4\n"), BALANCED, decode=decode, effort=Effort(repair=0)))
    assert (done.result.text, decode.repairs) == ("a = f(1\n", [])


def test_a_free_hole_is_written_in_several_lengths_and_the_longest_of_equals_wins(checkpoint, scripted, result_of):
    """Only the promising lengths are written out where the checkpoint does not pad. All count."""
    decode = scripted(checkpoint, " 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13 + 14 + 15 + 16 + 17")
    done = result_of(fill(checkpoint, job_of("a = ???\n"), BALANCED, decode=decode, effort=Effort(repair=0)))
    masks = [canvas.count("<|mask|>") for canvas in decode.canvases]
    assert len(masks) == length.FINALISTS
    assert set(masks) < set(length.LADDER)
    wanted = checkpoint.tokenizer.encode(" 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13 + 14 + 15 + 16 + 17")
    assert done.result.chosen.written.holes[0].tokens == tuple(wanted[: max(masks)]), "all are equally likely"
    assert done.result.nfe - done.result.rereading == pytest.approx(2 * length.FINALISTS + len(length.LADDER))


@pytest.mark.parametrize(
    ("texts", "chosen"),
    [
        ({2: " 1", 3: " [", 4: " b"}, "1"),
        ({2: " [", 3: " 2", 4: " ]"}, "2"),
        ({2: " 1", 3: " 2", 4: " 3"}, "3"),
        ({2: " [", 3: " c", 4: " ]"}, "c"),
    ],
)
def test_of_the_lengths_of_a_hole_the_likeliest_clean_text_wins(checkpoint, result_of, texts, chosen):
    """Of none that is clean, that with the fewest faults: a warning is less than an error."""
    decode = Told(checkpoint, texts)
    done = result_of(fill(checkpoint, job_of("a = ???2-4\n"), BALANCED, decode=decode, effort=Effort(repair=0)))
    assert done.result.text == f"a = {chosen}\n"


def test_holes_of_free_length_are_written_one_after_the_other_with_those_before_in_view(
    checkpoint, scripted, result_of
):
    decode = scripted(checkpoint, " 1", " 2")
    done = result_of(fill(checkpoint, job_of("a = ???\nb = ???3\n"), BALANCED, decode=decode))
    assert done.result.text == "a = 1\nb = 2\n"
    assert all(canvas.endswith("\nb =" + "<|mask|>" * 40 + "\n") for canvas in decode.canvases[:-1])
    assert decode.canvases[-1] == "a = 1\nb =" + "<|mask|>" * 3 + "\n"


def test_a_hole_behind_an_indentation_begins_with_no_blank(checkpoint, scripted, result_of):
    """Else the line is indented further than where the hole stands. One blank belongs to the hole."""
    blanks = checkpoint.tokenizer.blanks
    for free in ("", "4"):
        decode = scripted(checkpoint, " 1", " 2", "3")
        job = job_of(f"if a:\n    ???{free}\nb = ???{free}\nif a:\n\t???{free}\n")
        result_of(fill(checkpoint, job, BALANCED, verify="off", decode=decode))
        wanted = (blanks(behind_blank=True), (), blanks(behind_blank=False))
        found = [ids for each in decode.constraints for ids in each.not_first]
        assert list(dict.fromkeys(found)) == list(wanted)
        assert free == "" or found == list(wanted), "all at once, in order"


def test_a_text_whose_hole_ends_behind_it_is_better_than_a_likelier_beginning(padding, result_of, monkeypatch):
    """Weighed by `END_WEIGHT`: of two mean log-probabilities that differ by less than that."""
    tokenizer, job = padding.tokenizer, job_of("a = ???2-4\n")
    texts = {2: " 1", 3: " 2", 4: " 3"}

    def ends(of):
        def end_logprob(layout, number, _):
            yield from ()
            span = layout.holes[number]
            text = tokenizer.decode(layout.tokens[span.start : span.stop])
            return (0.0 if text == f" {of}" else -30.0), 1.0

        return end_logprob

    for number in "123":
        monkeypatch.setattr(length, "end_logprob", ends(number))
        done = result_of(fill(padding, job, BALANCED, decode=Told(padding, texts), effort=Effort(repair=0)))
        assert done.result.text == f"a = {number}\n"


def test_warnings_and_offsets_are_those_of_the_new_text(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, " bbb", " é + ccc")
    job = job_of("a = ???9\r\nx = 'ü'; é = ???9\r\n")
    done = result_of(fill(checkpoint, job, BALANCED, decode=decode, effort=Effort(repair=0)))
    chosen = done.result.chosen
    found = [chosen.text[one.start : one.stop] for one in chosen.warnings]
    assert found == ["bbb", "é", "ccc"]
    for hole, offsets, content in zip(chosen.written.holes, chosen.offsets, (" bbb", " é + ccc"), strict=True):
        assert len(offsets) == len(hole.tokens) + 1
        assert chosen.text[offsets[0] : offsets[-1]] == content


def test_errors_that_were_there_before_do_not_count(checkpoint, scripted, result_of):
    job = job_of("def f(:\n    pass\na = 1\n", "3", name="x.py")
    done = result_of(fill(checkpoint, job, BALANCED, decode=scripted(checkpoint, "a = 2")))
    assert not done.result.check.refused
    assert len(done.result.attempts) == 1


def test_no_run_writes_a_special_token_into_a_hole(checkpoint):
    tokenizer = checkpoint.tokenizer
    for seed in range(3):
        hot = replace(BALANCED, seed=seed, sampling=replace(BALANCED.sampling, temperature=3.0))
        *_, final = alone(checkpoint.network, fill(checkpoint, job_of("x = ???20\n"), hot, verify="off"))
        start, stop = final.holes[0]
        assert not tokenizer.specials & set(final.tokens[start:stop])


def test_a_padding_checkpoint_may_pad_but_not_before_the_least_length(
    checkpoint, padding, scripted, result_of, monkeypatch
):
    monkeypatch.setattr(length, "POSSIBLE", 0.0)
    job, pad = job_of("x = ???12-40\n"), checkpoint.tokenizer.pad
    for model, ends in ((padding, {(), (pad,)}), (checkpoint, {()})):
        decode = scripted(model, " 1")
        result_of(fill(model, job, EXACT, decode=decode))
        assert {each.ends for each in decode.constraints} == ends
        for each in decode.constraints:
            assert each.min_tokens == (12,)
            assert set(each.forbidden) == model.tokenizer.specials - set(each.ends)


def test_far_lines_are_left_out_and_counted(checkpoint, scripted, result_of):
    far, decode = "y = 12345\n" * checkpoint.config.context, scripted(checkpoint, " 1")
    done = result_of(fill(checkpoint, job_of(far + "x = ???\n" + far), BALANCED, decode=decode))
    assert "lines far from the regions were left out" in done.result.notes[0]
    canvas = decode.canvases[0]
    assert "x =<|mask|>" in canvas, "the line of the hole is seen"
    assert canvas.split("x =")[0].count("\n") > 20, "both sides are seen"
    assert canvas.split("<|mask|>")[-1].count("\n") > 20, "both sides are seen"
    assert done.result.text.startswith(far)


def test_regions_too_far_apart_are_refused_with_the_numbers(checkpoint, result_of):
    job = job_of("a = ???\n" + "b = 2\n" * 9000 + "c = ???\n")
    with pytest.raises(UsageError, match=r"tokens long, more than the \d+ the model can take"):
        result_of(fill(checkpoint, job, BALANCED))


def test_an_instruction_puts_the_file_into_a_fence(checkpoint, scripted, result_of):
    decode = scripted(checkpoint, " 1")
    result_of(fill(checkpoint, job_of("a = ???\n"), BALANCED, instruction="set a", decode=decode))
    assert "user\nset a\n" in decode.canvases[0]
    assert decode.canvases[0].endswith("\n```<|im_end|>")


@pytest.mark.parametrize(
    "case", [("x = [", "i", " for i in y]\n"), ("x = [i for ", "i ", "in y]\n"), ("", "i\n", "b = 2\n")]
)
def test_white_space_at_the_end_of_a_hole_stays_where_it_parts_it_from_what_follows(
    checkpoint, scripted, result_of, case
):
    before, piece, after = case
    decode = scripted(checkpoint, piece if piece[-1:].isspace() else f"{piece} ")
    done = result_of(fill(checkpoint, job_between(before, after, Wanted(length=(2, 2))), BALANCED, decode=decode))
    assert done.result.text == before + piece + after
