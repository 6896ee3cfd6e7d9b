"""The errors a user may meet: each carries one line, a hint (what to do) and an exit code.

DiffuError
├── UsageError           2  a flag, region, prompt or configuration that cannot work
├── Unparsable           3  the result does not parse; nothing was written
├── ModelError           4  no model to run
│   ├── BadCheckpoint       the folder is damaged or not a checkpoint of this family
│   └── NoRoom              the machine has too little memory for it
├── TargetChanged        5  the file changed on disk since it was read; refused to write
└── WriteFailed          2  the system refused the write; the file is as it was
    └── NotPrinted          stdout refused what was to be printed
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOCATION_FAILED = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
LESS_MEMORY = "try a smaller --length or --block, --quant nf4, or --device cpu"


class DiffuError(Exception):
    """A user's problem: `message` names it, `hint` says what to do about it."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(DiffuError):
    """A flag, region, prompt or configuration value that cannot work."""


class Unparsable(DiffuError):
    """The result does not parse, so it was not written."""

    exit_code = 3


class ModelError(DiffuError):
    """No model can be run."""

    exit_code = 4


class BadCheckpoint(ModelError):
    """The folder is damaged or holds no checkpoint of this family."""


class NoRoom(ModelError):
    """The model needs more memory than is free."""


class TargetChanged(DiffuError):
    """The file changed on disk since it was read."""

    exit_code = 5


class WriteFailed(DiffuError):
    """The system refused the write; the file is as it was."""


class NotPrinted(WriteFailed):
    """Stdout refused what was to be printed, so that an error cannot be told there either."""


def is_out_of_memory(exc: BaseException) -> bool:
    """Whether `exc` means that memory ran out. Most allocators of torch raise RuntimeError, the CPU's among them."""
    if isinstance(exc, RuntimeError):
        return any(text in str(exc) for text in ALLOCATION_FAILED)
    return isinstance(exc, MemoryError)


@contextmanager
def as_out_of_memory(what: str, *, hint: str = LESS_MEMORY) -> Iterator[None]:
    """Raises NoRoom, naming `what`, in place of any error inside that means that memory ran out."""
    try:
        yield
    except (MemoryError, RuntimeError) as exc:
        if not is_out_of_memory(exc):
            raise
        raise NoRoom(f"the device ran out of memory for {what}", hint=hint) from exc
