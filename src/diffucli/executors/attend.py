"""What happens in the process of a pool's member: the worker works, and the pool is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diffucli.errors import DiffuError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from queue import SimpleQueue

    from diffucli.executors.pool import Entry

Message = tuple[str, str, Any]  # what it is, its key and its value, as `pool.Heard` has them
ENDED, FAILED = "ended", "failed"
LAST = frozenset({ENDED, FAILED})  # nothing follows these


def attend(
    worker: Callable[[Iterator[Entry | None]], Iterator[tuple[str, Any]]],
    inbox: SimpleQueue[Entry | None],
    tell: Callable[[Message], object],
) -> None:
    """Has `worker` work on what comes into `inbox`, until that is None, and tells how it goes.

    An error that the worker raises is told too. OSError: it cannot be told.
    """
    working: set[str] = set()

    def items() -> Iterator[Entry | None]:
        tell(("ready", "", None))
        while True:
            if working and inbox.empty():
                yield None
            elif (entry := inbox.get()) is None:
                return
            else:
                working.add(entry[0])
                yield entry

    try:
        for key, outcome in worker(items()):
            tell(("done", key, outcome))
            working.discard(key)
    except BrokenPipeError:
        raise
    except Exception as exc:  # noqa: BLE001 — the pool raises it
        tell((FAILED, "", _portable(exc)))
    else:
        tell((ENDED, "", None))


def _portable(error: Exception) -> Exception:
    """The error itself if it is ours, which can be pickled; else one that has its words."""
    return error if isinstance(error, DiffuError) else RuntimeError(f"{type(error).__name__}: {error}")
