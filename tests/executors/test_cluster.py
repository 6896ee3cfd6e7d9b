"""A Ray cluster on this machine does what processes do. Ray runs in a child, lest it changes this process."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.executors.squares import square

from diffucli.errors import UsageError
from diffucli.executors.cluster import Attendant, RayCluster

ROOT = Path(__file__).parents[2]
CHILD = """
from diffucli.executors.cluster import RayCluster
from diffucli.executors.executor import Failure
from tests.executors.squares import square
found = dict(RayCluster(ahead=3).run(square, ((str(n), n) for n in range(12))))
failed = found.pop("7")
assert isinstance(failed, Failure) and "3 processes died at work on it" in failed.message, failed
assert {key: value for key, (value, _) in found.items()} == {str(n): n * n for n in range(12) if n != 7}, found
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_actors_share_the_work_and_one_that_dies_is_replaced() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", CHILD], check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_ray_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffucli.executors.cluster.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="Ray is not installed") as caught:
        RayCluster("10.0.0.1:6379")
    assert "diffucli[ray]" in caught.value.hint


@pytest.mark.parametrize("error", [Exception("The node timed out\nmore"), ConnectionError("The node timed out")])
def test_a_cluster_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Ray raises a bare Exception where its start takes too long, which was an internal error."""

    def init(*_: object, **__: object) -> None:
        raise error

    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        monkeypatch.setenv(name, "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("diffucli.executors.cluster.find_spec", lambda name: object())
    monkeypatch.setattr("diffucli.executors.cluster.import_module", lambda name: SimpleNamespace(init=init))
    message = r"^there is no Ray cluster at this machine \(The node timed out\)$"
    with pytest.raises(UsageError, match=message):
        next(RayCluster().run(square, [("1", 1)]))


@pytest.mark.parametrize("prefix", ["", "ray://"])
def test_an_address_where_nobody_listens_is_told_before_ray_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr("diffucli.executors.cluster.find_spec", lambda name: object())
        monkeypatch.setattr("diffucli.executors.cluster.import_module", lambda name: pytest.fail("Ray was begun"))
        for number in (port, 99999):
            with pytest.raises(UsageError, match=rf"there is no Ray cluster at {prefix}127.0.0.1:{number} \("):
                next(RayCluster(f"{prefix}127.0.0.1:{number}").run(square, [("1", 1)]))


def test_an_actor_takes_its_items_in_order_whatever_order_they_come_in() -> None:
    """The end came first, so items behind it were lost."""
    attendant = Attendant()
    for number, entry in ((2, None), (1, ("b", 3)), (0, ("a", 2))):
        attendant.put(number, entry)
    found = [(what, key) for what, key, _ in attendant.work(square)]
    assert found == [("ready", ""), ("done", "b"), ("done", "a"), ("ended", "")]
