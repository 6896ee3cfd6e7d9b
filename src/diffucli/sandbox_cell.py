"""The child's side of the sandbox: shut the doors, run the order that stands first on stdin, report how it went.

Run as a file by `sandbox.py` under `python -I -S`; it can import nothing of ours. Best effort, in this order: become
nobody (root only), namespaces, limits; without namespaces, an audit hook. `sandbox.py` tells what holds.
"""

from __future__ import annotations

import marshal
import os
import sys

NOBODY = 65534
PROCESSES = 32  # threads count
FILES = 64
FILE_SIZE = 16 * 2**20  # bytes of one file
FOLDER = "size=64m,mode=0700"  # of the tmpfs that becomes the working folder
_ONLY_AST = 0x400  # ast.PyCF_ONLY_AST

# include/uapi/linux: sched.h, mount.h, prctl.h, capability.h, asm-generic/unistd.h (one number on every architecture)
_NEW_NAMESPACES = 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000 | 0x08000000  # user, pid, net, mount, ipc
_NOSUID_NODEV = 2 | 4
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION = 0x20080522

_REFUSED = (
    "socket.bind",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostby",
    "socket.send",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "os.startfile",
    "os.kill",
    "os.killpg",
    "pty.",
    "ctypes.",
    "_winapi.CreateProcess",
    "winreg.",
)
_CHANGES = frozenset(
    f"os.{verb}"
    for verb in (
        "remove",
        "rename",
        "rmdir",
        "mkdir",
        "truncate",
        "link",
        "symlink",
        "chmod",
        "chown",
        "utime",
        "setxattr",
    )
) | {"shutil.rmtree", "shutil.move"}


def main() -> int:
    size = int.from_bytes(_read(8), "big")
    code, tests, token, report, work, seconds, memory = marshal.loads(_read(size))  # noqa: S302 — our own parent's
    said = os.open(report, os.O_WRONLY | os.O_APPEND)
    confined = sys.platform == "linux" and _confine(work)
    if confined:
        os.write(said, b"confined\n")
    _limit(seconds, memory)
    if not confined or os.geteuid() == 0:  # the kernel does not limit root's processes
        sys.addaudithook(_Hook(os.path.realpath(work)))
    return _run(code, tests, said, token)


def _read(size: int) -> bytes:
    """Exactly `size` bytes of stdin; what follows them stays there for the program."""
    parts = b""
    while len(parts) < size:
        part = os.read(0, size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts


def _run(code: str, tests: str | None, said: int, token: str) -> int:
    """The exit status; the token is written only where everything ran to its end."""
    name = "__main__" if tests is None else "candidate"
    module = type(sys)(name)
    sys.modules[name] = module
    sys.argv[:] = ["program.py"]
    try:
        _execute(code, "program.py", module.__dict__)
        if tests is not None:
            _bind_candidate(code, module.__dict__)
            _execute(tests, "tests.py", module.__dict__)
    except MemoryError as error:
        os.write(said, b"memory\n")
        _complain(error)
        return 1
    except Exception as error:  # noqa: BLE001 — whatever untrusted code raises
        _complain(error)
        return 1
    os.write(said, token.encode())
    return 0


def _execute(source: str, name: str, names: dict[str, object]) -> None:
    with open(name, "wb") as file:  # noqa: PTH123 — for tracebacks; pathlib costs as much as the rest of the start
        file.write(source.encode("utf-8", "replace"))
    exec(compile(source, name, "exec", dont_inherit=True), names)  # noqa: S102 — what this file is for


def _bind_candidate(code: str, names: dict[str, object]) -> None:
    kinds = {"FunctionDef", "AsyncFunctionDef", "ClassDef"}
    tree = compile(code, "program.py", "exec", _ONLY_AST, dont_inherit=True)  # importing ast would cost 5 ms
    defined = [node.name for node in tree.body if type(node).__name__ in kinds]
    if defined and defined[-1] in names:
        names["candidate"] = names[defined[-1]]


def _complain(error: BaseException) -> None:
    """The traceback without our own two frames."""
    trace = error.__traceback__
    for _ in range(2):
        trace = trace and trace.tb_next
    sys.__excepthook__(type(error), error.with_traceback(trace), trace)


def _limit(seconds: float, memory: int) -> None:
    try:
        import resource
    except ImportError:
        return
    cpu = int(seconds) + 2
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_FSIZE, FILE_SIZE),
        (resource.RLIMIT_AS, memory),
    ):
        hard = resource.getrlimit(kind)[1]
        lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        try:
            resource.setrlimit(kind, (lower, lower))
        except (ValueError, OSError):  # macOS refuses some
            continue


def _confine(work: str) -> bool:
    """Whether namespaces now hold this process, which is then a child of the one that called."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and _suits_nobody(work):
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    user, group = os.geteuid(), os.getegid()
    libc.prctl(_PR_SET_DUMPABLE, 1)  # else a process that changed its user may not write its own maps
    if libc.unshare(_NEW_NAMESPACES) != 0:
        return False
    held = _map_user(user, group) and _close_folders(libc, work)
    os.chdir(work)
    _fork(libc)
    if held:
        import resource

        resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))  # counted within this namespace
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    dropped = libc.capset(header, (ctypes.c_uint32 * 6)()) == 0
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return held and dropped


def _suits_nobody(work: str) -> bool:
    """Whether root can become nobody, who can then read the standard library and enter the folder, now nobody's."""
    try:
        os.setgroups([])
        os.chown(work, NOBODY, NOBODY)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        return all(os.access(path, os.R_OK, effective_ids=True) for path in (os.__file__, work))
    except OSError:  # root of a namespace that has no nobody
        return False
    finally:
        os.seteuid(0)
        os.setegid(0)


def _map_user(user: int, group: int) -> bool:
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 — as in _execute
                file.write(text)
    except OSError:
        return False
    return True


def _close_folders(libc, work: str) -> bool:  # type: ignore[no-untyped-def]  # noqa: ANN001 — ctypes is imported late
    """Make every mounted file system read-only, hide /run, and put an empty one in memory at `work`."""
    read_only = _words(1, 0, 0, 0)
    if libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, read_only, len(read_only)) != 0:
        return False
    if not work.startswith("/run/"):
        libc.mount(b"none", b"/run", b"tmpfs", _NOSUID_NODEV, b"size=4k,mode=0555")
    return bool(libc.mount(b"none", os.fsencode(work), b"tmpfs", _NOSUID_NODEV, FOLDER.encode()) == 0)


def _words(*words: int) -> bytes:
    """64-bit words as the kernel reads them."""
    return b"".join(word.to_bytes(8, sys.byteorder) for word in words)


def _fork(libc) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 — ctypes is imported late
    """Go on in a child, which is the new namespace's first process: when it ends, the kernel kills all others there."""
    child = os.fork()
    if child == 0:
        libc.prctl(_PR_SET_PDEATHSIG, 9)
        return
    os.close(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(status if status >= 0 else 128 - status)


class _Hook:
    """Refuses, inside the interpreter, what namespaces would have kept out."""

    def __init__(self, work: str) -> None:
        self.inside = (work, work + os.sep)

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if event == "open":
            self._opened(args)
        elif event in _CHANGES:
            for path in args[:2]:
                self._within(path, event)
        elif event.startswith(_REFUSED):
            raise PermissionError(1, f"not allowed in the sandbox: {event}")

    def _opened(self, args: tuple[object, ...]) -> None:
        path, mode, flags = (*args, None, None, None)[:3]
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        if writes or (isinstance(mode, str) and set(mode) & set("wax+")):
            self._within(path, "open")

    def _within(self, path: object, event: str) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        real = os.path.realpath(os.fsdecode(path))
        if real != self.inside[0] and not real.startswith(self.inside[1]) and real != os.path.realpath(os.devnull):
            raise PermissionError(1, f"not allowed in the sandbox: {event} {real}")


if __name__ == "__main__":
    sys.exit(main())
