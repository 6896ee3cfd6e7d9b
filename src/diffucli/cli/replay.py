"""`diffu replay`: a past run, or one that happens in a pipe, as the live view showed it."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from diffucli.cli import options as flag
from diffucli.cli import streams
from diffucli.cli.journal import log_store
from diffucli.cli.log import RUN_HELP, texts_of
from diffucli.cli.report import Report, say
from diffucli.errors import UsageError
from diffucli.signals import restoring_on_stop, unwinding_on_kill

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from diffucli.trace.file import Trace
    from diffucli.trace.form import Item, Reader

EXAMPLES = flag.examples(
    "diffu replay last --speed 0.2", "diffu gen quicksort --jsonl | tee run.jsonl | diffu replay -"
)
PIPE_HELP = f"{RUN_HELP[:-1]}; `-` is what --jsonl prints, on stdin."
HINT = "space pauses · ←/→ one step · q ends"
Export = Literal["cast", "svg", "html", "txt", "json"]
EXPORT_HELP = "An asciicast, an animated picture, a page of its own, text, or the lines of --jsonl."
FRAME, PAUSED = 1 / 20, 0.25  # seconds between two looks at the clock
LONGEST = 2.0  # seconds that a step is waited for, whatever the trace says
STAYS = 1.5  # seconds for which the last step stays
FASTER = 1.5
PIECE = 1 << 16  # bytes of a pipe that are read at a time
_KEY = re.compile(rb"\x1b[\[O].|.", re.DOTALL)
QUIT = b"q"
KEYS = {
    b" ": "pause",
    **dict.fromkeys((b"\x1b[C", b"\x1bOC", b"l", b"\r", b"\n"), "next"),
    **dict.fromkeys((b"\x1b[D", b"\x1bOD", b"h", b"\x7f"), "back"),
    **dict.fromkeys((b"\x1b[H", b"\x1bOH", b"g"), "first"),
    **dict.fromkeys((b"\x1b[F", b"\x1bOF", b"G"), "last"),
    b"+": "faster",
    b"-": "slower",
    QUIT: "quit",
}


def replay(
    run: Annotated[str, typer.Argument(metavar="RUN", help=PIPE_HELP, show_default=False)] = "last",
    speed: Annotated[
        float, typer.Option("--speed", metavar="X", min=0.01, max=1000.0, callback=flag.number, help="Times as fast.")
    ] = 1.0,
    step: Annotated[bool, typer.Option("--step", metavar=flag.FLAG, help="Wait for a key after each step.")] = False,
    candidate: Annotated[
        int, typer.Option("--candidate", metavar="N", min=1, max=32, help="Which of the candidates of -n is shown.")
    ] = 1,
    export: Annotated[Export | None, typer.Option("--export", help=EXPORT_HELP)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            parser=flag.file,
            callback=flag.unless_stdout,
            help="Write the export to this file, not to stdout.",
        ),
    ] = None,
    width: Annotated[
        int, typer.Option("--width", metavar="N", min=20, max=400, help="Columns of cast, svg and txt.")
    ] = 80,
) -> None:
    """Show how a run was written, and print what it wrote; or export it. No model is needed.

    Keys: space pauses, the arrows go one step on or back, + and - change the speed, g and G go to the ends, q ends it.
    """
    from diffucli.trace.file import content, lines_of
    from diffucli.trace.form import Reader
    from diffucli.ui.terminal import wants_live

    name = "stdin" if run == "-" else run
    if run == "-":
        feed = Feed(Reader(name))
    else:
        path = log_store().find(run)
        feed = Feed(Reader(str(path)), lines_of(content(path), str(path)))
    if export is not None or output is not None:
        _export(feed, export, output, candidate=candidate - 1, width=width, speed=speed, step=step)
        return
    if wants_live(sys.stderr, "auto", environ):
        with _keys() as keys:
            _require_keys(keys, step=step)
            Show(feed, keys, speed=speed, candidate=candidate - 1, pauses=step).run()
    else:
        _require_keys(None, step=step)
    trace = feed.trace()
    if trace.ending is None:
        say(f"diffu: the run {name} was interrupted")
        return
    try:
        streams.put("".join(texts_of(trace, name)).encode())
    except UsageError as exc:
        say(f"diffu: {exc.message}")


def _export(
    feed: Feed,
    export: Export | None,
    output: Path | None,
    *,
    candidate: int,
    width: int,
    speed: float,
    step: bool,
) -> None:
    """Writes a trace for others. UsageError: it has no step of that candidate, or the options do not go together."""
    if export is None:
        raise UsageError("-o needs a form", hint="add --export cast, svg, html, txt or json")
    if step:
        raise UsageError("--step and --export exclude each other", hint="give one of them")
    from diffucli.cli import destination

    report = Report()
    targets = destination.opened(output, report)
    data = _exported(feed, export, candidate=candidate, width=width, speed=speed)
    if output is None:
        streams.put(data)
    else:
        destination.write([(output, targets[0], data)], report)


def _exported(feed: Feed, export: Export, *, candidate: int, width: int, speed: float) -> bytes:
    from diffucli.trace.export import cast, svg, txt
    from diffucli.trace.page import html
    from diffucli.trace.player import Player

    trace, player = feed.trace(), Player(feed.reader.piece, candidate=candidate)
    for item in feed.items:
        player.add(item)
    if player.last < 0:
        raise UsageError(f"there is no candidate {candidate + 1} in this trace", hint="leave --candidate out")
    title = title_of(trace)
    match export:
        case "json":
            return b"".join(feed.lines)
        case "html":
            return html(trace, candidate=candidate, title=title).encode()
        case "txt":
            return txt(player, width=width).encode()
        case "svg":
            return svg(player, width=width, title=title, speed=speed).encode()
        case "cast":
            return cast(player, width=width, title=title, speed=speed).encode()


def title_of(trace: Trace) -> str:
    """The command of a trace, in a line."""
    request = " ".join(str(trace.header.get("request") or "").split())
    files = [take.job.file for take in trace.takes if take.job.file]
    return " ".join(["diffu", str(trace.header.get("command", "")), *files, *([f'"{request}"'] if request else [])])


class Feed:
    """The items of a trace, as they come on stdin; those of `lines` are there at once."""

    def __init__(self, reader: Reader, lines: Iterable[bytes] | None = None) -> None:
        from diffucli.trace.file import read

        self.reader = reader
        self.is_open = lines is None
        self.lines: list[bytes] = list(lines or ())
        self.items: list[Item] = list(read(reader, self.lines))
        self._rest = b""

    def pull(self) -> list[Item]:
        """What has come since the last time; waits for something. UsageError: it is no trace."""
        from diffucli.trace.file import read
        from diffucli.trace.form import MAX_LINE

        data = os.read(sys.stdin.fileno(), PIECE)
        self.is_open = bool(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        whole = [line + b"\n" for line in lines]
        if self._rest and (not data or len(self._rest) > MAX_LINE):
            whole.append(self._rest)
        new = list(read(self.reader, whole))
        self.items += new
        self.lines += whole
        return new

    def trace(self) -> Trace:
        """All of it, when it has come. UsageError: it is no trace."""
        from diffucli.trace.file import gathered

        while self.is_open:
            self.pull()
        return gathered(self.reader, self.items)


class Show:
    """Plays a feed on the terminal. keys: the descriptor that keys come from, None if there is none."""

    def __init__(self, feed: Feed, keys: Keys | None, *, speed: float, candidate: int, pauses: bool) -> None:
        from diffucli.trace.player import Player
        from diffucli.ui.terminal import Screen

        encoding = sys.stderr.encoding or "ascii"
        hint = HINT if keys else ""
        self._feed, self._keys, self._speed, self._pauses = feed, keys, speed, pauses
        self._player = Player(feed.reader.piece, candidate=candidate, hint=hint, encoding=encoding)
        self._screen = Screen(sys.stderr)
        self._position = 0.0  # seconds of the trace
        self._drawn: object = None

    def run(self) -> None:
        """Plays it to its end, or until somebody has seen enough. UsageError: a line of the feed is no trace."""
        for item in self._feed.items:
            self._player.add(item)
        with unwinding_on_kill(), self._screen, restoring_on_stop(self._leave, self._enter):
            now, ended = time.monotonic(), None
            while ended is None or now - ended < STAYS:
                before, now = now, time.monotonic()
                if self._pauses:
                    self._player.go(max(self._player.at, 0))  # the first step needs no key
                else:
                    self._advance((now - before) * self._speed)
                self._paint()
                if not self._wait():
                    return
                is_over = self._player.at == self._player.last and not self._feed.is_open and not self._pauses
                ended = (ended or now) if is_over else None

    def _advance(self, seconds: float) -> None:
        """Goes on in time, but not beyond what has come, and waits for no step longer than LONGEST."""
        player = self._player
        if not player.times:
            return
        self._position = min(self._position + seconds, player.times[-1])
        if player.at < player.last:
            self._position = max(self._position, player.times[player.at + 1] - LONGEST * self._speed)
        player.go(max(player.step_at(self._position), player.at))

    def _paint(self) -> None:
        """Draws, if there is anything new to see."""
        from diffucli.ui.terminal import size_of

        seen = (self._player.at, size_of(sys.stderr))
        if seen != self._drawn:
            self._screen.paint(self._player.frame)
            self._drawn = seen

    def _wait(self) -> bool:
        """Waits for the next frame, a key or more of the feed; False if somebody has seen enough."""
        sources = [sys.stdin.fileno()] if self._feed.is_open else []
        sources += [self._keys.descriptor] if self._keys else []
        seconds = PAUSED if self._pauses else FRAME
        ready = select.select(sources, [], [], seconds)[0]
        if self._feed.is_open and sys.stdin.fileno() in ready:
            for item in self._feed.pull():
                self._player.add(item)
        if self._keys and self._keys.descriptor in ready:
            return all(self._press(KEYS.get(key, "")) for key in self._keys.read())
        return True

    def _press(self, key: str) -> bool:
        """Does what a key means; False if it ends the replay."""
        player = self._player
        steps = {"next": player.at + 1, "back": player.at - 1, "first": 0, "last": player.last}
        if key in steps:
            self._pauses = True
            player.go(max(steps[key], 0))
            self._position = player.times[player.at] if player.times else 0.0
            self._paint()
        elif key == "pause":
            self._pauses = not self._pauses
        elif key in {"faster", "slower"}:
            self._speed *= FASTER if key == "faster" else 1 / FASTER
        return key != "quit"

    def _leave(self) -> None:
        self._screen.leave()
        if self._keys:
            self._keys.leave()

    def _enter(self) -> None:
        if self._keys:
            self._keys.enter()
        self._screen.enter()
        self._drawn = None


class Keys:
    """Keys of a terminal as they are pressed, without an echo."""

    def __init__(self, descriptor: int) -> None:
        import termios

        self.descriptor = descriptor
        self._before = termios.tcgetattr(descriptor)

    def enter(self) -> None:
        """From now on keys come one by one."""
        import tty

        tty.setcbreak(self.descriptor)

    def leave(self) -> None:
        """As it was before."""
        import termios

        termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._before)

    def read(self) -> list[bytes]:
        """The keys that were pressed; QUIT if the terminal is gone, since none can be pressed there."""
        data = b""
        with suppress(OSError):
            data = os.read(self.descriptor, PIECE)
        return _KEY.findall(data) if data else [QUIT]


@contextmanager
def _keys() -> Iterator[Keys | None]:
    """The keys of stdin or of the controlling terminal; None where there are none."""
    with ExitStack() as stack:
        keys = None
        with suppress(OSError, ImportError):
            descriptor = 0
            if not sys.stdin.isatty():
                descriptor = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
                stack.callback(os.close, descriptor)
            keys = Keys(descriptor)
            keys.enter()
            stack.callback(keys.leave)
        yield keys


def _require_keys(keys: Keys | None, *, step: bool) -> None:
    if step and keys is None:
        raise UsageError("--step needs a terminal, whose keys it waits for", hint="leave it out")
