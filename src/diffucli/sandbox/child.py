"""The child's side of the sandbox: confine the process, run the order read from stdin, report how it went.

`run.py` starts this file under `python -I -S`, so it can import no other module of ours. Confinement is best effort, in
this order: become nobody (root only), namespaces, limits; without namespaces, an audit hook. The docstring of the
package says what holds.
"""

from __future__ import annotations

import marshal
import os
import sys

TYPE_CHECKING = False  # importing typing would cost as much as the rest of the start
if TYPE_CHECKING:
    import ctypes

NOBODY = 65534
PROCESSES = 32  # including threads
FILES = 64
FILE_SIZE = 16 * 2**20  # bytes of one file
FOLDER = "size=64m,mode=0700"  # mount options of the working folder, a tmpfs
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
    order = marshal.loads(sys.stdin.buffer.read())  # noqa: S302 — from our own parent
    code, tests, token, report_path, work, seconds, memory = order
    report = os.open(report_path, os.O_WRONLY | os.O_APPEND)
    confined = sys.platform == "linux" and _confine(work)
    if confined:
        os.write(report, b"confined\n")
    _limit(seconds, memory)
    if not confined or os.geteuid() == 0:  # the kernel does not limit the processes of root
        sys.addaudithook(_Hook(os.path.realpath(work)))
    return _run(code, tests, report, token)


def _run(code: str, tests: str, report: int, token: str) -> int:
    """The exit status. The token is written to `report` only if everything ran to its end."""
    module = type(sys)("candidate")
    sys.modules["candidate"] = module
    sys.argv[:] = ["program.py"]
    try:
        _execute(code, "program.py", module.__dict__)
        _bind_candidate(code, module.__dict__)
        _execute(tests, "tests.py", module.__dict__)
    except MemoryError as error:
        os.write(report, b"memory\n")
        _print_traceback(error)
        return 1
    except Exception as error:  # noqa: BLE001 — untrusted code raises anything
        _print_traceback(error)
        return 1
    os.write(report, token.encode())
    return 0


def _execute(source: str, name: str, names: dict[str, object]) -> None:
    with open(name, "wb") as file:  # noqa: PTH123 — tracebacks quote it; importing pathlib is slow
        file.write(source.encode("utf-8", "replace"))
    exec(compile(source, name, "exec", dont_inherit=True), names)  # noqa: S102 — the purpose of this file


def _bind_candidate(code: str, names: dict[str, object]) -> None:
    kinds = {"FunctionDef", "AsyncFunctionDef", "ClassDef"}
    tree = compile(code, "program.py", "exec", _ONLY_AST, dont_inherit=True)  # importing ast would cost 5 ms
    defined = [node.name for node in tree.body if type(node).__name__ in kinds]
    if defined and defined[-1] in names:
        names["candidate"] = names[defined[-1]]


def _print_traceback(error: BaseException) -> None:
    """Print the traceback without our own two frames."""
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
    """Enter namespaces, in a new child of this process; False if they are not fully in force."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and _suits_nobody(work):
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    user, group = os.geteuid(), os.getegid()
    libc.prctl(_PR_SET_DUMPABLE, 1)  # otherwise a process that changed its user may not write its own maps
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
    """Give the folder to nobody; True if nobody can enter it and read the standard library."""
    try:
        os.setgroups([])
        os.chown(work, NOBODY, NOBODY)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        return all(os.access(path, os.R_OK, effective_ids=True) for path in (os.__file__, work))
    except OSError:  # root of a namespace without nobody
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


def _close_folders(libc: ctypes.CDLL, work: str) -> bool:
    """Make every mounted file system read-only, hide /run, and mount an empty file system in memory at `work`."""
    read_only = _words(1, 0, 0, 0)
    if libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, read_only, len(read_only)) != 0:
        return False
    if not work.startswith("/run/"):
        libc.mount(b"none", b"/run", b"tmpfs", _NOSUID_NODEV, b"size=4k,mode=0555")
    return bool(libc.mount(b"none", os.fsencode(work), b"tmpfs", _NOSUID_NODEV, FOLDER.encode()) == 0)


def _words(*words: int) -> bytes:
    """64-bit words in native byte order."""
    return b"".join(word.to_bytes(8, sys.byteorder) for word in words)


def _fork(libc: ctypes.CDLL) -> None:
    """Continue in a child, the first process of the new namespace: when it ends, the kernel kills all others there."""
    child = os.fork()
    if child == 0:
        libc.prctl(_PR_SET_PDEATHSIG, 9)
        return
    os.close(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(status if status >= 0 else 128 - status)


class _Hook:
    """An audit hook that refuses inside the interpreter what namespaces would keep out."""

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
