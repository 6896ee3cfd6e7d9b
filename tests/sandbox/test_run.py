"""How a run is reported and bounded, in each way of confinement; what code tries against it is in test_attacks.py."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from diffucli import sandbox
from diffucli.errors import UsageError
from diffucli.sandbox import Confinement, Outcome, confinement, run, run_tests
from diffucli.sandbox.inside import keeper, worker
from diffucli.sandbox.run import strongest

from .conftest import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(sandbox.__file__).parents[2]


def outcome_of(code: str, way: Confinement, **limits: Any) -> Outcome:
    """How a program ends that has no tests."""
    return run_tests(code, "", confinement=way, **limits)


def test_both_streams_are_told_and_stdin_is_empty(way: Confinement) -> None:
    outcome = outcome_of("import sys\nprint('wörld', repr(sys.stdin.read()))\nprint(1, file=sys.stderr)", way)
    assert (outcome.reason, outcome.stdout, outcome.stderr) == ("ok", "wörld ''\n", "1\n")
    assert outcome.ok
    assert outcome.confinement == way


def test_code_larger_than_a_pipe_is_sent_whole(way: Confinement) -> None:
    assert outcome_of("x = '" + "a" * 10**6 + "'\nprint(len(x))", way).stdout == "1000000\n"


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
        ("import ctypes; ctypes.string_at(0)", "error"),
        ("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\nassert __name__ == 'candidate'", "ok"),
        ("import asyncio, json, re, uuid, typing, collections, unittest\nasyncio.run(asyncio.sleep(0))", "ok"),
        ("import multiprocessing as m\nwith m.Pool(2) as p: assert p.map(abs, [-1, 2]) == [1, 2]", "ok"),
        ("import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import json'], check=True)", "ok"),
        ("import hashlib, random, secrets, ssl, time, zoneinfo\ntime.localtime(); secrets.token_hex()", "ok"),
    ],
)
def test_how_a_program_ends_is_the_reason(way: Confinement, code: str, reason: str) -> None:
    outcome = outcome_of(code, way)
    assert outcome.reason == reason, outcome.stderr


def test_a_traceback_shows_the_programs_lines_and_none_of_ours(way: Confinement) -> None:
    lines = outcome_of("def f():\n    return 1 / 0\nf()", way).stderr.splitlines()
    assert lines[1] == '  File "program.py", line 3, in <module>'
    assert "    return 1 / 0" in lines
    assert lines[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(60)"])
def test_what_does_not_end_is_stopped_at_the_limit(way: Confinement, code: str) -> None:
    assert outcome_of(code, way, seconds=0.25).reason == "timeout"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's address space")
@pytest.mark.parametrize("code", ["x = bytearray(2**30)", "x = []\nwhile True: x.append(bytearray(2**24))"])
def test_memory_is_bounded(way: Confinement, code: str) -> None:
    assert outcome_of(code, way, memory=2**27).reason == "memory"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's address space")
def test_half_a_gibibyte_is_there_by_default(way: Confinement) -> None:
    assert outcome_of("x = bytearray(3 * 2**27)", way).ok
    assert outcome_of("x = bytearray(2**29)", way).reason == "memory"


def test_long_output_is_cut_and_does_not_stop_the_program(way: Confinement) -> None:
    code = "import sys\nfor _ in range(20): print('x' * 10**5)\nprint('y' * 10**6, file=sys.stderr)"
    outcome = outcome_of(code, way)
    assert outcome.ok
    assert len(outcome.stdout) == len(outcome.stderr) == 65_536


def test_a_huge_file_is_refused(way: Confinement) -> None:
    outcome = outcome_of("with open('a', 'wb') as f:\n    while True: f.write(bytes(2**22))", way)
    assert outcome.reason == "error"
    assert "OSError" in outcome.stderr


def test_the_program_may_use_its_folder(way: Confinement) -> None:
    code = (
        "import os, tempfile, pathlib\n"
        "with tempfile.TemporaryDirectory() as d:\n    pathlib.Path(d, 'x').write_text('1')\n"
        "os.mkdir('a'); open('a/b', 'w').close(); os.rename('a/b', 'c'); os.remove('c'); os.rmdir('a')\n"
        "assert os.path.expanduser('~') == os.getcwd() == tempfile.gettempdir(), os.environ\n"
    )
    outcome = outcome_of(code, way)
    assert outcome.ok, outcome.stderr


def test_the_folder_is_removed_afterwards(way: Confinement) -> None:
    folder = Path(outcome_of("import os; open('left', 'w').write('1'); print(os.getcwd())", way).stdout.strip())
    assert folder.is_absolute()
    assert not folder.exists()


def test_threads_may_be_started(way: Confinement) -> None:
    code = "from concurrent.futures import ThreadPoolExecutor as T\nwith T(16) as t: print(sum(t.map(abs, range(99))))"
    assert outcome_of(code, way).stdout == "4851\n"


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
def test_tests_pass_only_if_they_reach_their_end(way: Confinement, code: str, tests: str, reason: str) -> None:
    outcome = run_tests(code, tests, confinement=way)
    assert outcome.reason == reason, outcome.stderr


@pytest.mark.parametrize(
    ("how", "status", "finished", "reason"),
    [
        (keeper.ENDED, 0, True, "ok"),
        (keeper.ENDED, 0, False, "exit"),
        (keeper.ENDED, 1, True, "error"),
        (keeper.ENDED, 1, False, "error"),
        (keeper.ENDED, -signal.SIGSEGV, False, "error"),
        (keeper.ENDED, -signal.SIGKILL, False, "memory"),
        (keeper.ENDED, -signal.SIGXCPU, False, "timeout"),
        (keeper.MEMORY, 1, False, "memory"),
        (keeper.TIMEOUT, -signal.SIGKILL, False, "timeout"),
        (keeper.TIMEOUT, -signal.SIGKILL, True, "timeout"),
    ],
)
def test_a_report_is_a_reason(how: str, status: int, finished: bool, reason: str) -> None:
    assert run._reason(how, status, finished=finished) == reason


def test_where_no_process_can_be_started_a_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "python", lambda: ["/nonexistent/python"])
    with pytest.raises(UsageError, match="cannot start: No such file or directory"):
        outcome_of("", "none")


@pytest.fixture
def nothing_confines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without bubblewrap on which no root can be made."""
    monkeypatch.setattr(confinement.shutil, "which", lambda _: None)
    monkeypatch.setattr(run, "root_plan", lambda: [("bind", "/nonexistent")])
    monkeypatch.setattr(run, "strongest", strongest)
    for each in (strongest, confinement.bubblewrap):
        each.cache_clear()
    yield
    for each in (strongest, confinement.bubblewrap):
        each.cache_clear()


@pytest.mark.usefixtures("nothing_confines")
def test_where_nothing_confines_code_is_refused_and_the_reasons_and_the_remedy_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        run_tests(f"open({str(tmp_path / 'ran')!r}, 'w')", "")
    assert refusal.value.message.startswith("generated code cannot be confined here (bubblewrap: ")
    assert "bubblewrap is not installed; namespaces: " in refusal.value.message
    assert "--unconfined" in refusal.value.hint
    assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("nothing_confines")
def test_code_runs_unconfined_only_if_that_is_asked_for() -> None:
    assert run_tests("", "", confinement="none").confinement == "none"


def test_the_strongest_way_is_the_first_that_works() -> None:
    ways = [way for way in ("bubblewrap", "namespaces") if not missing(way)]
    if not ways:
        pytest.skip(f"nothing confines code here: {missing('namespaces')}")
    assert strongest() == ways[0]
    assert run_tests("", "").confinement == ways[0]


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
def test_where_the_system_makes_namespaces_they_confine() -> None:
    unshare = shutil.which("unshare")
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    spaces = [unshare or "", *user, "--mount", "--pid", "--net", "--fork"]
    if unshare is None or subprocess.run([*spaces, "mount", "-t", "tmpfs", "none", "/tmp"], check=False).returncode:
        pytest.skip("this system makes no namespaces")
    assert missing("namespaces") == ""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can become another user")
def test_a_program_of_an_ordinary_user_is_confined_too() -> None:
    python = shutil.which("python3", path="/usr/bin")
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    start = f"import sys; sys.path.append({str(SOURCE)!r}); from diffucli.sandbox import run_tests"
    code = (
        "import os\nprint(os.getuid(), [path for path in ('/home', '/etc/passwd') if os.path.exists(path)])\n"
        "for folder in ('/', '/dev', '/etc', '/proc/self'):\n"
        "    try: open(f'{folder}/new', 'w')\n"
        "    except OSError: continue\n"
        "    print('written', folder)\n"
    )
    runs = f"for way in sys.argv[1:]: print(run_tests({code!r}, '', confinement=way).stdout, end='')"
    if not python or not shutil.which("setpriv"):
        pytest.skip("there is no Python that nobody may run")
    if subprocess.run([*nobody, python, "-c", start], check=False).returncode or missing("namespaces"):
        pytest.skip("nobody may not read the source, or there are no namespaces")
    ways = [way for way in ("bubblewrap", "namespaces") if not missing(way)]
    command = [*nobody, python, "-c", f"{start}\n{runs}", *ways]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.stdout.splitlines() == ["65534 []"] * len(ways), done.stderr


def test_limits_that_the_system_refuses_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    set_to: list[tuple[int, int]] = []

    def refusing(kind: int, limits: tuple[int, int]) -> None:
        if kind == resource.RLIMIT_AS:
            raise ValueError
        set_to.append((kind, limits[0]))

    monkeypatch.setattr(resource, "setrlimit", refusing)
    worker.limit(3.5, 2**29, count_processes=False)
    assert (resource.RLIMIT_CPU, 5) in set_to
    assert {resource.RLIMIT_CORE, resource.RLIMIT_FSIZE} <= {kind for kind, _ in set_to}
    assert resource.RLIMIT_NPROC not in {kind for kind, _ in set_to}


def test_the_root_of_a_sandbox_is_the_interpreter_and_the_libraries_alone() -> None:
    plan = confinement.root_plan()
    bound = [entry[1] for entry in plan if entry[0] == "bind"]
    assert any(Path(os.__file__).is_relative_to(path) for path in bound)
    assert any(Path(confinement.python()[0]).is_relative_to(path) for path in bound)
    assert str(SOURCE) not in bound
    assert not [path for path in bound if Path.home().is_relative_to(path)]
    seen: set[str] = {"/"}
    for kind, path, *_ in plan:
        assert str(Path(path).parent) in seen, "what a path lies in comes before it"
        seen |= {path} if kind == "folder" else set()


def test_the_limit_holds_if_the_keeper_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "python", lambda: [sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    monkeypatch.setattr("diffucli.sandbox.start._GRACE", 0.1)
    assert outcome_of("", "none", seconds=0.1).reason == "memory"


def test_the_package_offers_what_it_has() -> None:
    names = ["DESCRIPTIONS", "Confinement", "Ended", "Outcome", "ShellCommands", "run_tests", "scratch", "strongest"]
    assert sandbox.__all__ == names
