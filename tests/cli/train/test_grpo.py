"""`diffu train grpo`: a training from its tasks to a model that runs, resumed and refused."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from diffucli.train.session import read_log

FEW = ("--num-generations", "3", "--length", "12", "--no-picture", "--learning-rate", "1e-3")
GO = ("train", "grpo", "--tasks", "tasks.jsonl", "-o", "run", "--batch", "2", "--reward", "rewards:short", *FEW)


def test_a_training_gives_a_model_that_runs_a_log_and_curves(diffu, project):
    done = diffu(*GO, "--updates", "2", "--picture", "--json", "--algo", "espo")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["schema"], told["updates"], told["outcome"]) == ("diffu.train/1", 2, "run/model")
    log = read_log(project / "run")
    assert [line["update"] for line in log] == [1, 2]
    assert {"reward", "kl", "clipped", "gradient_norm", "loss", "rollout_seconds"} <= log[0].keys()
    assert {"reward.svg", "kl.svg", "clipped.svg", "gradient-norm.svg"} <= {p.name for p in (project / "run").iterdir()}
    assert diffu("gen", "x", "-m", project / "run" / "model", "--length", "8", "--verify", "off").code == 0
    again = diffu(*GO, "--updates", "2")
    assert again.code == 2
    assert "run has a training in it (name another folder, or add --resume)" in again.err
    more = diffu(*GO, "--updates", "3", "--resume", "--algo", "espo")
    assert more.code == 0, more.err
    assert [line["update"] for line in read_log(project / "run")] == [1, 2, 3]
    assert more.lines[-1] == "wrote run/model; diffu gen -m run/model uses it"
    assert more.lines[1].startswith("update 3 of 3 · reward -")
    other = diffu(*GO, "--updates", "3", "--resume", "--beta", "0")
    assert other.code == 2
    assert "run was trained otherwise" in other.err


def test_an_adapter_is_trained_and_used(diffu, project):
    done = diffu(*GO, "--updates", "1", "--lora", "2", "--micro-batch", "2", "--recompute", "-v")
    assert done.code == 0, done.err
    assert any(line.startswith("memory: weights ") for line in done.lines)
    assert diffu("gen", "x", "--adapter", "run/adapter", "--length", "8", "--verify", "off").code == 0


def test_one_task_is_told_and_tests_that_all_fail_alike_end_it(diffu, project):
    (project / "one.jsonl").write_text('{"prompt": "add", "tests": "assert candidate(1) == 2"}\n')
    done = diffu("train", "grpo", "--tasks", "one.jsonl", "-o", "run", *FEW[:-2], "--temp", "0.01", "--batch", "1")
    assert done.code == 2
    assert done.lines[0] == "diffu: one.jsonl has one task, so there is one group, which is learned by heart"
    assert "so there is nothing to learn" in done.lines[-1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tasks", "none.jsonl"), "none.jsonl cannot be read"),
        (("--tasks", "rewards.py"), "rewards.py, line 1"),
        (("--num-generations", "1"), "a group of 1 has no advantages"),
        (("--temp", "0"), "without a temperature all completions of a request are the same"),
        (("--reward", "rewards:none"), "the reward rewards:none cannot be imported"),
        (("--reward", "rewards:broken"), "the reward rewards:broken returns nan, which is no number"),
        (("--resume",), "run has no training to resume"),
        (("--quant", "nf4"), "weights in four bits cannot be trained"),
        (("-m", "nobody/nothing"), "nobody/nothing"),
        (("--algo", "ppo"), "ppo"),
    ],
)
def test_mistakes_are_told_in_one_line(diffu, project, words, message):
    done = diffu(*GO, "--updates", "1", *words)
    assert done.code in {2, 4}
    assert message in done.lines[-1]
    assert not (project / "run" / "state").exists()


def test_a_task_without_tests_and_no_reward(diffu, project):
    (project / "tasks.jsonl").write_text('{"prompt": "add"}\n')
    done = diffu("train", "grpo", "--tasks", "tasks.jsonl", "-o", "run")
    assert done.lines == [
        'diffu: tasks.jsonl, line 1: the task has no "tests", and no --reward judges it (see docs/training.md)'
    ]


def test_too_little_memory_is_told_before_loading(diffu, project, monkeypatch):
    monkeypatch.setattr("diffucli.model.memory.free_memory", lambda device: 1_000_000)
    done = diffu(*GO, "--updates", "1")
    assert done.code == 4
    assert "training needs" in done.err
    assert "1.0 MB are free on cpu" in done.err


def test_a_checkpoint_of_another_model_on_resume(diffu, project, mini):
    assert diffu(*GO, "--updates", "1").code == 0
    done = diffu(*GO, "--updates", "2", "--resume", "-m", mini)
    assert done.code == 2
    assert "run was trained otherwise (model was " in done.err


def test_ctrl_c_saves_and_the_same_command_goes_on(project, command, environment):
    """The first update is told when it is made, which is when the signal comes; the batch is ended and saved."""
    words = [*command, *GO, "--updates", "500"]
    with subprocess.Popen(words, env=environment, cwd=project, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        line = next(line for line in child.stderr if line.startswith("update 1 "))
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read()
    assert child.returncode == -signal.SIGINT, rest
    assert "--resume goes on from there" in rest, line
    state = json.loads((project / "run" / "state" / "state.json").read_text())
    assert state["position"]["updates"] == len(read_log(project / "run")) > 0
