"""`diffu batch` answers a file of rows into another one, and goes on after any end."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from diffucli.executors.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Diffu

    from diffucli.model.load import Checkpoint

RIGHT, BROKEN = "def f(x):\n    return x\n```<|im_end|>", "def f(:\n```<|im_end|>"
BEGIN = ("batch", "tasks.jsonl", "-o", "answers.jsonl")


@pytest.fixture
def tasks() -> Path:
    """Three rows."""
    path = Path("tasks.jsonl")
    rows: list[dict[str, Any]] = [{"id": "a", "prompt": "one"}, {"id": "b", "prompt": "two", "meta": 2}]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in [*rows, {"id": "c", "text": "x = ???3\n"}]))
    return path


def answers() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("answers.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("tasks")
def test_a_batch_is_answered_and_again_does_nothing(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    seen = says(RIGHT, RIGHT, "f()")
    done = diffu(*BEGIN, "--seed", "4")
    assert (done.code, done.out) == (0, b"")
    assert done.lines[0] == "batch:   0% · 0 of 3"
    assert done.lines[-1].startswith("3 written, 0 were there, 0 failed · ")
    assert sorted((each["id"], each["status"]) for each in answers()) == [("a", 0), ("b", 0), ("c", 0)]
    of = {each["id"]: each for each in answers()}
    assert (of["a"]["text"], of["b"]["meta"]) == ("def f(x):\n    return x\n", 2)
    assert (of["c"]["text"], of["c"]["pieces"]) == ("x = f()\n", ["f()"])
    before, content = len(seen), Path("answers.jsonl").read_bytes()
    again = diffu(*BEGIN)
    assert (again.code, again.lines) == (0, ["0 written, 3 were there, 0 failed"])
    assert (len(seen), Path("answers.jsonl").read_bytes()) == (before, content)


@pytest.mark.usefixtures("tasks")
def test_a_failed_row_is_an_answer_and_is_written_again_when_that_is_asked(
    diffu: Diffu, says: Callable[..., list[str]]
) -> None:
    says(BROKEN, RIGHT, "f()")
    done = diffu(*BEGIN, "--seed", "4", "--repair", "0", "--json")
    value = json.loads(done.out)
    assert done.code == value["status"] == 1
    assert (value["schema"], value["written"], value["failed"], value["seed"]) == ("diffu.batch/1", 2, 1, 4)
    (failed,) = (each for each in answers() if each["status"])
    assert (failed["id"], failed["status"]) == ("a", 3)
    assert failed["text"] == "def f(:\n"
    assert diffu(*BEGIN, "--repair", "0").lines == ["0 written, 3 were there, 1 failed"]
    says(RIGHT)
    again = diffu(*BEGIN, "--repair", "0", "--retry-failed", "--ordered")
    assert again.code == 0
    assert again.lines[-1].startswith("1 written, 2 were there, 0 failed")
    assert [(each["id"], each["status"]) for each in answers()] == [("a", 0), ("b", 0), ("c", 0)]


@pytest.mark.usefixtures("tasks")
def test_the_seed_of_the_first_run_stays_and_other_settings_are_refused(
    diffu: Diffu, says: Callable[..., list[str]]
) -> None:
    says(RIGHT, RIGHT, "f()")
    assert diffu(*BEGIN, "-q").code == 0
    seed = json.loads(Path("answers.jsonl.settings.json").read_text())["seed"]
    Path("tasks.jsonl").write_text(Path("tasks.jsonl").read_text() + '{"id": "d", "prompt": "more"}\n')
    says(RIGHT)
    assert json.loads(diffu(*BEGIN, "--json").out)["seed"] == seed
    assert len(answers()) == 4
    done = diffu(*BEGIN, "--temp", "0.5")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "answers.jsonl was begun with temperature unset, and now it is 0.5 (give the same settings" in done.err
    assert "with seed" in diffu(*BEGIN, "--seed", str(seed + 1)).err


@pytest.mark.usefixtures("tasks")
def test_the_model_is_loaded_with_the_adapter(
    diffu: Diffu, loaded: Checkpoint, says: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    says(RIGHT, RIGHT, "f()")
    monkeypatch.setattr("diffucli.model.load.load", lambda _, **given: seen.append(given) or loaded)  # type: ignore[func-returns-value]
    Path("adapter").mkdir()
    assert diffu(*BEGIN, "--adapter", "adapter", "-q").code == 0
    assert [given["adapter"] for given in seen] == [Path("adapter")]
    assert "was begun with adapter adapter, and now it is unset" in diffu(*BEGIN).err


@pytest.mark.usefixtures("tasks")
def test_samples_and_shards_make_up_all_rows(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    says(RIGHT)
    for part in ("1/2", "2/2"):
        assert diffu(*BEGIN, "--seed", "1", "-n", "2", "--temp", "0.5", "--verify", "off", "--shard", part).code == 0
    found = [(each["id"], each["sample"]) for each in answers()]
    assert sorted(found) == [(key, sample) for key in "abc" for sample in (0, 1)]
    assert {key for key, _ in found[:4]} == {"a", "c"}
    assert len({each["seed"] for each in answers()}) == 6


def test_rows_may_come_on_stdin(diffu: Diffu, says: Callable[..., list[str]]) -> None:
    says(RIGHT)
    assert diffu("batch", "-", "-o", "answers.jsonl", stdin=b'{"prompt": "x"}\n').code == 0
    assert len(answers()) == 1
    done = diffu("batch", "-", "-o", "answers.jsonl", stdin=b"x\n")
    assert (done.code, done.lines[0].partition(" (")[0]) == (2, "diffu: stdin:1: no JSON object")


@pytest.mark.usefixtures("tasks")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("batch", "none.jsonl", "-o", "a.jsonl"), "none.jsonl: No such file or directory"),
        (("batch", ".", "-o", "a.jsonl"), ".: Is a directory"),
        (("batch", "tasks.jsonl", "-o", "tasks.jsonl"), "tasks.jsonl is the file of the rows"),
        (("batch", "tasks.jsonl", "-o", "no/a.jsonl"), "its folder does not exist"),
        (("batch", "tasks.jsonl", "-o", "-"), "- is stdout, from which no batch can go on"),
        (("batch", "tasks.jsonl", "-o", "/dev/stdout"), "/dev/stdout is stdout, from which no batch can go on"),
        (("batch", "tasks.jsonl"), "Missing option"),
        ((*BEGIN, "--workers", "0"), "--workers 0 is neither a number nor a cluster"),
        ((*BEGIN, "--shard", "0/2"), "--shard 0/2 is no part"),
        ((*BEGIN, "--shard", "3/2"), "--shard 3/2 is no part"),
        ((*BEGIN, "--workers", "many"), "--workers many is neither a number nor a cluster"),
        ((*BEGIN, "-n", "2"), "all samples of a problem are the same"),
        ((*BEGIN, "-m", "nowhere"), "there is no model 'nowhere'"),
        ((*BEGIN, "--adapter", "nowhere"), "there is no adapter 'nowhere'"),
    ],
)
def test_what_cannot_work_is_one_line_and_loads_no_model(
    diffu: Diffu, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffucli.model.load.load", lambda *_, **__: pytest.fail("a model was loaded"))
    before = Path("tasks.jsonl").read_bytes()
    done = diffu(*words)
    assert (done.code, len(done.lines)) == (4 if "nowhere" in words else 2, 1)
    assert said in done.err
    assert Path("tasks.jsonl").read_bytes() == before
    assert not Path("answers.jsonl").exists()


def test_all_rows_are_checked_before_a_model_is_loaded(diffu: Diffu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffucli.model.load.load", lambda *_, **__: pytest.fail("a model was loaded"))
    Path("tasks.jsonl").write_text('{"prompt": "x"}\n' * 1 + '{"prompt": "y"}\n\n{"prompt": "z", "lenght": 9}\n')
    done = diffu(*BEGIN)
    assert (done.code, done.lines) == (
        2,
        ["diffu: tasks.jsonl:4: a row with prompt has no 'lenght' (what is to go along stands in \"meta\")"],
    )
    assert not Path("answers.jsonl").exists()


@pytest.mark.usefixtures("tasks")
def test_ctrl_c_keeps_what_is_written(
    diffu: Diffu, says: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffucli.batch.answers import AnswerFile

    def append(self: AnswerFile, values: dict[str, Any]) -> None:
        if self.lines:
            raise KeyboardInterrupt
        real(self, values)

    real = AnswerFile.append
    says(RIGHT, RIGHT, "f()")
    with monkeypatch.context() as patched:
        patched.setattr(AnswerFile, "append", append)
        with pytest.raises(KeyboardInterrupt):
            diffu(*BEGIN, "--seed", "1")
    assert len(answers()) == 1
    assert diffu(*BEGIN, "--seed", "1", "-q").code == 0
    assert sorted(each["id"] for each in answers()) == ["a", "b", "c"]


PAGE = (Path(__file__).parents[2] / "docs" / "batch.md").read_text(encoding="utf-8")


def test_the_commands_of_the_page_run_with_its_rows_and_with_mini(
    diffu: Diffu, mini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes have tests of their own."""
    monkeypatch.setattr(Processes, "run", lambda _, worker, items: worker(items))
    monkeypatch.setenv("DIFFU_MODEL", str(mini))
    (given,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    Path("tasks.jsonl").write_text(given)
    commands = re.findall(r"^diffu batch .*$", PAGE, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        done = diffu(*shlex.split(command)[1:])
        assert done.code in {0, 3}, done.err
        assert "internal error" not in done.err
    files = (Path(f"{name}.jsonl").read_text() for name in ("answers", "two"))
    written, two = ([json.loads(line) for line in text.splitlines()] for text in files)
    assert len(written) == len(given.splitlines())
    by_id = {each["id"]: each for each in two}
    for one in written:
        assert one == by_id[one["id"]], "the seed decides"
    assert [each["id"] for each in two[:2]] == ["prime", "square"]
    assert len(Path("first.jsonl").read_text().splitlines()) == 2


def rows(count: int) -> str:
    return "".join(json.dumps({"id": n, "prompt": f"do {n}", "length": 8}) + "\n" for n in range(count))


@pytest.mark.slow
def test_killed_processes_lose_nothing(command: list[str], environment: dict[str, str]) -> None:
    """The writing process is killed, then one of its workers; the file is that of one process."""
    path = Path("killed.jsonl")
    path.touch()
    Path("tasks.jsonl").write_text(rows(60))
    words = [*command, "batch", "tasks.jsonl", "--seed", "3", "--verify", "off", "-q", "-o"]
    for lines in (10, 40):
        with psutil.Popen([*words, "killed.jsonl", "--workers", "2"], env=environment) as driver:
            while path.read_bytes().count(b"\n") < lines:
                time.sleep(0.05)
            spawned = [child for child in driver.children() if "spawn_main" in " ".join(child.cmdline())]
            (driver if lines == 10 else spawned[0]).send_signal(signal.SIGKILL)
            assert driver.wait() == (-signal.SIGKILL if lines == 10 else 0)
    subprocess.run([*words, "whole.jsonl"], env=environment, check=True)
    killed, whole = (sorted(Path(f"{name}.jsonl").read_text().splitlines()) for name in ("killed", "whole"))
    assert len(killed) == 60
    assert killed == whole


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_ray_cluster_writes_the_same_file(command: list[str], environment: dict[str, str]) -> None:
    Path("tasks.jsonl").write_text(rows(30))
    words = [*command, "batch", "tasks.jsonl", "--seed", "3", "--verify", "off", "-q", "--ordered", "-o"]
    subprocess.run([*words, "ray.jsonl", "--workers", "ray"], env=environment, check=True)
    subprocess.run([*words, "one.jsonl"], env=environment, check=True)
    assert Path("ray.jsonl").read_bytes() == Path("one.jsonl").read_bytes()
    assert len(Path("one.jsonl").read_bytes().splitlines()) == 30
