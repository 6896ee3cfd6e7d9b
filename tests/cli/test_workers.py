"""--workers names an executor."""

from __future__ import annotations

import pytest

from diffucli.cli.workers import executor_of
from diffucli.errors import UsageError
from diffucli.executors.cluster import RayCluster
from diffucli.executors.executor import ThisProcess
from diffucli.executors.processes import Processes


def test_a_number_is_processes_and_one_is_this_one() -> None:
    assert executor_of("1", together=8, device="auto") == ThisProcess()
    assert executor_of("3", together=8, device="auto") == Processes(3, 9, spread=True)
    assert executor_of("3", together=8, device="cuda:1") == Processes(3, 9, spread=False)


def test_ray_is_a_cluster_here_or_at_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffucli.executors.cluster.find_spec", lambda name: name)
    assert executor_of("ray", together=1, device="auto") == RayCluster("", 2)
    assert executor_of("ray:10.0.0.1:6379", together=1, device="auto") == RayCluster("10.0.0.1:6379", 2)


@pytest.mark.parametrize("word", ["0", "-1", "2000", "x", "ray:", "rays", "1.5", ""])
def test_what_is_neither_is_one_line(word: str) -> None:
    with pytest.raises(UsageError, match="is neither a number nor a cluster"):
        executor_of(word, together=1, device="auto")
