"""`diffu eval`: a table, or an object, of what a model can do."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from diffucli.cli.evaluate import recorded
from diffucli.errors import UsageError, WriteFailed
from diffucli.eval.problems import CodeProblem, FillProblem
from diffucli.sandbox import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Diffu

    from diffucli.eval.judging import JudgedSample

RIGHT, WRONG = "def f(x):\n    return x + 1\n```<|im_end|>", "def f(x):\n    return x\n```<|im_end|>"
BROKEN = "def f(x:\n```<|im_end|>"


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> list[CodeProblem | FillProblem]:
    """A suite of two requests and a line."""
    problems = [
        CodeProblem("requests", "add one", "assert candidate(1) == 2\n"),
        CodeProblem("requests", "add 1", "assert candidate(3) == 4\n"),
        FillProblem("lines", "def f(x):\n    ", "return x", "\n"),
    ]
    monkeypatch.setattr(
        "diffucli.cli.eval_input.problems", lambda suite, limit: problems[-limit:] if limit else problems
    )
    return problems


@pytest.mark.usefixtures("three")
def test_the_table_goes_to_stdout_and_progress_to_stderr(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    says(RIGHT, WRONG, "return x")
    done = diffu("eval", "--seed", "3")
    assert done.code == 0
    header, _, requests, lines, _, how = done.out.decode().splitlines()
    assert how.startswith("The code was ")
    assert header.startswith("| group")
    assert "| requests |" in requests
    assert "50.0 % ±" in requests
    assert "| 100.0 % |" in " ".join(lines.split()), "of one problem no error can be told"
    assert done.lines[0].startswith("evaluating:")
    assert "100% · 3 of 3 · 2 passed" in done.lines[-1]


@pytest.mark.usefixtures("three")
def test_the_object_holds_every_figure(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    says(RIGHT, WRONG, "return y")
    done = diffu("eval", "--json", "--seed", "3")
    value = json.loads(done.out)
    assert (value["schema"], value["status"], value["suite"], value["samples"]) == ("diffu.eval/1", 0, "mini", 1)
    assert (value["preset"], value["temperature"], value["seed"]) == ("balanced", 0.0, 3)
    requests, lines = value["groups"]
    assert (requests["group"], requests["problems"], requests["passes"]) == ("requests", 2, {"1": 0.5})
    assert lines["passes"] == {"1": 0.0}
    assert {"nfe", "tokens", "seconds", "tpf", "rate", "parses", "error"} <= set(lines)
    assert done.err == ""


@pytest.mark.usefixtures("three")
def test_the_report_says_how_the_code_was_confined(
    diffu: Diffu, says: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[object] = []
    outcome = Outcome("ok", "", "", 0.1, "none")
    monkeypatch.setattr("diffucli.sandbox.run_tests", lambda *_, confinement, **__: ran.append(confinement) or outcome)
    monkeypatch.setattr("diffucli.sandbox.strongest", lambda: "namespaces")
    says(RIGHT, RIGHT, "return x", RIGHT, RIGHT, "return x")
    assert json.loads(diffu("eval", "--json").out)["confinement"] == "namespaces"
    assert json.loads(diffu("eval", "--json", "--unconfined").out)["confinement"] == "none"
    assert ran == ["namespaces"] * 2 + ["none"] * 2
    out = diffu("eval", "--unconfined").out.decode()
    assert out.endswith("\n\nThe code was not confined: it ran with the rights of the user.\n")


@pytest.mark.parametrize(
    "command", [("eval",), ("bench", "quality"), ("train", "mini", "-o", "new", "--no-picture")], ids=lambda c: c[0]
)
def test_where_nothing_confines_code_nothing_is_done(
    diffu: Diffu, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise UsageError("generated code cannot be confined here", hint="--unconfined runs it with your own rights")

    monkeypatch.setattr("diffucli.sandbox.strongest", none)
    monkeypatch.setattr("diffucli.model.load.load", lambda *_, **__: pytest.fail("a model was loaded"))
    done = diffu(*command)
    assert (done.code, done.out) == (2, b"")
    assert done.lines == ["diffu: generated code cannot be confined here (--unconfined runs it with your own rights)"]


@pytest.mark.usefixtures("three")
def test_what_does_not_parse_is_repaired_as_by_the_commands_and_all_versions_count(
    diffu: Diffu, says: Callable[..., list[str]]
) -> None:
    says(RIGHT.replace("x)", "x"), WRONG, "return x", repair=")")
    requests, lines = json.loads(diffu("eval", "--json").out)["groups"]
    assert (requests["passes"], lines["passes"]) == ({"1": 0.5}, {"1": 1.0})
    assert requests["nfe"] > 2, "more than one forward a text"
    assert (requests["parses"], lines["parses"]) == (1, 1)


@pytest.mark.usefixtures("three")
def test_a_number_of_steps_that_was_given_is_kept_to(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    says(BROKEN, WRONG, "return x", repair=")")
    requests, _ = json.loads(diffu("eval", "--json", "--steps", "9").out)["groups"]
    assert (requests["nfe"], requests["parses"]) == (2, 0.5), "one, and one to read it again"


@pytest.mark.usefixtures("three")
def test_ten_samples_of_a_problem_tell_of_ten(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    says(*["return x"] * 2, *["return y"] * 8)
    done = diffu("eval", "--samples", "10", "--temp", "0.4", "--limit", "1", "--json")
    (lines,) = json.loads(done.out)["groups"]
    assert lines["passes"] == pytest.approx({"1": 0.2, "10": 1.0})
    assert lines["samples"] == 10


@pytest.mark.usefixtures("three")
def test_a_look_at_every_sample(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    says(RIGHT, WRONG, "return x")
    lines = diffu("eval", "-v").lines
    assert [line for line in lines if line.startswith(("ok", "error"))] == [
        "ok       add one",
        "error    add 1",
        "ok       return x",
    ]


@pytest.mark.usefixtures("three")
def test_each_answer_is_a_line_of_the_records(diffu: Diffu, says: Callable[..., list[str]], tmp_path: Path) -> None:
    says(RIGHT, WRONG, "return x")
    assert diffu("eval", "--seed", "3", "--records", tmp_path / "answers.jsonl").code == 0
    found = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    told = [(each["group"], each["index"], each["seed"], each["text"], each["ok"]) for each in found]
    assert told == [
        ("requests", 0, 3, "def f(x):\n    return x + 1\n", True),
        ("requests", 1, 3, "def f(x):\n    return x\n", False),
        ("lines", 2, 3, "return x", True),
    ]
    assert {"parses", "reason", "nfe", "tokens", "seconds", "refused", "length", "title"} <= set(found[0])


@pytest.mark.usefixtures("three")
def test_records_that_cannot_be_written_are_one_line(
    diffu: Diffu, says: Callable[..., list[str]], tmp_path: Path
) -> None:
    says("return x")
    for path, reason in (
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "a.jsonl", "its folder does not exist"),
        ("new/", "'new/' is no name of a file"),
    ):
        done = diffu("eval", "-q", "--records", path)
        assert (done.code, len(done.lines), done.out) == (2, 1, b"")
        assert reason in done.err


@pytest.mark.usefixtures("three")
def test_records_go_into_a_stream_behind_what_is_there(
    diffu: Diffu, says: Callable[..., list[str]], tmp_path: Path
) -> None:
    """As of `--records /dev/fd/3 3>> log`: the log was emptied."""
    says("return x")
    (tmp_path / "log").write_text("before\n")
    with (tmp_path / "log").open("a") as log:
        assert diffu("eval", "-q", "--records", f"/dev/fd/{log.fileno()}").code == 0
        log.write("after\n")
    first, *records, last = (tmp_path / "log").read_text().splitlines()
    assert (first, last) == ("before", "after")
    assert {json.loads(line)["group"] for line in records} == {"requests", "lines"}


def test_only_what_the_system_refuses_to_write_is_told_as_such(tmp_path: Path) -> None:
    def lost() -> Iterator[JudgedSample]:
        raise ConnectionError
        yield

    with pytest.raises(WriteFailed, match="Is a directory"):
        list(recorded(iter([]), tmp_path))
    with pytest.raises(ConnectionError):
        list(recorded(lost(), tmp_path / "a.jsonl"))


@pytest.mark.usefixtures("three")
def test_lengths_are_a_table_of_the_holes_alone(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    seen = says("return x")
    done = diffu("eval", "--lengths")
    assert done.code == 0
    header, _, lines, *_ = done.out.decode().splitlines()
    assert [cell.strip() for cell in header.split("|")][3:5] == ["oracle", "fixed"]
    assert lines.split("|")[1].strip() == "lines"
    assert [canvas.count("<|mask|>") for canvas in seen][1:6] == [4, 8, 16, 32, 64]
    assert "100% · 7 of 7" in done.lines[-1]


@pytest.mark.usefixtures("three")
def test_lengths_as_an_object_are_a_group_for_each(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    says("return x")
    groups = json.loads(diffu("eval", "--lengths", "--json").out)["groups"]
    assert [each["length"] for each in groups] == ["oracle", "4", "8", "16", "32", "64", "auto"]
    assert {each["group"] for each in groups} == {"lines"}


@pytest.mark.usefixtures("three")
def test_groups_are_chosen_by_a_part_of_their_names(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    says(WRONG, RIGHT)
    (group,) = json.loads(diffu("eval", "--json", "--group", "quest").out)["groups"]
    assert (group["group"], group["problems"], group["passes"]) == ("requests", 2, {"1": 0.5})


@pytest.mark.usefixtures("three", "loaded")
def test_groups_that_hold_nothing_to_measure_are_one_line(diffu: Diffu) -> None:
    done = diffu("eval", "--group", "songs")
    assert (done.code, done.lines) == (
        2,
        ["diffu: no group has 'songs' in its name (the groups are: requests; lines)"],
    )
    done = diffu("eval", "--lengths", "--group", "requests")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "--lengths is for holes, and these groups have none" in done.err


@pytest.mark.usefixtures("three")
def test_quiet_tells_nothing_but_the_table(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    says(RIGHT, WRONG, "return x")
    done = diffu("eval", "-q")
    assert done.err == ""
    assert done.out


@pytest.mark.parametrize("flags", [(), ("--temp", "0"), ("--temp", "0.0001"), ("--preset", "exact")])
def test_samples_that_would_be_equal_are_refused(diffu: Diffu, flags: tuple[str, ...]) -> None:
    done = diffu("eval", "--samples", "2", *flags)
    assert done.code == 2
    assert "all samples of a problem are the same (add --temp 0.7)" in done.err


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    "flags", [("--alg", "origin"), ("--alg-temp", "0.5"), ("--temp", "0.5")], ids=["origin", "alg-temp", "temp"]
)
def test_samples_that_differ_are_not(diffu: Diffu, says: Callable[..., list[str]], flags: tuple[str, ...]) -> None:
    says(*["return x"] * 2)
    assert diffu("eval", "--samples", "2", "--preset", "exact", "--limit", "1", *flags).code == 0


def test_an_unknown_suite_and_a_missing_model_are_one_line(diffu: Diffu) -> None:
    assert diffu("eval", "--suite", "maxi").code == 2
    done = diffu("eval", "-m", "nowhere")
    assert done.code == 4
    assert len(done.lines) == 1


DATA = Path(__file__).parents[1] / "data" / "eval"
LINES, PLUS = str(DATA / "single-line.jsonl"), str(DATA / "humaneval-plus.jsonl")


def test_a_published_suite_is_written_into_a_folder_and_gone_on_from(
    diffu: Diffu, says: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", PLUS)
    seen = says(
        "def total(numbers):\n    return sum(numbers)\n```<|im_end|>", "def other(x):\n    return x\n```<|im_end|>"
    )
    words = ("eval", "--suite", "humaneval+", "-o", "run", "--batch-size", "1")
    done = diffu(*words, "--seed", "3")
    assert done.code == 0, done.err
    header, _, base, plus, *_ = done.out.decode().splitlines()
    assert header.startswith("| group ")
    assert base.startswith("| humaneval+, base tests alone |")
    assert "20.0 % ±" in plus
    assert "the official judge: evalplus.evaluate --dataset humaneval --samples run/samples.jsonl" in done.err
    rows = [json.loads(line) for line in Path("run/samples.jsonl").read_text().splitlines()]
    assert [row["task_id"] for row in rows] == [f"HumanEval/{n}" for n in (0, 1, 32, 3, 4)]
    assert rows[0]["solution"].endswith('"""\n\ndef total(numbers):\n    return sum(numbers)\n')
    value = json.loads(Path("run/report.json").read_text())
    assert [group["passes"] for group in value["groups"]] == [{"1": 0.2}, {"1": 0.2}]
    assert {path.name for path in Path("run").iterdir()} == {
        "report.json",
        "report.md",
        "report.svg",
        "samples.jsonl",
        "samples.raw.jsonl",
        "samples.raw.jsonl.settings.json",
    }
    raw, count = Path("run/samples.raw.jsonl"), len(seen)
    raw.write_text("".join(raw.read_text().splitlines(keepends=True)[:4]))
    Path("run/samples_eval_results.json").touch()
    again = diffu(*words)
    assert again.code == 0
    assert "20.0 % ±" in again.out.decode()
    assert json.loads(Path("run/report.json").read_text())["seed"] == 3
    assert len(seen) == count + 1, "one was missing"
    assert "samples_eval_results.json is of earlier samples" in again.err
    assert (
        "run/samples.raw.jsonl was begun with temperature unset, and now it is 0.5"
        in diffu(*words, "--temp", "0.5").err
    )


def test_samples_alone_are_judged_later_without_a_model(
    diffu: Diffu, says: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    says("    return number % 1.0", "    return 0")
    words = ("eval", "--suite", LINES)
    with monkeypatch.context() as patched:
        patched.setattr("diffucli.sandbox.run_tests", lambda *_, **__: pytest.fail("a sample was judged"))
        done = diffu(*words, "-o", "run", "--samples-only")
        assert (done.code, done.out) == (0, b"")
    assert not Path("run/report.json").exists()
    monkeypatch.setattr("diffucli.model.load.load", lambda *_, **__: pytest.fail("a model was loaded"))
    judged = diffu(*words, "--from", "run/samples.jsonl", "--json")
    (group,) = json.loads(judged.out)["groups"]
    assert (group["group"], group["problems"], group["passes"]) == ("single-line.jsonl", 2, {"1": 0.5})


def test_holes_of_a_published_suite_have_three_kinds_of_lengths(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    seen = says("    return number % 1.0")
    done = diffu("eval", "--suite", "infill-single", "--data", LINES, "--limit", "1", "--lengths")
    assert done.code == 0, done.err
    header, _, line, *_ = done.out.decode().splitlines()
    assert [cell.strip() for cell in header.split("|")][3:5] == ["oracle", "fixed"]
    assert "infill-single" in line
    assert {4, 8, 16, 32, 64} <= {canvas.count("<|mask|>") for canvas in seen}


def test_k_is_of_as_many_answers_as_there_are(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    says(*["    return number % 1.0"] * 3)
    done = diffu("eval", "--suite", LINES, "--limit", "1", "-n", "3", "--temp", "0.5", "--k", "1,3", "--json")
    (group,) = json.loads(done.out)["groups"]
    assert set(group["passes"]) == {"1", "3"}


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(("group", "warned"), [("requests", True), ("lines", False)])
def test_a_base_model_is_not_asked_as_others_ask_it_which_is_told(
    diffu: Diffu, says: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, group: str, warned: bool
) -> None:
    from dataclasses import replace

    from diffucli.model import registry

    family = registry.family
    monkeypatch.setattr(registry, "family", lambda entry: replace(family(entry), template=None))
    says(RIGHT)
    done = diffu("eval", "--group", group)
    assert ("this model has no chat turns: problems stand before its answers as comments" in done.err) is warned


@pytest.mark.usefixtures("three")
def test_another_quantization_does_not_go_on_with_a_folder(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    """Its samples were added to those of the first."""
    says(RIGHT, WRONG, "return x")
    assert diffu("eval", "-o", "run").code == 0
    done = diffu("eval", "-o", "run", "--quant", "none")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "was begun with quant auto, and now it is none" in done.err


@pytest.mark.usefixtures("three")
def test_a_recipe_sets_what_is_not_given(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    says(RIGHT)
    value = json.loads(diffu("eval", "--recipe", "diffucoder-paper", "--json").out)
    assert (value["preset"], value["temperature"]) == ("exact", 0.4)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--suite", "maxi"), "there is no suite 'maxi'"),
        (("--suite", "mbpp"), "there is no file of mbpp here"),
        (("--suite", "mbpp", "--data", "none"), "none: No such file or directory"),
        (("--data", LINES), "the suite mini has no file"),
        (("--suite", "infill-single", "--data", PLUS), "row 1 has no 'suffix'"),
        (("--suite", LINES, "--from", "none"), "none: No such file or directory"),
        (("--from", LINES), "--from judges answers to published problems (name their --suite)"),
        (("--suite", LINES, "-o", "-"), "- is stdout and no folder"),
        (("--samples-only",), "--samples-only has no folder for the samples"),
        (("--k", "1,x"), "--k 1,x is no list of numbers"),
        (("--k", "5"), "pass@5 needs 5 answers to a problem (add -n 5)"),
        (("--recipe", "x"), "there is no recipe 'x'"),
        (("--workers", "x"), "--workers x is neither a number nor a cluster"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(
    diffu: Diffu, flags: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffucli.model.load.load", lambda *_, **__: pytest.fail("a model was loaded"))
    done = diffu("eval", *flags)
    assert (done.code, len(done.lines)) == (2, 1)
    assert said in done.err


def test_the_commands_of_the_page_run_with_mini(diffu: Diffu, mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("DIFFU_MODEL", str(mini))
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    Path("HumanEvalPlus.jsonl").write_text(Path(PLUS).read_text())
    Path("SingleLine.jsonl").write_text(Path(LINES).read_text())
    commands = re.findall(r"^diffu eval .*$", page, re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        done = diffu(*shlex.split(command)[1:])
        assert done.code == 0, done.err
    assert Path("run/samples.jsonl").exists()
    assert not Path("only/report.json").exists()
