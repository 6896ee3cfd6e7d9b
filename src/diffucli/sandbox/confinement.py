"""How generated code is confined: what a sandbox shows, and the commands that start one."""

from __future__ import annotations

import os
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Literal

from diffucli.sandbox import inside
from diffucli.sandbox.inside import WORK, WORK_BYTES

Confinement = Literal["bubblewrap", "namespaces", "none"]
Entry = tuple[str, ...]

DESCRIPTIONS: dict[Confinement, str] = {
    "bubblewrap": "confined by bubblewrap",
    "namespaces": "confined by namespaces",
    "none": "not confined: it ran with the rights of the user",
}

INSIDE = Path(inside.__file__).parent
_PROGRAM = (
    f"import sys; sys.path.append({str(INSIDE.parent)!r}); from inside.keeper import main; sys.path.pop(); main()"
)
_LIBRARIES = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/nix/store", "/gnu/store")
_FILES = ("/etc/ld.so.cache", "/etc/localtime")
_TMP = "/tmp"  # noqa: S108 — of the sandbox
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@cache
def python() -> list[str]:
    """The command of the keeper: the interpreter outside of any virtual environment, which imports nothing but its own
    library.
    """
    base: str = sys._base_executable or sys.executable  # type: ignore[attr-defined]  # noqa: SLF001 — a venv's own is a link
    return [os.path.realpath(base), "-I", "-S", "-B", "-X", "utf8", "-c", _PROGRAM]


@cache
def root_plan() -> list[Entry]:
    """What the root of a sandbox holds, besides /proc and the working folder: the system's libraries and Python's.

    ("folder", path): an empty one; ("bind", path): a file or folder of the system, read-only; ("device", path);
    ("link", path, target): a symbolic link. What a path lies in comes before it.
    """
    own = {
        sys.base_prefix,
        sys.base_exec_prefix,
        str(Path(os.__file__).parent),
        str(Path(python()[0]).parent),
        str(INSIDE),
    }
    own |= {os.path.realpath(name) for name in own}
    entries: list[Entry] = []
    shown: list[Path] = []
    for path in map(Path, (*_LIBRARIES, *_FILES, *sorted(own))):
        if path.exists() and not any(path.is_relative_to(each) for each in shown):
            shown.append(path)
            is_link = path.is_symlink() and str(path) not in own
            entries.append(("link", str(path), str(path.readlink())) if is_link else ("bind", str(path)))
    entries += [("device", name) for name in _DEVICES]
    entries += [("link", "/dev/fd", "/proc/self/fd"), ("link", "/dev/shm", WORK)]  # noqa: S108
    if not any(path.is_relative_to(_TMP) for path in shown):
        entries.append(("link", _TMP, WORK))
    folders = dict.fromkeys(str(each) for _, path, *_ in entries for each in reversed(Path(path).parents))
    return [*(("folder", each) for each in folders if each != "/"), *entries]


@cache
def bubblewrap() -> list[str]:
    """The command of bubblewrap for the root of `root_plan`. FileNotFoundError: it is not installed."""
    found = shutil.which("bwrap")
    if found is None:
        raise FileNotFoundError("bubblewrap is not installed")
    user = (
        ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        if os.geteuid() == 0
        else ["--unshare-user"]
    )
    spaces = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    root = [word for entry in root_plan() for word in _words(*entry)]
    work = ["--proc", "/proc", "--size", str(WORK_BYTES), "--perms", "1777", "--tmpfs", WORK]
    return [found, *user, *spaces, "--die-with-parent", "--as-pid-1", *root, *work, "--remount-ro", "/", "--chdir", "/"]


def _words(kind: str, path: str, target: str = "") -> list[str]:
    match kind:
        case "folder":
            return ["--perms", "0755", "--dir", path]
        case "link":
            return ["--symlink", target, path]
        case "device":
            return ["--dev-bind", path, path]
        case _:
            return ["--ro-bind", path, path]
