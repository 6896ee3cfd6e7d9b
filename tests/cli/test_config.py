"""`diffu config`, and what settings do: flags go before the environment, the project and the user's file."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tomlkit
import typer

from diffucli import settings
from diffucli.cli import configured
from diffucli.cli.app import app
from diffucli.cli.configured import Configured
from diffucli.errors import WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Diffu

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
TREE = typer.main.get_command(app)
SETTINGS = configured.known(TREE)


def leaves(command=TREE, name: str = "") -> Iterator[tuple[str, object]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, one in below.items():
        yield from leaves(one, f"{name} {word}".strip())


@pytest.fixture
def user() -> Path:
    """The user's file, in a folder that is there."""
    path = settings.user_path()
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def project() -> Path:
    """The pyproject.toml of a git repository, in a folder of which the test runs."""
    subprocess.run(["git", "init", "-q"], check=True)
    path = Path.cwd() / "pyproject.toml"
    Path("sub").mkdir()
    os.chdir("sub")
    return path


@pytest.fixture
def chosen(diffu: Diffu, monkeypatch):
    """Runs `gen` and gives what it was told: chosen("--temp", "0.1").temperature."""
    seen = []

    def begin(choice, *_, **__):
        seen.append(choice)
        raise SystemExit

    monkeypatch.setattr("diffucli.cli.session.begin", begin)

    def go(*argv: str):
        with pytest.raises(SystemExit):
            diffu("gen", "x", *argv)
        return seen[-1]

    return go


def test_a_flag_goes_before_the_variable_the_project_and_the_user(chosen, user, project, monkeypatch):
    assert chosen().temperature is None
    user.write_text("temp = 0.1\nspeculate = 3\nby-line = true\n")
    assert (chosen().temperature, chosen().speculate, chosen().by_line) == (0.1, 3, True)
    project.write_text("[tool.diffu]\ntemp = 0.2\n")
    assert (chosen().temperature, chosen().speculate) == (0.2, 3)
    monkeypatch.setenv("DIFFU_TEMP", "0.3")
    assert chosen().temperature == 0.3
    assert chosen("--temp", "0.4").temperature == 0.4
    monkeypatch.setenv("DIFFU_TEMP", "")
    assert chosen().temperature == 0.2, "a variable that is set to nothing is not set"
    monkeypatch.setenv("DIFFU_BY_LINE", "0")
    assert chosen().by_line is False


def test_list_tells_each_value_and_where_it_comes_from(diffu, user, project, monkeypatch):
    user.write_text('# mine\npreset = "fast"\ncandidates = 4\n\nmodel = "org/name"\n')
    project.write_text('[build-system]\npreset = 1\n\n[tool.diffu]\n"candidates" = 2\n')
    monkeypatch.setenv("DIFFU_FPS", "12")
    monkeypatch.delenv("DIFFU_MODEL")
    rows = {
        row["key"]: (row["value"], row["source"])
        for row in json.loads(diffu("config", "list", "--json").out)["settings"]
    }
    assert set(rows) == set(SETTINGS)
    assert rows["preset"] == ("fast", f"{user}:2")
    assert rows["candidates"] == (2, f"{project}:5")
    assert rows["model"] == ("org/name", f"{user}:5")
    assert rows["fps"] == (12.0, "DIFFU_FPS")
    assert rows["verify"] == ("error", "default")
    assert rows["seed"] == (None, "default")
    lines = diffu("config", "list").out.decode().splitlines()
    assert f"candidates    2         {project}:5" in lines
    assert diffu("config", "get", "candidates").out == b"2\n"
    assert diffu("config", "get", "seed").out == b"\n"


def test_writing_keeps_comments_order_and_the_link(diffu, user, tmp_path):
    real = tmp_path / "dotfiles.toml"
    real.write_text('# mine\npreset = "exact"  # slow\n\n# last\nfps = 9\n')
    real.chmod(0o600)
    user.symlink_to(real)
    assert diffu("config", "set", "preset", "fast").code == 0
    assert diffu("config", "set", "by-line", "yes").code == 0
    assert diffu("config", "unset", "fps").code == 0
    assert real.read_text() == '# mine\npreset = "fast"  # slow\n\n# last\nby-line = true\n'
    assert user.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600


def test_who_sets_another_key_at_the_same_moment_is_waited_for(diffu, user, monkeypatch):
    parse = tomlkit.parse

    def beside(text: str) -> tomlkit.TOMLDocument:
        """Another process has read the file, and now wants to write it."""
        monkeypatch.setattr(tomlkit, "parse", parse)
        monkeypatch.setattr(settings, "LOCK_SECONDS", 0)
        with pytest.raises(WriteFailed, match=r"config\.toml is held by process [0-9]+$"):
            settings.store("fps", 9)
        return parse(text)

    monkeypatch.setattr(tomlkit, "parse", beside)
    assert diffu("config", "set", "preset", "fast").code == 0
    settings.store("fps", 9)
    assert user.read_text() == 'preset = "fast"\nfps = 9\n'


def test_what_is_set_is_got_and_may_be_any_text(diffu):
    words = "python -c \"print('é\\n')\" #"
    assert diffu("config", "set", "test", words).code == 0
    assert diffu("config", "get", "test").out.decode() == f"{words}\n"
    assert diffu("config", "set", "test", "\udcff").err == "diffu: the value is not valid UTF-8 (give it in UTF-8)\n"
    assert diffu("config", "get", "test").out.decode() == f"{words}\n"


def test_set_says_what_goes_before_it(diffu, project, monkeypatch):
    project.write_text("[tool.diffu]\ntemp = 0.2\n")
    done = diffu("config", "set", "temp", "0.5")
    assert (done.code, done.err) == (0, f"diffu: {project}:2 sets temp too, and goes before your file\n")
    monkeypatch.setenv("DIFFU_TEMP", "1")
    assert "DIFFU_TEMP sets temp too" in diffu("config", "set", "temp", "0.5").err
    assert diffu("config", "set", "fps", "5").err == ""


def test_the_model_is_that_of_model_use(diffu, golden, user, monkeypatch):
    monkeypatch.delenv("DIFFU_MODEL")
    assert diffu("config", "set", "model", golden).code == 0
    assert diffu("config", "get", "model").out.decode().strip() == str(golden)
    assert diffu("model", "path").out.decode().strip() == str(golden)
    assert diffu("config", "set", "model", "nosuch").code == 4
    assert diffu("model", "use", "mini").code == 0
    assert "model" not in user.read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tmep = 1", ":1: there is no setting 'tmep' (did you mean temp?)"),
        ("xyzzy = 1", ":1: there is no setting 'xyzzy' (diffu config list shows them all)"),
        ("\n\ntemp = 'hot'", ":3: temp: Input should be a valid number, unable to parse string as a number"),
        ("temp = nan", ":1: temp: Input should be "),
        ("seed = -1", ":1: seed: -1 is not in the range"),
        ("candidates = true", ":1: candidates: Input should be a valid integer"),
        ("preset = ['fast']", ':1: preset takes one value (such as preset = "…")'),
        ("preset = 'fats'", ":1: preset: 'fats' is not one of 'balanced', 'fast'"),
        ("[temp]\nx = 1", ": temp takes one value"),
        ("a = = 1", " cannot be read (Invalid value, line 1, column 5) ("),
        ("a = " + "[" * 5000, " cannot be read (it is nested too deeply) ("),
        ("\udcff", " cannot be read (it is not UTF-8) ("),
    ],
)
@pytest.mark.parametrize("in_project", [False, True])
def test_a_mistake_in_a_file_is_one_line(text, told, in_project, diffu, request):
    path = request.getfixturevalue("project" if in_project else "user")
    if in_project:
        table = text.replace("[temp]", "[tool.diffu.temp]")
        text = table if table != text else f"[tool.diffu]\n{text}"
        told = re.sub(r"(?<=:| )(\d)(?=:|,)", lambda found: str(int(found[0]) + 1), told, count=1)
    path.write_bytes(text.encode(errors="surrogateescape"))
    for argv in (["gen", "x"], ["config", "list"]):
        done = diffu(*argv)
        assert (done.code, len(done.lines)) == (2, 1), done.err
        assert f"{path}{told}" in done.err
    assert diffu("gen", "--help").code == 0
    assert diffu("undo", "--list").code == 0


@pytest.mark.parametrize("key", sorted(set(SETTINGS) - configured.OF_PROJECTS))
def test_a_project_may_not_choose_what_runs_or_fetches(key, diffu, project):
    assert key in {"model", "quant", "device", "test", "live", "fps", "no-log", "no-tools", "theme"}, (
        "whether a project may set it was decided"
    )
    project.write_text(f'[tool.diffu]\ntemp = 0.1\n{key} = "x"\n')
    done = diffu("gen", "x")
    assert (done.code, len(done.lines)) == (2, 1)
    assert done.err.startswith(f"diffu: {project}:3: a project may not set {key} (take it out there")


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop"])
def test_what_is_no_file_of_settings_is_told(kind, diffu, user):
    {"folder": user.mkdir, "pipe": lambda: os.mkfifo(user), "loop": lambda: user.symlink_to(user.name)}[kind]()
    for argv in (["gen", "x"], ["config", "set", "temp", "1"], ["config", "edit"]):
        done = diffu(*argv)
        assert (done.code, len(done.lines)) == (2, 1)
        assert f"{user} cannot be read" in done.err


def test_marks_and_line_ends_of_windows_and_dotted_keys_are_read(diffu, user, project):
    user.write_bytes(b"\xef\xbb\xbf# mine\r\nfps = 9\r\n")
    project.write_text("tool.diffu.temp = 0.3\n")
    assert diffu("config", "get", "temp").out == b"0.3\n"
    assert diffu("config", "set", "live", "never").code == 0
    assert user.read_bytes() == b'# mine\r\nfps = 9\r\nlive = "never"\n'


def test_a_folder_that_is_gone_has_no_project(diffu, chosen, tmp_path):
    Path("gone").mkdir()
    os.chdir("gone")
    Path("../gone").rmdir()
    assert chosen().temperature is None
    os.chdir(tmp_path)


def test_a_filter_echoes_its_input_where_settings_are_damaged(diffu, user):
    user.write_text("tmep = 1")
    done = diffu("fill", "-", stdin=b"x = ???\n")
    assert (done.code, done.out) == (2, b"x = ???\n")


def test_the_pyproject_of_another_tool_may_be_damaged(diffu, project, chosen):
    project.write_text("a = = 1")
    assert chosen().temperature is None
    project.write_text("[tool]\ndiffu = 1\n")
    assert "tool.diffu is no table" in diffu("gen", "x").err


def test_a_variable_with_a_bad_value_is_named(diffu, monkeypatch):
    monkeypatch.setenv("DIFFU_TEMP", "hot")
    told = "DIFFU_TEMP: Input should be a valid number, unable to parse string as a number"
    assert diffu("gen", "x").err == f"diffu: {told} (unset DIFFU_TEMP, or give it another value)\n"
    assert told in diffu("config", "list").err
    assert "'--temp': Input" in diffu("gen", "x", "--temp", "cold").err, "a flag is not the variable's fault"


def test_without_a_home_there_are_no_settings(diffu, chosen, monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/dev/null")
    assert chosen().temperature is None
    done = diffu("config", "set", "temp", "1")
    assert (done.code, len(done.lines)) == (2, 1)
    assert "cannot be written (Not a directory) (make its folder writable" in done.err


def editor(tmp_path: Path, *texts: str) -> str:
    """An editor that writes the first text when it is started first, and so on."""
    script = tmp_path / "editor"
    cases = "\n".join(f'{count}) printf %s {shlex.quote(text)} > "$1";;' for count, text in enumerate(texts, 1))
    script.write_text(
        f'#!/bin/sh\necho x >> {tmp_path}/count\ncase $(wc -l < {tmp_path}/count | tr -d " ") in\n{cases}\nesac\n'
    )
    script.chmod(0o755)
    return str(script)


def test_edit_opens_a_file_that_explains_itself(diffu, monkeypatch):
    monkeypatch.setenv("EDITOR", "true")
    settings.user_path().parent.mkdir(parents=True)
    settings.user_path().with_name("config.json").write_text('{"model": "org/name"}')
    assert diffu("config", "edit").code == 0
    text = settings.user_path().read_text()
    assert settings.user().values == {"model": "org/name"}
    assert '\n# preset = "balanced"\n' in text
    assert not [key for key in SETTINGS if not re.search(rf"^(# )?{key} =", text, re.MULTILINE)]
    settings.write(re.sub(r"^# (?=[a-z-]+ = )", "", text, flags=re.MULTILINE))
    assert (diffu("config", "list").err, diffu("config", "get", "preset").out) == ("", b"balanced\n")


def test_edit_opens_the_editor_again_after_a_mistake(diffu, tmp_path, monkeypatch):
    monkeypatch.setenv("VISUAL", editor(tmp_path, "tmep = 1", "temp = 1"))
    done = diffu("config", "edit")
    assert (done.code, "there is no setting 'tmep' (did you mean temp?)" in done.err) == (2, True), (
        "nobody can be asked"
    )
    (tmp_path / "count").unlink()
    asked = []
    monkeypatch.setattr("diffucli.cli.config._can_ask", lambda: True)
    monkeypatch.setattr("diffucli.cli.config.confirmed", lambda text: asked.append(text) or True)
    done = diffu("config", "edit")
    assert (done.code, asked, len(done.lines)) == (0, ["Edit it again?"], 1)


@pytest.mark.parametrize(
    ("command", "told"), [("/nowhere/ed", "cannot be started"), ("false", "ended with 1"), ("'", "started")]
)
def test_an_editor_that_fails_is_named(diffu, command, told, monkeypatch):
    monkeypatch.setenv("EDITOR", command)
    done = diffu("config", "edit")
    assert (done.code, len(done.lines), told in done.err) == (2, 1, True)


def test_every_command_with_settings_reads_them():
    for name, command in leaves():
        have = set(configured.known(command)) - {"model"}
        assert isinstance(command, Configured) or not have, name


def test_a_setting_is_the_name_of_its_flag():
    for key, setting in SETTINGS.items():
        assert setting.variable == f"DIFFU_{key.upper().replace('-', '_')}"
        assert f"--{key}" in setting.option.opts or key == "model"
        for name in setting.commands:
            assert setting.option.help == configured.known(dict(leaves())[name])[key].option.help, name


def test_the_page_has_the_settings_of_the_commands():
    pages = runpy.run_path(str(ROOT / "docs" / "scripts" / "pages.py"))
    assert pages["configuration"](PAGE) == PAGE, "run python docs/scripts/pages.py"


def test_the_page_has_every_variable_that_the_code_reads_and_no_other():
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    read = set(re.findall(r'\b(?:environ|env)\b(?:\.get|\.setdefault)?[\[(]"([A-Z_]+)"', code))
    read |= set(re.findall(r'"([A-Z_]+)" (?:not )?in (?:os\.)?env(?:iron)?\b', code))
    assert {"DIFFU_HOME", "DIFFU_STATE", "DIFFU_DEBUG", "TERM", "EDITOR"} <= read
    told = set(re.findall(r"`([A-Z][A-Z_]+)(?:=\w+)?`", PAGE))
    assert read - {"COMP_WORDS", "COMP_CWORD"} <= told, "but for what a script of completion sets"
    named = {setting.variable for setting in SETTINGS.values()} | read
    assert {name for name in told if name.startswith("DIFFU_")} <= named


@pytest.mark.parametrize("command", re.findall(r"^diffu config \S.*?(?=\s{2,}#|$)", PAGE, re.MULTILINE))
def test_a_command_of_the_page_runs(command, diffu, monkeypatch):
    monkeypatch.setenv("EDITOR", "true")
    done = diffu(*shlex.split(command)[1:])
    assert (done.code, done.err) == (0, "")
