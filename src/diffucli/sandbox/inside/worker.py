"""Run code and its tests in this process, with limits, and prove to the keeper that the tests reached their end."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing typing would cost as much as the rest of the start
if TYPE_CHECKING:
    from types import CodeType

PROCESSES = 32  # including threads
FILES = 64
FILE_SIZE = 16 * 2**20  # bytes of one file
MEMORY_ERROR, AT_END = b"memory", b"end"
NONCE_BYTES = 16
_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST
_compile, _exec, _open, _read, _write = compile, exec, open, os.read, os.write  # code may replace the originals


def run(code: str, tests: str, ask: int, answer: int) -> int:
    """The exit status. `AT_END` is written to `ask` if everything ran to its end, and then what `answer` replies."""
    module = type(sys)("candidate")
    sys.modules["candidate"] = module
    sys.argv[:] = ["program.py"]
    try:
        _execute(code, "program.py", module.__dict__)
        _bind_candidate(code, module.__dict__)
        _execute(tests, "tests.py", module.__dict__)
    except MemoryError as error:
        _write(ask, MEMORY_ERROR)
        _print_traceback(error)
        return 1
    except Exception as error:  # noqa: BLE001 — untrusted code raises anything
        _print_traceback(error)
        return 1
    _write(ask, AT_END)
    _write(ask, _read(answer, NONCE_BYTES))
    return 0


def limit(seconds: float, memory: int, *, count_processes: bool) -> None:
    """Set the limits that the system has. count_processes: only of this sandbox, so that others do not count."""
    import resource

    cpu = int(seconds) + 2
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_NOFILE: FILES,
        resource.RLIMIT_FSIZE: FILE_SIZE,
        resource.RLIMIT_AS: memory,
    }
    if count_processes:
        limits[resource.RLIMIT_NPROC] = PROCESSES
    for kind, wanted in limits.items():
        hard = resource.getrlimit(kind)[1]
        lower = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(kind, (lower, lower))
        except (ValueError, OSError):  # macOS refuses some
            continue


def _execute(source: str, name: str, names: dict[str, object]) -> None:
    compiled: CodeType = _compile(source, name, "exec", dont_inherit=True)
    try:
        with _open(name, "wb") as file:  # tracebacks quote it
            file.write(source.encode("utf-8", "replace"))
    except OSError:  # the code has filled or removed its folder
        pass
    _exec(compiled, names)


def _bind_candidate(code: str, names: dict[str, object]) -> None:
    kinds = {"FunctionDef", "AsyncFunctionDef", "ClassDef"}
    tree = _compile(code, "program.py", "exec", _ONLY_AST, dont_inherit=True)  # importing ast would cost 5 ms
    defined = [node.name for node in tree.body if type(node).__name__ in kinds]
    if defined and defined[-1] in names:
        names["candidate"] = names[defined[-1]]


def _print_traceback(error: BaseException) -> None:
    """Print the traceback without our own two frames."""
    trace = error.__traceback__
    for _ in range(2):
        trace = trace and trace.tb_next
    sys.__excepthook__(type(error), error.with_traceback(trace), trace)
