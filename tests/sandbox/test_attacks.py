"""What generated code tries, in every way that this machine can confine it; docs/security.md has the list."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from diffucli.sandbox import Confinement, confinement, run_tests
from diffucli.sandbox.inside import jail as filters

from .conftest import missing, processes_with

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffucli.sandbox import Outcome

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="confinement is Linux's")

CALLS = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    return ctypes.get_errno() if libc.syscall(*arguments) == -1 else 0
"""
DAEMON = """
import os, subprocess, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", MARK], start_new_session=True)
        print("started", flush=True)
        os._exit(0)
    os._exit(0)
os.wait()
time.sleep(60)
"""


def attack(code: str, jail: Confinement, tests: str = "", **limits: float) -> Outcome:
    """How a program ends that is confined so."""
    return run_tests(textwrap.dedent(code), tests, confinement=jail, **limits)  # type: ignore[arg-type]


def says(code: str, jail: Confinement, **limits: float) -> str:
    """What a program prints that must reach its end."""
    outcome = attack(code, jail, **limits)
    assert outcome.ok, outcome
    return outcome.stdout.strip()


# Processes


def ways() -> list[Confinement]:
    """Those that this machine has."""
    found: list[Confinement] = ["bubblewrap", "namespaces", "none"]
    return [way for way in found if not missing(way)]


def test_a_daemon_does_not_outlive_the_limit(gone: Callable[[str], bool]) -> None:
    mark = f"mark-{os.getpid()}-limit"
    code = f"import ctypes; ctypes.CDLL(None).prctl(1, 0)\nMARK = {mark!r}\n{DAEMON}"
    with ThreadPoolExecutor() as pool:  # side by side, as each takes its time
        for outcome in pool.map(lambda way: attack(code, way, seconds=4.0), ways()):
            assert (outcome.reason, outcome.stdout) == ("timeout", "started\n"), outcome
    assert gone(mark)


def test_a_daemon_does_not_outlive_the_program(way: Confinement, gone: Callable[[str], bool]) -> None:
    mark = f"mark-{os.getpid()}-{way}"
    code = DAEMON.replace("os.wait()\ntime.sleep(60)", "time.sleep(0.2)")
    assert attack(f"MARK = {mark!r}\n{code}", way).ok
    assert gone(mark)


CALLER = """
import sys, threading
from pathlib import Path
from diffucli.sandbox import ShellCommands, run_tests
ways, mark, daemon = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
for way in ways:
    limits = {"confinement": way, "seconds": 60.0}
    threading.Thread(target=run_tests, args=(f"MARK = {mark!r}\\n{daemon}", ""), kwargs=limits).start()
command = f"setsid sh -c 'setsid sleep 61; : {mark}' & sleep 62; : {mark}"
threading.Thread(target=ShellCommands().run, args=(command, Path("/")), kwargs={"seconds": 60.0}).start()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_outlives_a_caller_that_a_signal_ends(
    number: signal.Signals, gone: Callable[[str], bool], tmp_path: Path
) -> None:
    mark = f"mark-{os.getpid()}-{number}"
    command = [
        sys.executable,
        "-c",
        CALLER,
        ",".join(ways()),
        f"{mark}-child",
        f"import ctypes; ctypes.CDLL(None).prctl(1, 0)\n{DAEMON}",
    ]
    caller = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)})
    limit = time.monotonic() + 60
    while (
        len(processes_with(f"time.sleep(60)\0{mark}-child")) < len(ways()) or len(processes_with("sleep\0" + "61")) < 1
    ):
        assert time.monotonic() < limit
        time.sleep(0.02)
    caller.send_signal(number)
    assert caller.wait(20) == -number
    assert gone(f"{mark}-child")
    assert gone("sleep\0" + "61")


def test_processes_and_threads_are_few(jail: Confinement) -> None:
    code = """
    import os, time
    count = 0
    try:
        while True:
            if os.fork() == 0: time.sleep(9)
            count += 1
    except OSError as error: print(type(error).__name__, 20 < count < 32)
    """
    assert says(code, jail) == "BlockingIOError True"


def test_a_fork_bomb_ends_with_the_limit(jail: Confinement) -> None:
    code = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert attack(code, jail, seconds=0.3).reason == "timeout"
    assert attack("", jail).ok


def test_signals_that_are_ignored_do_not_help(way: Confinement) -> None:
    code = """
    import signal
    for number in signal.valid_signals():
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    while True: pass
    """
    assert attack(code, way, seconds=0.3).reason == "timeout"


def test_the_keeper_cannot_be_reached(jail: Confinement) -> None:
    code = f"""{CALLS}
print(os.getppid())
for number in range(1, 65): os.kill(1, number)
for name in ("mem", "environ", "maps"):
    try: open(f"/proc/1/{{name}}").read()
    except PermissionError: print(name)
print(os.listdir("/proc/1/fd") if os.access("/proc/1/fd", os.R_OK) else "fd")
"""
    assert says(code, jail).split() == ["1", "mem", "environ", "maps", "fd"]


def test_processes_of_the_machine_are_not_seen(jail: Confinement) -> None:
    own, other = says(
        "import os; print(*(n for n in os.listdir('/proc') if n.isdigit())); print(os.getpid())", jail
    ).split("\n")
    assert set(own.split()) == {"1", other}
    assert other != str(os.getpid())


# Memory


def test_the_memory_of_all_processes_together_is_bounded(jail: Confinement) -> None:
    code = """
    import os, time
    for _ in range(8):
        if os.fork() == 0:
            held = bytearray(b"x") * (48 * 2**20)
            time.sleep(30)
    time.sleep(30)
    """
    assert attack(code, jail, memory=2**28, seconds=20.0).reason == "memory"


def test_memory_of_no_process_is_refused(jail: Confinement) -> None:
    code = """
    import os
    try: os.memfd_create("x")
    except PermissionError: print("refused")
    """
    assert says(code, jail) == "refused"


def test_many_empty_files_are_refused_by_namespaces() -> None:
    if reason := missing("namespaces"):
        pytest.skip(reason)
    code = "for i in range(5000): open(str(i), 'w').close()"
    assert "No space left" in attack(code, "namespaces").stderr


def test_the_folder_is_bounded(jail: Confinement) -> None:
    code = "for i in range(9):\n    with open(str(i), 'wb') as f: f.write(bytes(15 * 2**20))"
    assert "No space left" in attack(code, jail).stderr


# Rights


def test_every_call_of_the_filter_is_refused(jail: Confinement) -> None:
    machine = os.uname().machine
    tables = (filters._DENIED, filters._DENIED_MOUNT, filters._DENIED_MEMORY)
    numbers = [*filters._DENIED_EVERYWHERE, *(number for table in tables for number in table[machine])]
    assert len(set(numbers)) == len(numbers) > 30
    found = says(f"{CALLS}\nprint(*(call(n, 0, 0, 0, 0, 0, 0) for n in {numbers}))", jail)
    assert set(found.split()) == {"1"}


def verdict(machine: str, number: int, argument: int = 0, arch: int | None = None) -> int:
    """What the filter of a machine returns for a system call, computed as the kernel does."""
    program = [struct.unpack("=HBBI", step) for step in filters._rules(machine)]
    call = {filters._NUMBER: number, filters._ARGUMENT: argument}
    call[filters._ARCH] = filters._AUDIT_ARCH[machine] if arch is None else arch
    tests = {
        filters._JUMP_EQUAL: int.__eq__,
        filters._JUMP_AT_LEAST: int.__ge__,
        filters._JUMP_BITS: lambda value, bits: bool(value & bits),
    }
    place = value = 0
    while True:
        code, if_true, if_false, operand = program[place]
        place += 1
        if code == filters._RETURN:
            return operand
        if code == filters._LOAD:
            value = call[operand]
        else:
            place += if_true if tests[code](value, operand) else if_false


@pytest.mark.parametrize(
    ("machine", "numbers"), [("x86_64", (272, 319, 56, 41, 0)), ("aarch64", (97, 279, 220, 198, 63))]
)
def test_the_filter_of_each_machine(machine: str, numbers: tuple[int, ...]) -> None:
    unshare, memfd, clone, socket_, read = numbers
    allowed, refused = filters._ALLOW, filters._ERRNO | filters._EPERM
    assert verdict(machine, read) == allowed
    assert verdict(machine, read, arch=0x40000003) == refused, "the calls of another machine"
    assert {verdict(machine, number) for number in (unshare, memfd, 425, 442, 447)} == {refused}
    assert verdict(machine, 435) == filters._ERRNO | filters._ENOSYS
    assert (verdict(machine, clone, 17), verdict(machine, clone, 17 | 0x10000000)) == (allowed, refused)
    assert [verdict(machine, socket_, family) for family in (1, 2, 10)] == [allowed] * 3
    assert [verdict(machine, socket_, family) for family in (0, 16, 38, 40)] == [refused] * 4


def test_no_namespace_can_be_made(jail: Confinement) -> None:
    number = filters._CLONE[os.uname().machine]
    code = f"""{CALLS}
print([libc.unshare(flag) for flag in (0x10000000, 0x20000, 0x40000000)])
print([call({number}, flag | 17, 0, 0, 0, 0) for flag in (0x10000000, 0x20000000, 0x40000000)], call(435, 0, 0))
"""
    assert says(code, jail) == "[-1, -1, -1]\n[1, 1, 1] 38"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86_64 has a second table of system calls")
def test_the_second_table_of_system_calls_is_closed(jail: Confinement) -> None:
    assert says(f"{CALLS}\nprint(call(0x40000000 + 39), call(0x40000000 + 319, b'x', 0))", jail) == "1 1"


def test_the_program_has_no_capability_and_cannot_become_root(jail: Confinement) -> None:
    code = """
    import os
    lines = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    print(lines["CapEff"], lines["CapPrm"], lines["NoNewPrivs"], lines["Seccomp"], os.getuid() == 0)
    try: os.setuid(0)
    except OSError: print("refused")
    """
    assert says(code, jail).split() == ["0" * 16, "0" * 16, "1", "2", "False", "refused"]


@pytest.mark.skipif(os.geteuid() != 0, reason="for root")
def test_a_program_of_root_becomes_nobody_also_if_nobody_cannot_reach_the_interpreter(jail: Confinement) -> None:
    assert (
        says("import os; print(os.getresuid(), os.getresgid(), os.getgroups())", jail)
        == f"{(65534,) * 3} {(65534,) * 3} []"
    )


# Network


def test_the_network_is_out_of_reach(jail: Confinement) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0diffu-{os.getpid()}")
        abstract.listen()
        server.settimeout(0.2)
        code = f"""
        import socket
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", {server.getsockname()[1]})),
            (socket.AF_INET, ("192.0.2.1", 9)),
            (socket.AF_UNIX, "\\0diffu-{os.getpid()}"),
        ):
            with socket.socket(family) as client:
                try: client.connect(address)
                except OSError: print("refused")
        """
        assert says(code, jail).split() == ["refused"] * 3
        with pytest.raises(TimeoutError):
            server.accept()


def test_other_families_of_sockets_are_refused_and_local_pairs_are_not(jail: Confinement) -> None:
    code = """
    import asyncio, socket
    for family in (16, 17, 38, 40):  # netlink, packet, alg, vsock
        try: socket.socket(family, socket.SOCK_DGRAM)
        except PermissionError: print("refused")
    asyncio.run(asyncio.sleep(0))
    """
    assert says(code, jail).split() == ["refused"] * 4


# Files

WRITES = {
    "open": "open(path, 'w')",
    "os.open": "os.open(path, os.O_CREAT | os.O_WRONLY)",
    "append": "open(kept, 'a')",
    "sqlite3": "sqlite3.connect(path).execute('create table a (b)')",
    "mkfifo": "os.mkfifo(path)",
    "mknod": "os.mknod(path)",
    "mkdir": "os.mkdir(path)",
    "dir_fd": "os.open('new', os.O_CREAT | os.O_WRONLY, dir_fd=os.open(folder, os.O_RDONLY))",
    "dir_fd of rename": "os.rename('a', 'new', dst_dir_fd=os.open(folder, os.O_RDONLY))",
    "symlink": "os.symlink(folder, 'out'); open('out/new', 'w')",
    "link": "os.link('a', path)",
    "rename": "os.rename('a', path)",
    "remove": "os.remove(kept)",
    "truncate": "os.truncate(kept, 0)",
    "chmod": "os.chmod(kept, 0)",
    "utime": "os.utime(kept, (0, 0))",
    "chroot": "os.chroot(folder)",
    "shell": "subprocess.run(['sh', '-c', f'echo > {path}'], check=True)",
    "socket": "socket.socket(socket.AF_UNIX).bind(path)",
    "mmap": "mmap.mmap(os.open(kept, os.O_RDWR), 1)",
}


def test_nothing_can_be_written_outside_of_the_folder(jail: Confinement, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    kept, system = tmp_path / "kept", Path(os.__file__)
    kept.write_text("1")
    kept.chmod(0o666)
    before = system.stat()
    places = [(str(tmp_path), str(kept)), (str(system.parent), str(system)), ("/", "/usr"), ("/dev", "/dev/null/x")]
    code = f"""
import mmap, os, socket, sqlite3, subprocess
open("a", "w").close()
for folder, kept in {places!r}:
    path = folder + "/new"
    for name, text in {WRITES!r}.items():
        try: exec(text)
        except (OSError, sqlite3.Error, subprocess.SubprocessError): continue
        finally:
            if os.path.islink("out"): os.remove("out")
        print(folder, name)
"""
    assert says(code, jail) == ""
    assert [path.name for path in tmp_path.iterdir() if not path.is_dir()] == ["kept"]
    assert kept.read_text() == "1"
    assert (system.stat().st_mode, system.stat().st_mtime) == (before.st_mode, before.st_mtime)


@pytest.mark.skipif(not os.access("/usr/share", os.W_OK), reason="for root")
def test_what_is_shown_is_read_only_for_those_who_may_write_it(jail: Confinement) -> None:
    shown = Path(tempfile.mkdtemp(dir="/usr/share"))
    try:
        shown.chmod(0o777)
        code = f"""
        import os
        print(os.access({str(shown)!r}, os.R_OK | os.X_OK))
        try: open({str(shown / "new")!r}, "w")
        except OSError as error: print(error.strerror)
        """
        assert says(code, jail) == "True\nRead-only file system"
    finally:
        shown.rmdir()


def test_the_users_files_are_not_seen(jail: Confinement, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    paths = (str(tmp_path), __file__, "/etc/passwd", "/etc/shadow", "/run", "/sys", "/var", "/proc/1/root/etc")
    code = f"""
    import os
    print(*sorted(os.listdir("/")))
    print(*sorted(os.listdir("/dev")))
    print("seen:", *(path for path in {paths!r} if os.path.exists(path)))
    print("home:", *(os.listdir({str(Path.home())!r}) if os.path.exists({str(Path.home())!r}) else ()))
    """
    root, devices, seen, home = says(code, jail).split("\n")
    top = {path.split("/")[1] for _, path, *_ in confinement.root_plan()}
    assert set(root.split()) == top | {"proc", "sandbox"}
    assert devices.split() == ["fd", "full", "null", "random", "shm", "urandom", "zero"]
    assert seen == "seen:"
    assert len(home.split()) <= 2, "at most the way to the interpreter"


def test_a_program_that_removes_its_folder_is_judged_all_the_same(way: Confinement) -> None:
    code = """
    import os, shutil
    shutil.rmtree(os.getcwd(), ignore_errors=True)
    def f(x): return x
    """
    assert attack(code, way, "assert candidate(1) == 1").ok
    assert attack(code, way, "assert candidate(1) == 2").reason == "error"


# The verdict

FORGERIES = {
    "exit": "sys.exit(0)",
    "os._exit": "os._exit(0)",
    "atexit": "import atexit; atexit.register(os._exit, 0); sys.exit(0)",
    "thread": "import threading; threading.Timer(0.05, os._exit, (0,)).start(); import time; time.sleep(9)",
    "closed descriptors": "os.closerange(3, 64); sys.exit(0)",
    "every descriptor written to": """
for fd in range(3, 64):
    for text in (b"end", b"ok", b"passed", bytes(16), __import__("marshal").dumps(("ended", 0, True))):
        try: os.write(fd, text)
        except OSError: pass
os._exit(0)
""",
    "all that is found written to every descriptor": """
import gc
found, frame = set(), sys._getframe()
while frame:
    found |= {value for value in (*frame.f_locals.values(), *frame.f_globals.values()) if type(value) in (str, bytes)}
    frame = frame.f_back
held = [value for thing in gc.get_objects() if type(thing) in (tuple, list) for value in thing]
found |= {value for value in held if type(value) in (str, bytes)}
texts = [value.encode("utf-8", "replace") if type(value) is str else value for value in found if 2 < len(value) < 100]
for fd in range(3, 10):
    os.set_blocking(fd, False) if os.path.exists(f"/proc/self/fd/{fd}") else None
    for text in texts:
        try: os.write(fd, text)
        except OSError: pass
os._exit(0)
""",
    "exec replaced": "import builtins; builtins.exec = builtins.compile = lambda *_, **__: None\ndef f(): pass",
    "os.write replaced": "real = os.write; os.write = lambda fd, data: real(fd, b'end'); sys.exit(0)",
    "excepthook replaced": "sys.excepthook = sys.__excepthook__ = lambda *_: os._exit(0)\ndef f(): pass",
    "stdout replaced": "sys.stdout = sys.stderr = None\ndef f(): pass",
}


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_program_does_not_pass_a_test_that_fails(way: Confinement, code: str) -> None:
    outcome = attack(f"import os, sys\n{code}", way, "assert False")
    assert outcome.reason in {"error", "exit", "memory"}, outcome


def test_the_callers_environment_is_not_seen(way: Confinement, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFU_SECRET", "hunter2")
    found = says("import os; print(*os.environ); print(open('/proc/self/environ').read())", way)
    assert "DIFFU_SECRET" not in found
    assert set(found.split("\n")[0].split()) <= {"HOME", "TMPDIR", "MALLOC_ARENA_MAX", "LC_CTYPE", "PWD"}


def test_the_callers_environment_cannot_be_read_from_proc(jail: Confinement) -> None:
    assert attack(f"open('/proc/{os.getpid()}/environ').read()", jail).reason == "error"


def test_endless_output_is_cut(way: Confinement) -> None:
    outcome = attack("import os\nwhile True: os.write(1, b'x' * 10**6)", way, seconds=0.3)
    assert (outcome.reason, len(outcome.stdout)) == ("timeout", 65_536)
