"""The command line: options become objects, a stream of events becomes a screen, errors become exit codes.

Importing this room loads nothing, so that Ctrl-C ends the process silently from its first moment on.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings


def main() -> None:
    """Runs the command line of this process; Ctrl-C ends it by its signal, so that a shell loop around it stops too."""
    unignored = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # `cmd &` in a script ignores it
    if unignored:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform != "win32":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if not sys.warnoptions and "DIFFU_DEBUG" not in os.environ:
        warnings.simplefilter("ignore")  # they are for developers of what lies below us
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin make a busy machine several times slower
    _open_what_is_closed()
    _correct_sizes()
    from diffucli.cli.app import run

    if unignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
        code = 128 + signal.SIGINT  # someone blocks the signal
    if unignored:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _end_stderr()
    gc.freeze()  # else a second goes by in searching all that was imported for garbage
    sys.exit(code)


def _correct_sizes() -> None:
    """Sizes of a terminal that are none, such as COLUMNS=0 of a terminal without a size, give way to the usual ones."""
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        size = os.environ.get(name, "1")
        if not (size.isascii() and size.isdecimal() and int(size)):
            del os.environ[name]


def _end_stderr() -> None:
    """Writes what is left for stderr; were it refused at the very end, the exit code would be 120."""
    from diffucli.cli import streams

    try:
        sys.stderr.flush()
    except OSError:
        streams.abandon(sys.stderr)


def _open_what_is_closed() -> None:
    """Standard streams that the caller has closed are /dev/null, lest a file we open takes their number.

    Stdout refuses what is written to it then, so that a text is not lost in silence.
    """
    for wanted, flags in ((0, os.O_RDWR), (1, os.O_RDONLY), (2, os.O_RDWR)):
        descriptor = os.open(os.devnull, flags)
        if descriptor != wanted:
            os.close(descriptor)
            continue
        os.set_inheritable(descriptor, True)
    sys.stdin = sys.stdin or open(0, encoding="utf-8")  # noqa: SIM115 — as long as the process
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115
