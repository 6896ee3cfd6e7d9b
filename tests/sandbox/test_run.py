"""What untrusted code can and cannot do, with namespaces and without; how a run is reported."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from diffucli import sandbox
from diffucli.errors import UsageError
from diffucli.sandbox import Outcome, run, run_tests


def outcome_of(code: str, **limits: Any) -> Outcome:
    """How a program ends that has no tests."""
    return run_tests(code, "", **limits)


CONFINED = outcome_of("").confined
posix = pytest.mark.skipif(os.name != "posix", reason="limits and process groups are POSIX")


@pytest.fixture(params=["namespaces", "hook"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Each kind of confinement: the system's own, and the audit hook that stands in where it has none."""
    if request.param == "namespaces" and not CONFINED:
        pytest.skip("this system allows no user namespaces")
    if request.param == "hook":
        child = tmp_path / "child_without_namespaces.py"
        folder = str(Path(sandbox.__file__).parent)
        child.write_text(
            f"import sys\nsys.path.insert(0, {folder!r})\nimport child\nsys.path.pop(0)\n"
            "child._confine = lambda work: False\nsys.exit(child.main())\n"
        )
        monkeypatch.setattr(run, "_CHILD", child)
    return str(request.param)


def processes_with(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_both_streams_are_told_and_stdin_is_empty(kind: str) -> None:
    outcome = outcome_of("import sys\nprint('wörld', repr(sys.stdin.read()))\nprint(1, file=sys.stderr)")
    assert (outcome.reason, outcome.stdout, outcome.stderr) == ("ok", "wörld ''\n", "1\n")
    assert outcome.ok
    assert outcome.confined == (kind == "namespaces")


def test_code_larger_than_a_pipe_is_sent_whole(kind: str) -> None:
    assert outcome_of("x = '" + "a" * 10**6 + "'\nprint(len(x))").stdout == "1000000\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "ok"),
        ("import sys; sys.exit(0)", "exit"),
        ("import sys; sys.exit(3)", "error"),
        ("1 / 0", "error"),
        ("x = (", "error"),
        ("x = '\\0'", "ok"),
        ("x = 1\0", "error"),
        ("import numpy", "error"),
        ("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\nassert __name__ == 'candidate'", "ok"),
        ("import asyncio, json, re, uuid, typing, collections, unittest\nasyncio.run(asyncio.sleep(0))", "ok"),
    ],
)
def test_how_a_program_ends_is_the_reason(kind: str, code: str, reason: str) -> None:
    outcome = outcome_of(code)
    assert outcome.reason == reason, outcome.stderr


def test_a_traceback_shows_the_programs_lines_and_none_of_ours(kind: str) -> None:
    lines = outcome_of("def f():\n    return 1 / 0\nf()").stderr.splitlines()
    assert lines[1] == '  File "program.py", line 3, in <module>'
    assert "    return 1 / 0" in lines
    assert lines[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    "code", ["while True: pass", "import time; time.sleep(60)", "try: input()\nexcept EOFError: pass\nwhile True: pass"]
)
def test_what_does_not_end_is_stopped_at_the_limit(kind: str, code: str) -> None:
    began = time.monotonic()
    assert outcome_of(code, seconds=0.25).reason == "timeout"
    assert time.monotonic() - began < 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's address space")
@pytest.mark.parametrize("code", ["x = bytearray(2**30)", "x = []\nwhile True: x.append(bytearray(2**24))"])
def test_memory_is_bounded(kind: str, code: str) -> None:
    assert outcome_of(code, memory=2**27).reason == "memory"


def test_endless_output_is_cut_and_does_not_stop_the_program(kind: str) -> None:
    outcome = outcome_of("import sys\nfor _ in range(20): print('x' * 10**5)\nprint('y' * 10**6, file=sys.stderr)")
    assert outcome.ok
    assert len(outcome.stdout) == len(outcome.stderr) == 65_536


@posix
def test_a_huge_file_is_refused(kind: str) -> None:
    outcome = outcome_of("with open('a', 'wb') as f:\n    while True: f.write(bytes(2**22))")
    assert outcome.reason == "error"
    assert "OSError" in outcome.stderr


@pytest.mark.skipif(not CONFINED, reason="the folder lies in memory only with namespaces")
def test_many_large_files_are_refused() -> None:
    outcome = outcome_of("for i in range(9):\n    with open(str(i), 'wb') as f: f.write(bytes(15 * 2**20))")
    assert "No space left" in outcome.stderr


def test_the_program_may_use_its_folder(kind: str) -> None:
    code = (
        "import os, tempfile, pathlib\n"
        "with tempfile.TemporaryDirectory() as d:\n    pathlib.Path(d, 'x').write_text('1')\n"
        "os.mkdir('a'); open('a/b', 'w').close(); os.rename('a/b', 'c'); os.remove('c'); os.rmdir('a')\n"
        "assert os.path.expanduser('~') == os.getcwd() == tempfile.gettempdir(), os.environ\n"
    )
    outcome = outcome_of(code)
    assert outcome.ok, outcome.stderr


def test_the_folder_is_removed_afterwards(kind: str) -> None:
    folder = Path(outcome_of("import os; open('left', 'w').write('1'); print(os.getcwd())").stdout.strip())
    assert folder.name == "work"
    assert not folder.exists()
    assert not folder.parent.exists()


def test_nothing_outside_the_folder_can_be_written_or_removed(kind: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    kept = tmp_path / "kept"
    kept.write_text("1")
    kept.chmod(0o666)
    for attempt in ("open({0!r}, 'w')", "open({0!r} + '2', 'w')", "os.remove({0!r})", "os.rename({0!r}, 'x')"):
        outcome = outcome_of(f"import os\n{attempt.format(str(kept))}")
        assert outcome.reason == "error"
        assert "Error" in outcome.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("kept")] == ["kept"]
    assert kept.read_text() == "1"


def test_the_callers_environment_is_not_seen(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFU_SECRET", "hunter2")
    names = outcome_of("import os; print(*os.environ)").stdout.split()
    assert "DIFFU_SECRET" not in names
    assert set(names) <= {"HOME", "TMPDIR", "MALLOC_ARENA_MAX", "LC_CTYPE", "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE"}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.skipif(not CONFINED, reason="only namespaces hide other processes")
def test_the_callers_environment_cannot_be_read_from_proc() -> None:
    assert outcome_of(f"open('/proc/{os.getpid()}/environ').read()").reason == "error"


def test_the_network_is_out_of_reach(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        outcome = outcome_of(f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)")
        assert outcome.reason == "error"
        with pytest.raises(TimeoutError):
            server.accept()


@posix
def test_no_process_outlives_the_run(kind: str) -> None:
    mark = f"mark-{os.getpid()}-{kind}"
    code = (
        "import os, subprocess, sys, time\n"
        f"child = [sys.executable, '-c', 'import time; time.sleep(30)', {mark!r}]\n"
        "try:\n    subprocess.Popen(child, start_new_session=True)\n    os.setsid()\n"
        "except PermissionError as e:\n    print('refused', e, flush=True)\n"
        "else:\n    print('started', flush=True)\n"
        "time.sleep(30)"
    )
    began = time.monotonic()
    outcome = outcome_of(code, seconds=0.5)
    assert outcome.reason == "timeout", outcome.stderr
    assert outcome.stdout.split()[0] in {"started", "refused"}
    assert time.monotonic() - began < 3
    assert processes_with(mark) == []


@posix
def test_a_fork_bomb_ends_with_the_run(kind: str) -> None:
    code = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    began = time.monotonic()
    assert outcome_of(code, seconds=0.3).reason == "timeout"
    assert time.monotonic() - began < 3
    assert outcome_of("").ok


def test_threads_may_be_started(kind: str) -> None:
    code = "from concurrent.futures import ThreadPoolExecutor as T\nwith T(16) as t: print(sum(t.map(abs, range(99))))"
    assert outcome_of(code).stdout == "4851\n"


@pytest.mark.parametrize(
    ("code", "tests", "reason"),
    [
        ("def f(x): return x", "assert candidate(1) == 1 and candidate is f", "ok"),
        ("def g(x): return 0\nclass K: pass\ndef f(x): return x\ny = 1", "assert candidate(1) == 1", "ok"),
        ("async def f(): return 2", "import asyncio\nassert asyncio.run(candidate()) == 2", "ok"),
        ("x = 3", "assert x == 3 and 'candidate' not in globals()", "ok"),
        ("def f(x): return x\nif __name__ == '__main__': input()", "assert f(1)", "ok"),
        ("from __future__ import annotations\ndef f(x: y): ...", "def g(x: int): ...", "ok"),
        ("def f(x): return x", "assert candidate(1) == 2", "error"),
        ("def f(x): return", "candidate(", "error"),
        ("import sys\nsys.exit(0)\ndef f(x): return x", "assert candidate(1) == 2", "exit"),
        ("import os\ndef f(x): os._exit(0)", "assert candidate(1) == 2", "exit"),
        ("raise SystemExit", "assert False", "exit"),
        ("def f(x): raise SystemExit(1)", "candidate(1)", "error"),
        ("def f(x): return [0] * 10**10", "candidate(1)", "memory"),
        ("import threading\ndef f(x): raise KeyboardInterrupt", "candidate(1)", "error"),
    ],
)
def test_tests_pass_only_if_they_reach_their_end(kind: str, code: str, tests: str, reason: str) -> None:
    outcome = run_tests(code, tests)
    assert outcome.reason == reason, outcome.stderr


def test_a_program_cannot_pass_by_printing() -> None:
    assert run_tests("print('ok'); print('memory')\nimport sys; sys.exit(0)", "assert 0").reason == "exit"


@pytest.mark.parametrize(
    ("status", "finished", "memory", "reason"),
    [
        (0, True, False, "ok"),
        (0, False, False, "exit"),
        (1, True, False, "error"),
        (1, False, False, "error"),
        (-11, False, False, "error"),
        (139, False, False, "error"),
        (1, False, True, "memory"),
        (-9, False, False, "memory"),
        (137, False, False, "memory"),
        (-24, False, False, "timeout"),
        (152, False, False, "timeout"),
    ],
)
def test_a_status_is_a_reason(status: int, finished: bool, memory: bool, reason: str) -> None:
    assert run._reason(status, finished=finished, memory=memory) == reason


def test_where_no_process_can_be_started_a_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.sys, "executable", "/nonexistent/python")
    with pytest.raises(UsageError, match="cannot start Python to run code in: No such file") as refusal:
        outcome_of("")
    assert refusal.value.hint == "free processes or memory"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's address space")
def test_half_a_gibibyte_is_there_by_default() -> None:
    assert outcome_of("x = bytearray(3 * 2**27)").ok
    assert outcome_of("x = bytearray(2**29)").reason == "memory"


def test_the_package_offers_the_run_and_its_outcome() -> None:
    assert sandbox.__all__ == ["Ended", "Outcome", "ShellCommands", "run_tests"]


def test_a_run_costs_little_more_than_starting_python() -> None:
    assert min(outcome_of("").seconds for _ in range(5)) < 0.5
