"""`diffu gen`: code alone on stdout, and nothing written that is no code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from diffucli import units
from diffucli.tasks.verify import remedy

CODE = "x = 1\n"
ANSWER = "x = 1\n```<|im_end|>"


def test_the_code_alone_goes_to_stdout(diffu, says):
    says(ANSWER)
    done = diffu("gen", "set x")
    assert (done.code, done.out, done.err) == (0, CODE.encode(), "")


def test_numbers_count_text_alone_and_come_for_those_who_ask(diffu, says, loaded, monkeypatch):
    monkeypatch.setattr(units, "SHORTEST", 1e9)  # of seconds
    says("x = 1\n<|im_end|>")
    done = diffu("gen", "set x", "-v", "--seed", "8", "--length", "60")
    tokens = len(loaded.tokenizer.encode(CODE))
    assert done.lines[-1].startswith(f"seed 8 · NFE 2 · {tokens}/60 tokens · load ")
    assert re.search(r" s( · \d+ tok/s)? · parses ✓$", done.lines[-1]), "a speed of so little may mean nothing"


def test_json_carries_the_text_and_the_numbers(diffu, says):
    says(ANSWER)
    done = diffu("gen", "set x", "--json", "--seed", "8")
    told = json.loads(done.out)
    assert (told["schema"], told["status"], told["text"], told["ended"]) == ("diffu.run/1", 0, CODE, True)
    assert (told["parses"], told["problems"], told["file"], told["undo"]) == (True, [], None, None)
    assert told["run"]["seed"] == 8
    assert done.err == ""


def test_output_goes_through_the_store_so_that_undo_restores(diffu, says):
    says(ANSWER)
    Path("x.py").write_text("mine\n")
    done = diffu("gen", "set x", "-o", "x.py", "--json")
    told = json.loads(done.out)
    assert Path("x.py").read_text() == CODE
    assert told["file"] == "x.py"
    assert diffu("undo", told["undo"]).code == 0
    assert Path("x.py").read_text() == "mine\n"


def test_a_dash_as_output_is_stdout(diffu, says):
    says(ANSWER)
    assert diffu("gen", "set x", "-o", "-").out == CODE.encode()
    assert not Path("-").exists()


def test_the_id_of_the_write_is_told(diffu, says):
    says(ANSWER, ANSWER)
    assert "wrote x.py (undo with: diffu undo " in diffu("gen", "set x", "-o", "x.py", "-v").err
    assert "x.py is unchanged\n" in diffu("gen", "set x", "-o", "x.py", "-v").err


def test_the_suffix_of_the_output_tells_the_language(diffu, says):
    seen = says("let x = 1;\n```")
    assert diffu("gen", "set x", "-o", "x.js").code == 0
    assert "```javascript\n" in seen[0]


@pytest.mark.parametrize(
    ("lang", "answer"), [("rust", "fn f() {}\n```"), ("c", "int f(void) { return 1; }\n```"), ("json", '{"a": 1}\n```')]
)
def test_other_languages_are_parsed_by_their_grammars(diffu, says, lang, answer):
    says(answer, "(((\n```")
    assert diffu("gen", "it", "-l", lang).code == 0
    assert diffu("gen", "it", "-l", lang).code == 3


@pytest.mark.parametrize("answer", ["def f(:\n```", "Sorry\n```", "```", "# nothing\n```"])
def test_no_code_is_exit_3_with_the_text_on_stderr_and_nothing_written(diffu, says, answer):
    says(answer, answer, answer)
    done = diffu("gen", "it", "-o", "x.py")
    assert (done.code, done.out) == (3, b"")
    *shown, _ = done.lines
    text = answer.partition("```")[0].strip()
    assert [line[7:] for line in shown] == [text] * bool(text), "it has line numbers, so nobody takes it for a result"
    hint = remedy("request" if "def" in answer else "empty")
    assert done.lines[-1].endswith(f"nothing was written ({hint})")
    assert not Path("x.py").exists()
    told = json.loads(diffu("gen", "it", "--json").out)
    assert (told["schema"], told["status"], told["text"].rstrip()) == ("diffu.error/1", 3, text.rstrip())
    assert len(diffu("gen", "it", "-q").lines) == 1


def test_verify_warn_prints_it_all_the_same_and_off_does_not_look(diffu, says):
    says("def f(:\n```", "def f(:\n```")
    done = diffu("gen", "it", "--verify", "warn")
    assert (done.code, done.out) == (0, b"def f(:\n")
    assert done.lines == ["diffu: the answer does not parse: line 1: invalid syntax"]
    done = diffu("gen", "it", "--verify", "off")
    assert (done.code, done.out, done.err) == (0, b"def f(:\n", "")


def test_a_full_canvas_is_told(diffu, says):
    says("x = 1\n")
    done = diffu("gen", "it")
    assert done.code == 0
    assert done.lines == ["diffu: the canvas is full before the code came to its end; try a larger --length"]


def test_steps_that_do_not_suffice_are_told_instead(diffu, says):
    for left, told in ((1, "1 mask"), (20, "20 masks")):
        says("x = 1\n", left=left)
        done = diffu("gen", "it", "--steps", "1", "--length", "40")
        assert done.lines == [f"diffu: --steps ended the run with {told} left, so parts of the text are missing"]


def test_the_request_comes_from_the_argument_a_file_or_stdin(diffu, says):
    seen = says(*[ANSWER] * 5)
    Path("r.txt").write_text("set x\n")
    assert diffu("gen", "set x").code == 0
    assert diffu("gen", "-f", "r.txt").code == 0
    assert diffu("gen", stdin=b"set x\n").code == 0
    assert diffu("gen", "-", stdin=b"\xef\xbb\xbfset x\r\n").code == 0
    assert diffu("gen", "-f", "-", stdin=b"set x").code == 0
    assert len(set(seen)) == 1


def test_files_and_stdin_are_context_in_fences_and_empty_ones_are_left_out(diffu, says):
    seen = says(*[ANSWER] * 3)
    Path("a.py").write_bytes(b"\na = 1\r\nb = 2\n\n")
    Path("empty.py").touch()
    assert diffu("gen", "use a", "-c", "a.py", "-c", "empty.py", stdin=b"c = 3\n").code == 0
    assert "user\nuse a\n\n```\na = 1\nb = 2\n```\n\n```\nc = 3\n```\n" in seen[0]
    assert diffu("gen", "use a", "-c", "-", stdin=b"c = 3\n").code == 0
    assert "user\nuse a\n\n```\nc = 3\n```\n" in seen[1]
    assert diffu("gen", "use a", stdin=b"").code == 0
    assert "user\nuse a\n<" in seen[2]


def test_names_of_special_tokens_are_plain_text(diffu, says, loaded):
    says(ANSWER)
    assert diffu("gen", "<|mask|>").code == 0
    assert loaded.tokenizer.mask not in loaded.tokenizer.encode("<|mask|>")


def test_a_cold_temperature_is_the_likeliest_token(diffu, loaded):
    outs = {
        diffu("gen", "x", "--length", "4", "--verify", "off", "--temp", t, "--seed", "1").out for t in ("0", "1e-40")
    }
    assert len(outs) == 1


def test_a_seed_makes_a_run_again(diffu, loaded):
    argv = ("gen", "x", "--length", "8", "--verify", "off", "--temp", "1", "--preset", "exact")
    once, again, other = (diffu(*argv, "--seed", seed).out for seed in ("1", "1", "2"))
    assert once == again != other


def test_memory_that_runs_out_on_the_way_is_exit_4(diffu, loaded, monkeypatch):
    def denoise(*_):
        raise MemoryError
        yield

    monkeypatch.setattr("diffucli.tasks.write.denoise", denoise)
    done = diffu("gen", "x")
    assert done.code == 4
    assert len(done.lines) == 1


def test_mini_writes_a_quicksort_that_sorts(diffu, mini):
    done = diffu("gen", "write a quicksort", "-m", mini, "--seed", "1")
    assert done.code == 0, done.err
    space: dict[str, object] = {}
    exec(done.out, space)
    (sort,) = (value for name, value in space.items() if callable(value) and "sort" in name)
    assert sort([3, 1, 2, 3]) == [1, 2, 3, 3]


def test_an_answer_that_does_not_parse_is_repaired(diffu, says):
    says("x = (1\n```", repair=")")
    done = diffu("gen", "set x")
    assert (done.code, done.out) == (0, b"x = (1)\n")


def test_an_answer_is_not_repaired_where_the_steps_were_given(diffu, says):
    says("x = (1\n```", repair=")")
    assert diffu("gen", "set x", "--steps", "9").code == 3


def test_an_answer_for_a_file_is_told_to_need_a_higher_python_than_the_project(diffu, says):
    Path("pyproject.toml").write_text('[project]\nrequires-python = ">=3.7"\n')
    says(*["(y := 1)\n```<|im_end|>"] * 2)
    done = diffu("gen", "set y", "-o", "x.py", "--json")
    (note,) = json.loads(done.out)["notes"]
    assert note.startswith("line 1 has `:=`, which needs Python 3.8; the lowest of this project is 3.7")
    assert diffu("gen", "set y").err == ""
