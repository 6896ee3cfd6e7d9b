"""Programs of the system that read a text and run nothing of it: shells, Node.js, gofmt, compilers of C and C++.

A program is taken from a folder of PATH that nobody else can write to and that is no part of the project at hand. It
gets an empty folder of its own with the text in it, no input, and no environment but PATH and the locale.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from diffucli import files

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUT = 100_000  # bytes of a program's messages that are read
MEMORY = 4 << 30  # bytes of address space; Node.js reserves far more than it uses, and has a limit of its own
MAX_CHARACTERS = 2_000_000  # of a text that a program is asked about

# Compiles a text as the body of a CommonJS module, or as a module. The last failure is thrown, so that Node.js shows
# where it is. Nothing of the text is run: a function is made that nobody calls, and a module that nobody evaluates.
_NODE = """
const vm = require("vm"), fs = require("fs"), text = fs.readFileSync("text", "utf8").replace(/^#!/, "//");
const ways = {
  script: () => vm.compileFunction(text, [], {filename: "text"}),
  module: () => new vm.SourceTextModule(text, {identifier: "text"}),
};
const wanted = process.argv.slice(1);
wanted.forEach((way, at) => {
  try { ways[way](); process.exit(0) } catch (error) { if (at === wanted.length - 1) throw error }
});
"""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program and its arguments behind which the name of the file stands.

    pattern: a line of its messages that tells an error, with the groups `line`, `message` and perhaps `column`; it is
    searched in all of its messages.
    """

    program: str
    arguments: tuple[str, ...]
    pattern: re.Pattern[str]
    file: bool = True
    limited: bool = True


@dataclass(frozen=True, slots=True)
class Message:
    """An error that a program tells. line: 1-based. column: 1-based, in its own units; 0: it tells none."""

    line: int
    column: int
    text: str


def _tool(program: str, arguments: str, pattern: str, *, file: bool = True, limited: bool = True) -> Tool:
    return Tool(program, tuple(arguments.split()), re.compile(pattern, re.MULTILINE), file, limited)


_GO = r"^[^:\n]*:(?P<line>\d+):(?P<column>\d+): (?P<message>.*)"
_NODE_ERROR = r"^text:(?P<line>\d+)\n.*\n(?P<column> *)\^[\s\S]*?^SyntaxError: (?P<message>.*)"
_CC = r"^text[^:\n]*:(?P<line>\d+):(?P<column>\d+): (?:fatal )?error: (?P<message>.*)"
_BASH = r"^text: line (?P<line>\d+): (?P<message>(?:syntax error|unexpected|conditional|bad|`).*)"
TOOLS = {
    "bash": _tool("bash", "-n", _BASH),
    "extglob": _tool("bash", "-O extglob -n", _BASH),
    "sh": _tool("sh", "-n", r"^(?:sh: )?text: (?:line )?(?P<line>\d+): (?:Syntax error: )?(?P<message>.*)"),
    "zsh": _tool("zsh", "-f -n", r"^text:(?P<line>\d+): (?P<message>.*)"),
    "gofmt": _tool("gofmt", "-e -l", _GO),
    "go part": _tool("gofmt", "-e -l", _GO, file=False),
    "c": _tool("cc", "-fsyntax-only -w -x c -std=gnu17", _CC),
    "c23": _tool("cc", "-fsyntax-only -w -x c -std=gnu2x", _CC),
    "cpp": _tool("c++", "-fsyntax-only -w -x c++ -std=gnu++2b", _CC),
    **{
        name: Tool(
            "node",
            ("--experimental-vm-modules", "--no-warnings", "--max-old-space-size=1024", "-e", _NODE, "--", *ways),
            re.compile(_NODE_ERROR, re.MULTILINE),
            file=False,
            limited=False,
        )
        for name, ways in {
            "script": ("script",),
            "module": ("module",),
            "script or module": ("module", "script"),
            "module or script": ("script", "module"),
        }.items()
    },
}


def ask(name: str, text: str, *, seconds: float, more: tuple[str, ...] = ()) -> list[Message] | None:
    """What the tool called `name` in `TOOLS` finds wrong in `text`; None if it is not there, fails, or takes too long.

    more: further arguments.
    """
    tool = TOOLS[name]
    program = find(tool.program)
    if program is None or len(text) > MAX_CHARACTERS:
        return None
    with contextlib.suppress(OSError, UnicodeEncodeError), tempfile.TemporaryDirectory(prefix="diffu-") as folder:
        path = Path(folder, "text")
        path.write_bytes(text.encode())
        with path.open("rb") as stdin, Path(folder, "messages").open("w+b") as messages:
            command = [program, *tool.arguments, *more, *(["text"] if tool.file else [])]
            code = _run(command, folder, stdin.fileno(), messages.fileno(), seconds, limited=tool.limited)
            messages.seek(0)
            said = messages.read(OUTPUT).decode("utf-8", "replace")
        found = list(_read(tool, said))
        return None if code is None or (code and not found) else found if code else []
    return None


def _run(command: list[str], folder: str, stdin: int, messages: int, seconds: float, *, limited: bool) -> int | None:
    """The exit status of a program; None if it takes longer than `seconds` or is ended by a signal."""
    child = subprocess.Popen(  # noqa: S603 — an absolute path, and no shell
        command,
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TMPDIR": folder},
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=messages,
        start_new_session=True,
    )
    if limited and sys.platform == "linux":
        import resource

        with contextlib.suppress(OSError, ValueError):  # it may have ended already
            resource.prlimit(child.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        code = child.wait(seconds)
    except BaseException as stopped:
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if isinstance(stopped, subprocess.TimeoutExpired):
            return None
        raise
    return code if code >= 0 else None


def _read(tool: Tool, said: str) -> Iterator[Message]:
    for match in tool.pattern.finditer(said):
        groups = match.groupdict()
        column = groups.get("column")
        number = 0 if column is None else int(column) if column.isdigit() else len(column) + 1
        yield Message(int(groups["line"]), number, groups["message"].strip())


@cache
def find(program: str) -> str | None:
    """The path of a program in a folder of PATH that may be trusted; None: there is none."""
    here = files.project_root(Path.cwd())
    for name in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = Path(name, program)
        if path.is_absolute() and _is_trusted(Path(name), here) and os.access(path, os.X_OK) and path.is_file():
            return str(path)
    return None


def _is_trusted(folder: Path, project: Path) -> bool:
    """Whether a folder of PATH is outside of the project at hand, and none but root and the user can write to it."""
    try:
        real = folder.resolve(strict=True)
        state = real.stat()
    except (OSError, RuntimeError):
        return False
    is_own = project != Path(project.anchor) and any(each.is_relative_to(project) for each in (folder, real))
    if is_own or "node_modules" in {*folder.parts, *real.parts}:
        return False
    owners = {0, os.getuid()} if hasattr(os, "getuid") else {state.st_uid}
    return state.st_uid in owners and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
