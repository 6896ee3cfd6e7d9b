"""Standard input and output as bytes: when to read, and the same bytes to a pipe, a file and a terminal."""

from __future__ import annotations

import errno
import os
import re
import select
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from diffucli import files
from diffucli.errors import NotPrinted, UsageError, WriteFailed
from diffucli.signals import deferred_signals

if TYPE_CHECKING:
    from diffucli.edit.source import Source

PATIENCE = 2.0  # seconds of silence on stdin before a word about it
PIECE = 1 << 16  # bytes of stdin that are read at a time
STDIN = Path("-")
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SUSPICIOUS = re.compile(rb"[^\t\n -~]")


def stdin_is_given() -> bool:
    """Whether stdin is a pipe, socket or file, which a command reads that has no other input; no terminal or device."""
    mode = _stdin_mode()
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def stdin_comes_along() -> bool:
    """Whether stdin is context beside a request: a pipe, or a file of which nothing is read yet.

    A file that is read in part is the list of a shell's loop; a socket, which children of Node have, may never end.
    """
    mode = _stdin_mode()
    return stat.S_ISFIFO(mode) or (stat.S_ISREG(mode) and os.lseek(sys.stdin.fileno(), 0, os.SEEK_CUR) == 0)


def stdin_is_ignored() -> bool:
    """Whether stdin is a socket on which text is waiting that `stdin_comes_along` leaves alone."""
    if not stat.S_ISSOCK(_stdin_mode()):
        return False
    with suppress(OSError), socket.socket(fileno=os.dup(sys.stdin.fileno())) as waiting:
        return bool(waiting.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    return False


def _stdin_mode() -> int:
    """The kind of file that stdin is, as in `stat`; 0 where it is closed, or a stand-in of a test."""
    try:
        return os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return 0


def named(path: Path) -> Path:
    """The path, or `-` where it leads to stdin, as /dev/stdin does."""
    return STDIN if files.descriptor(path) == 0 else path


def is_stream(path: Path) -> bool:
    """Whether the path is stdin or leads to another open descriptor, so that it says nothing of what is read."""
    return path == STDIN or files.descriptor(path) is not None


def inputs(paths: Sequence[Path] | None, *, purpose: str) -> list[Path]:
    """The files named, else stdin where it is given. UsageError: there are none."""
    found = [named(path) for path in paths or ([STDIN] if stdin_is_given() else [])]
    if not found:
        raise UsageError(f"there is no file to {purpose}", hint="name one, or pipe text into it")
    return found


def require_distinct(paths: Sequence[Path]) -> None:
    """UsageError: one file is named twice."""
    real = [os.path.realpath(path) for path in paths]
    for path, place in zip(paths, real, strict=True):
        if real.count(place) > 1:
            raise UsageError(f"{path} is named twice", hint="name each file once")


def read_stdin(given: bytearray | None = None) -> bytes:
    """All of stdin, or more than a source may have; says so once when nothing comes for a while.

    given: gets what is read piece by piece, so that it has all of it whatever signal comes.
    """
    end = "end it with ctrl-d" if sys.stdin.isatty() else "close it at its other end"
    return _read(sys.stdin.buffer, bytearray() if given is None else given, f"stdin ({end}, or give </dev/null)")


def _read(stream: BinaryIO, given: bytearray, name: str) -> bytes:
    from diffucli.edit.source import MAX_BYTES

    told = False
    while len(given) <= MAX_BYTES:
        if not told and not _is_readable(stream, PATIENCE):
            say(f"diffu: waiting for {name}")
            told = True
        if not _take(stream, given):
            break
    return bytes(given)


def _take(stream: BinaryIO, given: bytearray) -> bool:
    """Adds the next piece to `given`; False at the end. A signal comes before or after, never in between."""
    _is_readable(stream, None)
    with deferred_signals():
        piece = stream.read1(PIECE)  # type: ignore[attr-defined]
        given += piece or b""
    return bool(piece != b"")  # None: another reader of a stream that does not block was faster


def _is_readable(stream: BinaryIO, seconds: float | None) -> bool:
    """Waits until the stream has something or ends, for so many seconds at most; whether it does."""
    if os.name == "posix":
        with suppress(OSError, ValueError):  # a stand-in of a test has no descriptor
            return bool(select.select([stream], [], [], seconds)[0])
    return True


def source_of(path: Path, name: Path | None = None, *, read: Callable[[], bytes] | None = None) -> Source:
    """The source in a file, on stdin (`-`), or behind another descriptor, as of <(command). UsageError: there is none.

    name: of what comes on stdin. read: reads it.
    """
    from diffucli.edit import source

    if path == STDIN:
        return source.from_bytes((read or read_stdin)(), name)
    if (number := files.descriptor(path)) is None:
        return source.read(path)
    try:
        with open(number, "rb", closefd=False) as stream:
            return source.from_bytes(_read(stream, bytearray(), str(path)))
    except OSError as exc:
        raise UsageError(f"{path}: {exc.strerror}", hint="check the path") from exc


def text_of(path: Path) -> str:
    """The text of the file or of stdin (`-`), newlines as in Python. UsageError: it is no readable text."""
    if path != STDIN:
        refuse_own_output(path)
    return source_of(path).text.replace("\r\n", "\n")


def words(text: str, *, name: str) -> str:
    """An argument that a model is to read, stripped. UsageError: it is blank, or was not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise UsageError(f"{name} is not valid UTF-8", hint="write it in UTF-8, or put it into a file") from exc
    if not text.strip():
        raise UsageError(f"{name} is empty", hint='say what to write, such as "write a quicksort"')
    return text.strip()


def put(data: bytes, paint: Callable[[str], str] | None = None) -> None:
    """`data` on stdout, whole, and byte by byte unless that is a terminal. WriteFailed: the system refused it.

    paint: makes coloured text of it for a terminal.
    """
    with as_write_failed("stdout", abandoned=sys.stdout):
        sys.stdout.flush()
        write_whole(sys.stdout.buffer, data, paint)


def write_whole(file: BinaryIO, data: bytes, paint: Callable[[str], str] | None = None) -> None:
    """Writes all of `data`, also to a stream that does not block; for a terminal, made harmless. OSError: refused."""
    rest = memoryview(_for_terminal(data, sys.stdout.encoding, paint) if file.isatty() else data)
    while True:
        try:
            rest = rest[file.write(rest) :]
            file.flush()
        except BlockingIOError as exc:  # whoever shares the stream does not want to wait, so we do
            rest = rest[exc.characters_written :]
            select.select([], [file], [])
        else:
            return


@contextmanager
def as_write_failed(name: str, *, abandoned: TextIO | None = None) -> Iterator[None]:
    """Raises what the system refuses to the stream `name` as WriteFailed. abandoned: it is not tried again."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        if abandoned:
            abandon(abandoned)
        refusal = NotPrinted if abandoned else WriteFailed
        hint = "make room there, or write to another file" if exc.errno in FULL else "write to a file, with -o"
        if exc.errno == errno.EBADF:
            raise refusal(f"{name} is closed", hint="open it, such as with > FILE") from exc
        raise refusal(f"{name}: {exc.strerror or exc}", hint=hint) from exc


def _for_terminal(data: bytes, encoding: str, paint: Callable[[str], str] | None) -> bytes:
    """`data` for a terminal: what would steer it is made visible, and only then it is painted."""
    if paint is None and not _SUSPICIOUS.search(data):
        return data
    from diffucli.ui.glyphs import harmless

    text = harmless(data.decode(encoding, "surrogateescape"), encoding)
    return (paint(text) if paint else text).encode(encoding, "surrogateescape")


def say(line: str = "") -> None:
    """A line on stderr. What stderr refuses is lost: a full disk there is no reason to fail."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        abandon(sys.stderr)


def abandon(stream: TextIO) -> None:
    """What could not be written is not tried again when the process ends."""
    with suppress(OSError, ValueError):  # a stand-in of a test has no descriptor
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


@contextmanager
def echoing() -> Iterator[Callable[[], bytes]]:
    """For a filter: whatever ends it within, its input comes out as it came. A signal that kills must unwind.

    Gives the function that reads stdin.
    """
    given = bytearray()
    try:
        yield lambda: read_stdin(given)
    except BaseException:
        echo(bytes(given))
        raise


def is_filter(given: Mapping[str, object]) -> bool:
    """Whether `fill` with these parameters turns stdin into stdout."""
    paths = given.get("files")
    reads = STDIN in map(named, paths) if isinstance(paths, Sequence) and paths else stdin_is_given()
    return (
        reads
        and not any(given.get(name) for name in ("json", "jsonl", "diff", "check", "output", "write"))
        and given.get("pick") != "all"
    )


def echo(given: bytes) -> None:
    """A filter's input as it came: what was read of it, and what was not."""
    put(given)
    for line in sys.stdin.buffer:
        put(line)


def refuse_own_output(path: Path) -> None:
    """UsageError where stdout is the file that is read (`-`: on stdin): the shell has emptied it already."""
    try:
        out = os.fstat(sys.stdout.fileno())
        read = os.fstat(sys.stdin.fileno()) if path == STDIN else path.stat()
    except (OSError, ValueError):
        return
    if stat.S_ISREG(out.st_mode) and (out.st_dev, out.st_ino) == (read.st_dev, read.st_ino):
        name = "its own input" if path == STDIN else f"{path} itself"
        raise UsageError(f"stdout is {name}, which the shell empties before it is read", hint="use -w, or another file")
