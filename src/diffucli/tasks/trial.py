"""Trials: new text is put into a scratch copy of its project, and a command of the user's own judges it there.

Knows nothing of models.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from diffucli import files
from diffucli.errors import UsageError
from diffucli.sandbox import ShellCommands, scratch
from diffucli.tasks.attempt import Judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

AT_ONCE = 2  # processes
MAX_BYTES = 200 * 10**6  # of a project that is copied
LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".tox", ".nox"}
)
VENV = "pyvenv.cfg"  # is in every virtual environment
FILE = "{}"  # in a command


@dataclass(frozen=True, slots=True)
class Project:
    """What is copied for a trial. root: its real folder, None for a text that stands alone. files: relative to it.

    place: of the judged file in the copy. start: the folder in the copy in which the command runs.
    """

    root: Path | None
    files: tuple[Path, ...]
    place: Path
    start: Path

    @classmethod
    def alone(cls, name: str) -> Project:
        """A folder with nothing but the judged file."""
        return cls(None, (), Path(name), Path())

    @classmethod
    def of(cls, file: Path) -> Project:
        """The git repository that holds `file`, or else its folder. UsageError: it is too large to copy.

        Without version control, caches and virtual environments. The command runs where the user is, if that is
        inside, else at the top.
        """
        real = files.real(file)
        root = files.project_root(real.parent)
        here = files.real(Path.cwd())
        start = here.relative_to(root) if here.is_relative_to(root) else Path()
        return cls(root, tuple(_files(root)), real.relative_to(root), start)

    def copy(self, folder: Path, contents: Mapping[Path, bytes]) -> Path:
        """Copies the project into `folder`, with these contents of files; the folder to run the command in."""
        for file in self.files:
            assert self.root is not None
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(PermissionError, FileNotFoundError):  # a file that nobody may read, or that is gone
                shutil.copy2(self.root / file, target, follow_symlinks=False)
        for place, content in contents.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).unlink(missing_ok=True)
            (folder / place).write_bytes(content)
        (folder / self.start).mkdir(parents=True, exist_ok=True)
        return folder / self.start


@dataclass(frozen=True, slots=True)
class Trial:
    """Judges texts of one file by a command. `Effort.test` takes it.

    command: for the shell; {} stands for the file. seconds: limit of its time. required: a text that fails must not
    be written. encode: the content of the file with a text. others: new contents of other files of the project.
    """

    command: str
    project: Project
    seconds: float = 60.0
    required: bool = True
    encode: Callable[[str], bytes] = str.encode
    others: Mapping[Path, bytes] = field(default_factory=dict)

    def __call__(self, texts: Sequence[str]) -> list[Judged]:
        """What the command says of each text. Raises UsageError if it cannot be started."""
        commands = ShellCommands()
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            return list(pool.map(lambda text: self._judge(text, commands), texts))
        finally:
            commands.kill()
            pool.shutdown(wait=True, cancel_futures=True)

    def _judge(self, text: str, commands: ShellCommands) -> Judged:
        project = self.project
        with scratch() as folder:
            here = project.copy(folder, {**self.others, project.place: self.encode(text)})
            file = os.path.relpath(project.place, project.start)
            ended = commands.run(self.command.replace(FILE, shlex.quote(file)), here, seconds=self.seconds)
        if ended.ok:
            return Judged(passed=True, output=ended.output)
        reason = f"exit status {ended.status}" if ended.status is not None else f"stopped after {self.seconds:g} s"
        return Judged(passed=False, refused=self.required, reason=reason, output=ended.output)


def _files(root: Path) -> Iterator[Path]:
    """The files and links to copy, relative to `root`."""
    total = 0
    for folder, folders, names in os.walk(root):
        kept = [name for name in folders if name not in LEFT_OUT and not Path(folder, name, VENV).exists()]
        links = [name for name in kept if Path(folder, name).is_symlink()]
        folders[:] = [name for name in kept if name not in links]
        for name in (*names, *links):
            try:
                found = Path(folder, name).lstat()
            except OSError:
                continue
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)) or name in LEFT_OUT:
                continue
            total += found.st_size if stat.S_ISREG(found.st_mode) else 0
            if total > MAX_BYTES:
                message = f"{root} holds more than {MAX_BYTES // 10**6} MB, too much to copy for --test"
                raise UsageError(message, hint="keep data out of the repository, or run the test yourself")
            yield Path(folder, name).relative_to(root)
