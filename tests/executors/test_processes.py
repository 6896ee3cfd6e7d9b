"""Real processes work, die and are replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.executors.squares import square, stillborn, unloadable

from diffucli.errors import ModelError
from diffucli.executors.executor import Failure
from diffucli.executors.processes import Processes, gpu_of

if TYPE_CHECKING:
    from pathlib import Path


def test_two_processes_share_the_work_and_one_that_is_killed_is_replaced() -> None:
    found = dict(Processes(2, ahead=3).run(square, ((str(n), n) for n in range(20))))
    assert found.pop("7") == Failure(
        "3 processes died at work on it, the last one by SIGKILL",
        "try a smaller --length or --block, --quant nf4, or --device cpu",
    )
    assert {key: value for key, (value, _) in found.items()} == {str(n): n * n for n in range(20) if n != 7}
    assert len({pid for _, pid in found.values()}) > 1


def test_what_a_worker_cannot_load_is_raised_here() -> None:
    with pytest.raises(ModelError, match="there is no model") as caught:
        list(Processes(1).run(unloadable, [("a", 1)]))
    assert caught.value.hint == "pull one"


def test_processes_that_die_at_once_end_the_run() -> None:
    with pytest.raises(ModelError, match=r"die before they begin \(by SIGKILL\)"):
        list(Processes(1).run(stillborn, [("a", 1)]))


def test_each_process_sees_a_gpu_in_turn(tmp_path: Path) -> None:
    assert [gpu_of(n, visible="2,5") for n in range(3)] == ["2", "5", "2"]
    assert gpu_of(1, visible="3") == gpu_of(1, visible="") == ""
    assert gpu_of(1, folder=tmp_path / "none") == ""
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    assert [gpu_of(n, folder=tmp_path) for n in range(3)] == ["0", "1", "0"]
