"""The audit hook, event by event; what it keeps out of a real child is in test_run.py."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from diffucli.sandbox import child
from diffucli.sandbox.child import _Hook

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def hook(tmp_path: Path) -> _Hook:
    (tmp_path / "work").mkdir()
    return _Hook(os.path.realpath(tmp_path / "work"))


@pytest.mark.parametrize(
    "event",
    [
        "socket.connect",
        "socket.sendto",
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.fork",
        "os.kill",
        "ctypes.dlopen",
    ],
)
def test_sockets_processes_and_foreign_code_are_refused(hook: _Hook, event: str) -> None:
    with pytest.raises(PermissionError, match=f"not allowed in the sandbox: {event}"):
        hook(event, ())


@pytest.mark.parametrize("event", ["import", "exec", "compile", "socket.__new__", "os.listdir", "os.putenv"])
def test_other_events_pass(hook: _Hook, event: str) -> None:
    hook(event, ("/etc/passwd",))


@pytest.mark.parametrize("mode", ["w", "a", "x", "r+", "wb"])
def test_a_file_is_opened_for_writing_in_the_folder_only(hook: _Hook, tmp_path: Path, mode: str) -> None:
    for path in (
        tmp_path / "work" / "x",
        str(tmp_path / "work"),
        os.fsencode(tmp_path / "work" / "d" / "x"),
        os.devnull,
    ):
        hook("open", (path, mode, 0))
    for path in (tmp_path / "x", str(tmp_path / "working"), tmp_path / "work" / ".." / "x"):
        with pytest.raises(PermissionError, match="not allowed in the sandbox: open"):
            hook("open", (path, mode, 0))


@pytest.mark.parametrize("flag", ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"])
def test_the_flags_of_the_system_call_count_too(hook: _Hook, tmp_path: Path, flag: str) -> None:
    with pytest.raises(PermissionError):
        hook("open", (tmp_path / "x", None, os.O_RDONLY | getattr(os, flag)))
    hook("open", (tmp_path / "x", None, os.O_RDONLY))


def test_a_file_outside_may_be_read_and_a_descriptor_is_no_path(hook: _Hook, tmp_path: Path) -> None:
    hook("open", (tmp_path / "x", "r", os.O_RDONLY))
    hook("open", (tmp_path / "x", "rb"))
    hook("open", (3, "w", os.O_WRONLY))


def test_a_symlink_out_of_the_folder_is_followed(hook: _Hook, tmp_path: Path) -> None:
    (tmp_path / "work" / "out").symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        hook("open", (tmp_path / "work" / "out" / "x", "w", 0))


@pytest.mark.parametrize("event", sorted(child._CHANGES))
def test_a_change_needs_both_of_its_paths_in_the_folder(hook: _Hook, tmp_path: Path, event: str) -> None:
    inside, outside = tmp_path / "work" / "a", tmp_path / "b"
    hook(event, (inside, inside, -1))
    for paths in ((outside, inside), (inside, outside)):
        with pytest.raises(PermissionError, match=event):
            hook(event, paths)
