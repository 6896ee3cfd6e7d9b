"""A command of the user's own: its exit status, the end of its output, and the end of it all in time."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from diffucli.errors import UsageError
from diffucli.sandbox.command import TAIL, ShellCommands


def test_a_command_runs_by_the_shell_in_its_folder(tmp_path):
    (tmp_path / "a.txt").write_text("here\n")
    ended = ShellCommands().run("cat a.txt && echo bad >&2; exit 3", tmp_path, seconds=30)
    assert (ended.status, ended.ok, ended.output) == (3, False, "here\nbad\n")
    assert ShellCommands().run("true", tmp_path, seconds=30).ok


def test_stdin_is_empty(tmp_path):
    assert ShellCommands().run("cat", tmp_path, seconds=30).ok


def test_the_end_of_a_long_output_is_kept(tmp_path):
    ended = ShellCommands().run("seq 1 200000", tmp_path, seconds=60)
    assert ended.output.endswith("199999\n200000\n")
    assert len(ended.output) == TAIL


def test_what_takes_too_long_is_killed_with_its_children(tmp_path):
    ended = ShellCommands().run("(sleep 30; touch late) & sleep 30", tmp_path, seconds=0.2)
    assert ended.status is None
    assert ended.seconds < 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of all descendants")
@pytest.mark.parametrize(("end", "seconds", "status"), [("sleep 60", 2.0, None), ("exit 0", 60.0, 0)])
def test_descendants_in_sessions_of_their_own_are_killed_too(tmp_path, gone, end, seconds, status):
    mark = f"mark-{os.getpid()}-{end[:4]}"
    ended = ShellCommands().run(
        f"setsid sh -c 'setsid sleep 60; : {mark}' & sleep 0.2; {end}", tmp_path, seconds=seconds
    )
    assert ended.status == status
    assert gone(mark)


def test_a_command_has_the_users_environment_and_the_usual_signals(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFU_MARK", "here")
    commands = ShellCommands()
    lines = commands.run("env", tmp_path, seconds=30).output.splitlines()
    assert "DIFFU_MARK=here" in lines
    assert not [line for line in lines if line.startswith("MALLOC_ARENA_MAX")]
    assert commands.run("yes | head -1", tmp_path, seconds=30).output == "y\n", "yes ends silently by SIGPIPE"


def test_kill_ends_what_runs_and_lets_nothing_begin(tmp_path):
    commands, found = ShellCommands(), []
    thread = threading.Thread(target=lambda: found.append(commands.run("touch up; sleep 60", tmp_path, seconds=90)))
    thread.start()
    while not Path(tmp_path, "up").exists():
        time.sleep(0.01)
    commands.kill()
    thread.join(30)
    assert found[0].status == -9
    with pytest.raises(UsageError, match="stopped"):
        commands.run("true", tmp_path, seconds=1)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match="cannot be started"):
        ShellCommands().run("true", tmp_path / "no", seconds=1)
