"""Confine this process by Linux's own means: namespaces, a root of its own, nobody's rights, a filter of system calls.

Every function raises OSError, which names the step, where the system refuses it. The constants are those of
include/uapi/linux: sched.h, mount.h, prctl.h, capability.h, audit.h, seccomp.h, filter.h, and of the system calls.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

from . import WORK, WORK_BYTES

TYPE_CHECKING = False  # importing typing would cost as much as the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NOBODY = 65534

_NEW_USER = 0x10000000
_NAMESPACES = (
    0x20000000 | 0x40000000 | 0x00020000 | 0x08000000 | 0x04000000 | 0x02000000
)  # pid net mount ipc uts cgroup
_STAGE = "/tmp"  # noqa: S108 — where the new root is mounted before it is the root
_BIND_RECURSIVE, _PRIVATE_RECURSIVE, _DETACH = 4096 | 16384, 16384 | (1 << 18), 2
_NOSUID, _NODEV, _NOEXEC = 2, 4, 8
_READ_ONLY, _AT_FDCWD, _AT_RECURSIVE = 1, -100, 0x8000
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_SECCOMP, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38
_CAPABILITY_VERSION = 0x20080522
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR = 442

_DENIED = {
    # bpf, perf_event_open, userfaultfd, keyctl, add_key, request_key, kcmp: ways into the kernel that no program needs
    "x86_64": (321, 298, 323, 250, 248, 249, 312),
    "aarch64": (280, 241, 282, 219, 217, 218, 272),
}
_DENIED_MOUNT = {
    # unshare, setns, mount, umount2, pivot_root, chroot: nested namespaces and other roots
    "x86_64": (272, 308, 165, 166, 155, 161),
    "aarch64": (97, 268, 40, 39, 41, 51),
}
_DENIED_MEMORY = {
    # memfd_create, shmget, msgget: memory that belongs to no process; ptrace, process_vm_readv, process_vm_writev
    "x86_64": (319, 29, 68, 101, 310, 311),
    "aarch64": (279, 194, 186, 117, 270, 271),
}
# io_uring_*; open_tree … fspick; pidfd_getfd; mount_setattr; memfd_secret: one number on every architecture
_DENIED_EVERYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 447)
_CLONE, _SOCKET, _CLONE3 = {"x86_64": 56, "aarch64": 220}, {"x86_64": 41, "aarch64": 198}, 435
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000  # the first number of another table on x86_64
_FAMILIES = (1, 2, 10)  # unix, IPv4, IPv6: what network namespaces and the root keep in; vsock is none
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _EPERM, _ENOSYS = 0x7FFF0000, 0x00050000, 1, 38
_NUMBER, _ARCH, _ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data

_libc = ctypes.CDLL(None, use_errno=True)


def enter_namespaces() -> None:
    """Enter namespaces of this process's own; the next child is the first process of the new PID namespace."""
    if os.geteuid() == 0:
        if _libc.unshare(_NAMESPACES) == 0:
            return
        _become_nobody()
    _unshare_user(_NAMESPACES)


def build_root(plan: Iterable[Sequence[str]]) -> None:
    """Make a root that holds nothing but what `plan` names, `/proc` of the PID namespace, and an empty `WORK`.

    plan: as of `confinement.root_plan`.
    """
    mask = os.umask(0)
    _mount("none", "/", "", _PRIVATE_RECURSIVE)
    _mount("root", _STAGE, "tmpfs", _NOSUID | _NODEV, "size=1m,mode=0755")
    os.mkdir(f"{_STAGE}/old")
    _require(_libc.syscall(_PIVOT_ROOT[_machine()], _STAGE.encode(), f"{_STAGE}/old".encode()), "pivot_root")
    os.chdir("/")
    for kind, path, *target in plan:
        if kind == "folder":
            os.mkdir(path, 0o755)
        elif kind == "link":
            os.symlink(target[0], path)
        else:
            _bind(path, _READ_ONLY | _NOSUID | (_NOEXEC if kind == "device" else _NODEV))
    for folder in ("/proc", WORK):
        os.mkdir(folder, 0o755)
    _mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC, "subset=pid")
    _require(_libc.umount2(b"/old", _DETACH), "umount")
    os.rmdir("/old")
    _set_attributes("/", _READ_ONLY | _NOSUID | _NODEV, 0)
    _mount("work", WORK, "tmpfs", _NOSUID | _NODEV, f"size={WORK_BYTES},nr_inodes=4096,mode=1777")
    os.umask(mask)


def give_up_rights() -> None:
    """Become nobody if this is root, and lose all capabilities for good; other processes cannot look into this one."""
    if os.geteuid() == 0:
        _become_nobody()
        _unshare_user(0)  # its processes are counted there alone
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _require(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _prctl(_SET_NO_NEW_PRIVS, 1)
    _libc.signal(2, 0)  # Python handles SIGINT; without a handler, others cannot send it to the first process
    _prctl(_SET_DUMPABLE, 0)


def filter_system_calls() -> None:
    """Let this process and its children make no system call of `_rules` any more."""
    program = b"".join(_rules(_machine()))
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    _prctl(_SET_DUMPABLE, 1)  # a program may look into itself
    _prctl(_SET_SECCOMP, 2, ctypes.c_char_p(head))


def die_with_parent() -> None:
    """Let the kernel kill this process when the thread that started it ends."""
    _prctl(_SET_PDEATHSIG, 9)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def _rules(machine: str) -> Iterator[bytes]:
    """The filter, as instructions of 8 bytes; see Documentation/userspace-api/seccomp_filter.rst."""
    denied = _RETURN, _ERRNO | _EPERM
    yield _step(_LOAD, _ARCH)
    yield from (_step(_JUMP_EQUAL, _AUDIT_ARCH[machine], 1, 0), _step(*denied))
    yield _step(_LOAD, _NUMBER)
    if machine == "x86_64":
        yield from (_step(_JUMP_AT_LEAST, _X32, 0, 1), _step(*denied))
    for table in (_DENIED, _DENIED_MOUNT, _DENIED_MEMORY):
        for number in table[machine]:
            yield from (_step(_JUMP_EQUAL, number, 0, 1), _step(*denied))
    for number in _DENIED_EVERYWHERE:
        yield from (_step(_JUMP_EQUAL, number, 0, 1), _step(*denied))
    yield from (_step(_JUMP_EQUAL, _CLONE3, 0, 1), _step(_RETURN, _ERRNO | _ENOSYS))  # libc then calls clone
    yield from (_step(_JUMP_EQUAL, _CLONE[machine], 0, 4), _step(_LOAD, _ARGUMENT))
    yield from (_step(_JUMP_BITS, _NEW_USER | _NAMESPACES, 0, 1), _step(*denied), _step(_RETURN, _ALLOW))
    yield from (_step(_JUMP_EQUAL, _SOCKET[machine], 0, 5), _step(_LOAD, _ARGUMENT))
    for left, family in zip((3, 2, 1), _FAMILIES, strict=True):
        yield _step(_JUMP_EQUAL, family, left, 0)
    yield from (_step(*denied), _step(_RETURN, _ALLOW))


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _machine() -> str:
    machine = os.uname().machine
    if machine not in _AUDIT_ARCH or sys.maxsize < 2**32:
        raise OSError(_ENOSYS, f"no filter of system calls for {machine}")
    return machine


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def _unshare_user(others: int) -> None:
    """Enter a user namespace in which only this user exists, and the namespaces of `others`."""
    user, group = os.geteuid(), os.getegid()
    _prctl(_SET_DUMPABLE, 1)  # otherwise a process that changed its user may not write its own maps
    _require(_libc.unshare(_NEW_USER | others), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _bind(path: str, attributes: int) -> None:
    """Show a file or folder of the old root at its path in the new one."""
    if os.path.isdir(f"/old{path}"):
        os.mkdir(path, 0o755)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o444))
    _mount(f"/old{path}", path, "", _BIND_RECURSIVE)
    _set_attributes(path, attributes, _AT_RECURSIVE)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    arguments = (os.fsencode(each) for each in (source, target, kind))
    _require(_libc.mount(*arguments, ctypes.c_ulong(flags), options.encode()), f"mount {target}")


def _set_attributes(path: str, attributes: int, flags: int) -> None:
    wanted = struct.pack("=4Q", attributes, 0, 0, 0)
    _require(_libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), flags, wanted, len(wanted)), "mount_setattr")


def _prctl(option: int, *arguments: object) -> None:
    _require(_libc.prctl(option, *arguments, *(0,) * (4 - len(arguments))), f"prctl {option}")


def _require(status: int, step: str) -> None:
    if status != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{step}: {os.strerror(error)}")
