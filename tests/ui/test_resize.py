"""A real terminal that changes its size during a run, and wraps its rows again: tmux."""

import shutil
import subprocess
import sys
import time

import pytest

TMUX = shutil.which("tmux")
pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")
RUN = """
import sys, time
from pathlib import Path
from diffucli.events import Finished, Started, Stepped
from diffucli.ui import View, show

MASKS, resized = 400, Path("resized")

def events():
    yield Started((0,) * MASKS, 0, ((0, MASKS),))
    for step in range(8):
        while step == 4 and not resized.exists():
            time.sleep(0.01)
        yield Stepped(step + 1, (step,), (10,), (1.0,), (0, MASKS), MASKS - step - 1, step + 1.0, step + 1.0)
        time.sleep(0.06)
    yield Finished((10,) * 8 + (0,) * (MASKS - 8), "budget", 8.0, 8.0)

print("above", flush=True)
show(events(), lambda token: bytes([token]), view=View())
print("below", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("size", [("40", "24"), ("80", "6"), ("20", "5"), ("120", "40")])
def test_a_terminal_that_is_resized_during_a_run_keeps_no_row_of_it(tmp_path, size):
    def tmux(*words):
        return subprocess.run([TMUX, "-S", tmp_path / "s", *words], capture_output=True, text=True, check=True).stdout

    def wait(until):
        limit = time.monotonic() + 30
        while not until(seen := tmux("capture-pane", "-p", "-S", "-")):
            assert time.monotonic() < limit, seen
            time.sleep(0.05)
        return seen

    program = [sys.executable, "-c", RUN]
    tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "-c", str(tmp_path), *program)
    try:
        wait(lambda seen: "masks left" in seen)
        tmux("resize-window", "-x", size[0], "-y", size[1])
        (tmp_path / "resized").touch()
        seen = wait(lambda seen: "below" in seen)
    finally:
        tmux("kill-server")
    assert seen.split() == ["above", "below"]
