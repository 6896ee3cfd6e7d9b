"""The loop: rates, saving between batches, resuming bit by bit, and two processes that do what one does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from diffucli.cli.app import run as cli
from diffucli.errors import UsageError
from diffucli.train import session, state
from diffucli.train.loop import BARREN, Interrupted, Optimising, UpdateBatch

ROOT = Path(__file__).parents[2]
SETTINGS = {"seed": 0}


def test_the_rate_warms_up_and_falls_to_a_tenth():
    rates = [Optimising(100, 1.0, warmup=3).rate_at(i) for i in range(101)]
    assert rates[:3] == pytest.approx([0.25, 0.5, 0.75], rel=0.01)
    assert rates[50] == pytest.approx(0.55)
    assert rates[100] == pytest.approx(0.1)


def run(trainer, method, folder, *, resume=False, every=2):
    return session.run(trainer, method, folder, SETTINGS, resume=resume, base="golden", every=every)


def test_a_resumed_training_is_bit_for_bit_an_uninterrupted_one(make_trainer, make_grpo, tmp_path):
    for folder in ("whole", "broken"):
        (tmp_path / folder).mkdir()
    trainer = make_trainer(updates=4, sync=3)
    for _ in run(trainer, make_grpo(trainer), tmp_path / "whole"):
        pass
    first = make_trainer(updates=4, sync=3)
    updates = run(first, make_grpo(first), tmp_path / "broken")
    for _ in range(3):
        next(updates)  # the third one is lost: the state is that after two
    updates.close()
    second = make_trainer(updates=4, sync=3)
    assert [each.update for each in run(second, make_grpo(second), tmp_path / "broken", resume=True)] == [3, 4]
    whole, broken = (load_file(tmp_path / name / "state" / "state.safetensors") for name in ("whole", "broken"))
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[key], broken[key]) for key in whole)
    one, other = ([line["reward"] for line in session.read_log(tmp_path / name)] for name in ("whole", "broken"))
    assert one == other


def test_a_training_that_is_to_stop_is_saved_first(make_trainer, make_grpo, tmp_path):
    trainer, saved = make_trainer(updates=4), []
    asked = iter([False, True])
    updates = trainer.train(
        make_grpo(trainer), save=lambda: saved.append(trainer.position.updates), every=99, stopping=lambda: next(asked)
    )
    with pytest.raises(Interrupted, match="stopped after 2 updates"):
        list(updates)
    assert saved == [2]


def test_nothing_to_learn_ends_it(make_trainer):
    class Barren:
        def batch(self, number):
            return UpdateBatch((), {})

    trainer, saved = make_trainer(), []
    with pytest.raises(UsageError, match=f"in {BARREN} batches all completions of a task had equal rewards"):
        list(trainer.train(Barren(), save=lambda: saved.append(1), every=1))
    assert saved == [1]


def test_a_training_ends_when_all_is_learned(make_trainer, make_grpo):
    """Batches with a signal, then none: no error, and when it is resumed it looks at as many batches again."""
    trainer, saved = make_trainer(updates=9), []
    method, asked = make_grpo(trainer), []

    class Learned:
        def batch(self, number):
            asked.append(number)
            return method.batch(number) if number == 0 else UpdateBatch((), {})

    def train():
        return list(trainer.train(Learned(), save=lambda: saved.append(trainer.position.updates), every=99))

    updates = len(train())
    assert 0 < updates < 9
    assert saved == [updates]
    assert len(asked) == 1 + BARREN
    assert train() == []
    assert len(asked) == 1 + 2 * BARREN


def test_a_state_of_other_settings_or_damaged_is_refused(make_trainer, tmp_path):
    trainer = make_trainer()
    state.save(trainer, tmp_path, {"seed": 1, "weights": "a", "updates": 4})
    with pytest.raises(UsageError, match=r"was trained otherwise \(weights was a, now b\)"):
        state.restore(trainer, tmp_path, {"seed": 1, "weights": "b", "updates": 5}, session.FREE)
    (tmp_path / "state" / "state.safetensors").write_bytes(b"none")
    with pytest.raises(UsageError, match="has no state to resume from"):
        state.restore(trainer, tmp_path, {"seed": 1, "weights": "a", "updates": 4}, session.FREE)


def test_a_state_that_is_killed_between_two_renames_is_found(make_trainer, tmp_path):
    trainer = make_trainer()
    state.save(trainer, tmp_path, SETTINGS)
    (tmp_path / "state").rename(tmp_path / "state.before")
    assert state.exists(tmp_path)
    state.restore(trainer, tmp_path, SETTINGS, session.FREE)
    state.save(trainer, tmp_path, SETTINGS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]


def test_the_weights_of_another_checkpoint_have_another_fingerprint(folder):
    before = state.fingerprint(folder)
    shard = next(folder.glob("*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert state.fingerprint(folder) != before == state.fingerprint(ROOT / "tests" / "data" / "tiny-dream")


def test_two_processes_do_what_one_does(tmp_path, golden, monkeypatch):
    """By torchrun's variables, on gloo: equal weights within float32 noise, and one log of all rewards."""
    (tmp_path / "mine.py").write_text(
        "def longer(prompts, completions, **_):\n    return [len(c) for c in completions]\n"
    )
    rows = "".join(json.dumps({"prompt": f"write number {i}"}) + "\n" for i in range(4))
    (tmp_path / "tasks.jsonl").write_text(rows)
    words = ["train", "grpo", "--tasks", "tasks.jsonl", "--reward", "mine:longer", "--updates", "2", "--batch", "3"]
    words += ["--num-generations", "3", "--length", "12", "--learning-rate", "1e-3", "--no-picture"]
    words += ["--device", "cpu", "-m"]
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    monkeypatch.setenv("DIFFU_STATE", str(tmp_path / "state"))
    environment = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, "-m", "diffucli", *words, str(golden), "-o", "two"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    children = [
        subprocess.Popen(command, env=environment | {"RANK": rank, "LOCAL_RANK": rank}, cwd=tmp_path, **streams)
        for rank in "01"
    ]
    monkeypatch.chdir(tmp_path)
    assert cli([*words, str(golden), "-o", "one"]) == 0
    said = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    one, two = (load_file(tmp_path / name / "state" / "state.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        if name.startswith("weight."):
            torch.testing.assert_close(two[name], value, rtol=1e-4, atol=2e-5)
    logs = [session.read_log(tmp_path / name) for name in ("one", "two")]
    for mine, theirs in zip(*logs, strict=True):
        assert mine["reward"] == pytest.approx(theirs["reward"])
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-5)
    assert said[1] == ("", ""), "the first process speaks for both"
