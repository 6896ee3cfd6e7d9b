"""Programs that read a text: which are asked, with what, and that nothing of the text is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from diffucli.syntax import tools
from diffucli.syntax.tools import TOOLS, Message, ask, find

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 4.0


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Every test looks for programs anew, from a folder of its own."""
    find.cache_clear()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield
    find.cache_clear()


def program(folder: Path, name: str, lines: str = "echo pwned >&2; exit 1") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("place", ["work", "work/bin", "work/node_modules/.bin", "elsewhere/node_modules/.bin"])
def test_a_program_of_the_project_is_never_asked(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / place, "bash")
    monkeypatch.setenv("PATH", f"{tmp_path / place}:/usr/bin:/bin")
    assert find("bash") in {"/usr/bin/bash", "/bin/bash"}
    monkeypatch.setenv("PATH", str(tmp_path / place))
    find.cache_clear()
    assert find("bash") is None
    assert ask("bash", "if", seconds=SECONDS) is None


def test_a_program_of_the_work_tree_is_not_asked_from_a_folder_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    program(tmp_path / "bin", "bash")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find("bash") is None


def test_a_link_to_a_folder_of_the_project_is_seen_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "work" / "bin", "bash")
    (tmp_path / "link").symlink_to(tmp_path / "work" / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "link"))
    assert find("bash") is None


def test_a_folder_that_others_can_write_to_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "tools", "bash")
    monkeypatch.setenv("PATH", str(tmp_path / "tools"))
    assert find("bash") == str(path)
    path.parent.chmod(0o777)
    find.cache_clear()
    assert find("bash") is None


@pytest.mark.parametrize("path", ["", ".", "bin", ":", "/nowhere", "~/bin"])
def test_a_path_that_is_relative_or_empty_names_no_program(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program(Path("bin"), "bash")
    program(Path(), "bash")
    monkeypatch.setenv("PATH", path)
    assert find("bash") is None


def test_a_program_sees_an_empty_folder_and_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "seen"
    program(tmp_path / "tools", "bash", f"{{ env | cut -d= -f1 | sort; ls; cat text; }} > {seen}; exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:/usr/bin:/bin")
    monkeypatch.setenv("BASH_ENV", "/evil")
    monkeypatch.setenv("SECRET", "1")
    assert ask("bash", "the text\n", seconds=SECONDS) == []
    words = set(seen.read_text().split())
    assert {"LC_ALL", "PATH", "TMPDIR", "messages", "text", "the"} <= words
    assert not {"BASH_ENV", "SECRET", "HOME"} & words


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("sleep 30", None),
        ("sleep 30 & sleep 30", None),
        ("kill -9 $$", None),
        ("exit 3", None),
        ("echo strange >&2; exit 2", None),
        ("echo 'text: line 3: syntax error: x' >&2; exit 2", [Message(3, 0, "syntax error: x")]),
        ("echo 'text: line 3: syntax error: x' >&2; exit 0", []),
        ("yes 'text: line 3: syntax error: x' | head -c 3000000 >&2; exit 2", None),
    ],
)
def test_a_program_that_fails_or_hangs_has_no_verdict(
    lines: str, found: list[Message] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "tools", "bash", lines)
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:/usr/bin:/bin")
    said = ask("bash", "x\n", seconds=0.5)
    if "yes" in lines:
        assert said
        assert len(said) < tools.OUTPUT
    else:
        assert said == found


RUNS = {
    "bash": "touch {0}; $(touch {0}); shopt -s extglob\n",
    "extglob": "touch {0}; $(touch {0})\n",
    "sh": "touch {0}; $(touch {0})\n",
    "zsh": "touch {0}; $(touch {0})\n",
    "script": "require('fs').writeFileSync('{0}', ''); }}); (function () {{\n",
    "module": "import {{ writeFileSync }} from 'fs'; writeFileSync('{0}', ''); await 1;\n",
    "script or module": "require('fs').writeFileSync('{0}', '');\n",
    "module or script": "import {{ writeFileSync }} from 'fs'; export default writeFileSync('{0}', '');\n",
    "gofmt": 'package main\n\nimport "os"\n\nfunc init() {{ os.Create("{0}") }}\n',
    "go part": 'var _, _ = os.Create("{0}")\n',
    "c": '#include "/dev/stdin"\n__asm__(".incbin \\"{0}\\"");\nint main(void) {{ return !fopen("{0}", "w"); }}\n',
    "c23": '__attribute__((constructor)) void f(void) {{ fopen("{0}", "w"); }}\n',
    "cpp": 'static auto x = fopen("{0}", "w");\n',
}


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_nothing_of_a_text_is_run(name: str, tmp_path: Path) -> None:
    if find(TOOLS[name].program) is None:
        pytest.skip(f"{TOOLS[name].program} is not installed")
    mark = tmp_path / "mark"
    ask(name, RUNS[name].format(mark), seconds=SECONDS)
    assert not mark.exists()


@pytest.mark.parametrize("text", ["x\ud800", "x" * (tools.MAX_CHARACTERS + 1)], ids=["surrogate", "too long"])
def test_a_text_that_no_file_can_hold_has_no_verdict(text: str) -> None:
    assert ask("bash", text, seconds=SECONDS) is None


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("bash", "a\nif x; then\nf(\n", Message(3, 0, "syntax error near unexpected token `newline'")),
        ("bash", "x=`echo\n", Message(1, 0, "unexpected EOF while looking for matching ``'")),
        ("sh", "if a; then\nfi fi\n", None),
        ("zsh", "if a; then\n'", None),
        (
            "script or module",
            "let a;\nconst é = 2, b;\n",
            Message(2, 14, "Missing initializer in const declaration"),
        ),
        ("module", "#!x\nexport const a = 1;\nexport { b c };\n", Message(3, 12, "Unexpected identifier 'c'")),
        ("gofmt", "package p\nx := 1\n", Message(2, 1, "expected declaration, found x")),
        ("c", "int f(int x) { return x\n}\n", None),
        ("cpp", "int class = 1;\n", None),
    ],
)
def test_an_error_is_read_with_its_place(name: str, text: str, found: Message | None) -> None:
    """Messages of shells and compilers differ, so of some only the line is compared."""
    if find(TOOLS[name].program) is None:
        pytest.skip(f"{TOOLS[name].program} is not installed")
    said = ask(name, text, seconds=30)
    assert said
    assert said[0] == found if found else said[0].line in {1, 2}


def test_no_child_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"
    program(tmp_path / "tools", "bash", f"sleep 60 & echo $! > {pid}; wait")
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:/usr/bin:/bin")
    assert ask("bash", "x\n", seconds=0.5) is None
    state = Path(f"/proc/{int(pid.read_text())}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"
