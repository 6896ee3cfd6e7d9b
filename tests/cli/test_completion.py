"""What shells complete: asked as their scripts ask, and in the shells that are installed."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from diffucli.cli.completion import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Diffu

APP = "class Cfg:\n    def load(self):\n        pass\n\n\ndef largest(numbers):\n    return 1\n"
SYMBOLS = ["Cfg", "Cfg.load", "largest"]
FINDERS = [":todo", ":marks", ":errors"]


@pytest.fixture
def asked(diffu: Diffu, monkeypatch) -> Callable[..., list[str]]:
    """Asks as a shell does, with the words of the line, of which the last is not complete."""
    Path("app.py").write_text(APP)

    def ask(*words: str, shell: str = "fish") -> list[str]:
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv(VARIABLE, f"complete_{shell}")
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", " ".join(["diffu", *words]))
        monkeypatch.setenv("_TYPER_COMPLETE_WORD_TO_COMPLETE", words[-1])
        monkeypatch.setenv("COMP_WORDS", "\n".join(["diffu", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        done = diffu()
        assert (done.code, done.err) == (0, "")
        return done.out.decode().split("\n")[:-1]

    return ask


def words(lines: list[str]) -> list[str]:
    """What fish is told, without the help."""
    return [line.partition("\t")[0] for line in lines if line]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["fi"], ["fill"]),
        (["bench", "sp"], ["speed"]),
        (["fill", "--preset", "fa"], ["fast", "factor"]),
        (["gen", "--stri"], ["--strict"]),
        (["fill", "--reg"], ["--region"]),
        (["check", "-l", "java"], ["javascript", "java"]),
        (["gen", "-m", "mi"], ["mini"]),
        (["model", "pull", "dream-"], ["dream-coder"]),
        (["model", "rm", ""], []),
        (["fill", "app.py", "-r", ""], [*SYMBOLS, *FINDERS]),
        (["fill", "app.py", "-r", "Cfg."], ["Cfg.load"]),
        (["fill", "app.py", "-w", "-r", "largest", "-r", ":e"], [":errors"]),
        (["fill", "none.py", "-r", ""], FINDERS),
        (["fill", "app.py::"], [f"app.py::{name}" for name in SYMBOLS]),
        (["fill", "app.py", "app.py::la"], ["app.py::largest"]),
        (["fill", "a"], []),
        (["gen", "-o", "a"], []),
        (["config", "set", "test-"], ["test-seconds"]),
        (["config", "set", "verify", ""], ["error", "warn", "off"]),
        (["config", "set", "nosuch", ""], []),
        (["completion", "z"], ["zsh"]),
        (["help", "mod"], ["model"]),
        (["help", "model", "pu"], ["pull"]),
        (["help", "gen", ""], []),
    ],
    ids=" ".join,
)
def test_a_word_is_completed(line, told, asked):
    assert words(asked(*line)) == told


def test_models_come_with_what_they_are(asked):
    lines = asked("gen", "-m", "")
    assert "mini\ton this machine" in lines
    assert "diffucoder\tnot pulled: apple/DiffuCoder-7B-cpGRPO" in lines


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["fill", "--pre"], ["--preset"]),
        (["fill", "app.py", "-r", ":", "to"], ["todo"]),
        (["fill", "app.py", "-r", ":"], ["todo", "marks", "errors"]),
        (["fill", "app.py", "::", "la"], ["largest"]),
        (["fill", "app.py", "::"], SYMBOLS),
        (["gen", "--preset", "=", "fa"], ["fast", "factor"]),
        (["fill", "app.py", "-r", "Cfg."], ["Cfg.load"]),
    ],
    ids=" ".join,
)
def test_bash_takes_words_apart_and_gets_the_last_part(line, told, asked):
    assert asked(*line, shell="bash") == told


def test_zsh_and_powershell_get_their_forms(asked):
    assert asked("fill", "app.py", "-r", "la", shell="zsh") == ["_arguments '*: :((\"largest\"))'"]
    assert asked("fill", "a", shell="zsh") == ["_files"]
    (line,) = asked("gen", "-m", "mi", shell="powershell")
    assert line == "mini:::on this machine"


def test_what_cannot_be_answered_is_silent(asked, diffu, monkeypatch):
    Path("app.py").write_bytes(b"\xff\xfe\x00")
    assert words(asked("fill", "app.py", "-r", "")) == FINDERS
    for instruction in ("complete_tcsh", "x", "complete_bash"):
        monkeypatch.setenv(VARIABLE, instruction)
        monkeypatch.setenv("COMP_CWORD", "x")
        done = diffu()
        assert (done.code, done.out, done.err) == (0, b"", "")


def test_settings_that_are_damaged_hide_nothing(asked, tmp_path):
    (tmp_path / "config" / "diffu").mkdir(parents=True)
    (tmp_path / "config" / "diffu" / "config.toml").write_text("a = = 1")
    assert words(asked("fill", "app.py", "-r", "Cfg.")) == ["Cfg.load"]
    assert words(asked("config", "set", "prese")) == ["preset"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_the_script_asks_in_the_way_that_is_answered(shell, diffu):
    done = diffu("completion", shell)
    assert f"{VARIABLE}".encode() in done.out
    assert f"complete_{shell}".encode() in done.out


def test_an_unknown_shell_is_refused(diffu):
    done = diffu("completion", "tcsh")
    assert (done.code, len(done.lines)) == (2, 1)


@pytest.fixture
def at_a_shell(tmp_path, environment) -> dict[str, str]:
    """What a shell sees: `diffu` on the path, and a home of its own."""
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "diffu"
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m diffucli "$@"\n')
    tool.chmod(0o755)
    Path("app.py").write_text(APP)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**environment, "PATH": path, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")}


def has(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


def typed(argv: list[str], begin: str, keys: str, until: str, env: dict[str, str]) -> str:
    """What an interactive shell shows once the keys are typed, up to `until`."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, env)
    shown = ""

    def wait_for(text: str) -> None:
        nonlocal shown
        end = time.monotonic() + 60
        while text not in shown and time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                shown += os.read(terminal, 65536).decode(errors="replace")

    try:
        os.write(terminal, f"{begin}; echo RE''ADY\n".encode())
        wait_for("READY")
        os.write(terminal, keys.encode())
        wait_for(until)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)
    return shown


@has("bash")
def test_bash_completes_a_region_behind_its_colon(at_a_shell):
    argv = ["bash", "--norc", "--noprofile", "-i"]
    shown = typed(argv, "source <(diffu completion bash)", "diffu fill app.py -r :t\t", ":todo", at_a_shell)
    assert ":todo" in shown


@has("zsh")
def test_zsh_completes_a_symbol(at_a_shell):
    begin = "autoload -Uz compinit; compinit -u -D; source <(diffu completion zsh)"
    shown = typed(["zsh", "-f", "-i"], begin, "diffu fill app.py -r larg\t", "largest", at_a_shell)
    assert "largest" in shown


@has("fish")
def test_fish_completes_a_symbol(at_a_shell):
    line = "diffu completion fish | source; complete -C 'diffu fill app.py -r la'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", line], env=at_a_shell, capture_output=True, text=True, check=True
    )
    assert done.stdout == "largest\n"


@has("bash")
def test_completion_is_installed_for_the_shell_that_runs_it(at_a_shell, tmp_path):
    done = subprocess.run(
        ["bash", "--norc", "-c", "diffu --install-completion; true"],
        env=at_a_shell,
        capture_output=True,
        text=True,
        check=True,
    )
    (script,) = (tmp_path / ".bash_completions").iterdir()
    assert f"source '{script}'" in (tmp_path / ".bashrc").read_text()
    assert str(script) in done.stdout.replace("\n", "")
    assert "complete_bash" in script.read_text()


def test_completing_imports_no_torch(at_a_shell):
    code = (
        "import sys; from diffucli.cli.app import run; run([]);"
        "assert not {'torch', 'transformers', 'huggingface_hub', 'tomllib'} & set(sys.modules), 'too much'"
    )
    env = {**at_a_shell, VARIABLE: "complete_bash", "COMP_WORDS": "diffu\nfill\napp.py\n-r\nla", "COMP_CWORD": "4"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("largest\n", "")
