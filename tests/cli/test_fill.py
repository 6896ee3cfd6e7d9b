"""`diffu fill`: regions and holes rewritten in one canvas, every other byte as it was."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

HOLE = "x = ???\n"
CFG = "class Cfg:\n    @property\n    def load(self):\n        return 1\n\n    def save(self):\n        return 2\n"


def put(text: str | bytes, name: str = "f.py") -> Path:
    path = Path(name)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_whole_new_text_goes_to_stdout(diffu, says):
    says("1")
    put(HOLE)
    done = diffu("fill", "f.py")
    assert (done.code, done.out, done.err) == (0, b"x = 1\n", "")
    assert Path("f.py").read_text() == HOLE


def test_regions_and_holes_share_one_canvas(diffu, says):
    seen = says("1", "2", "3")
    put("a = ???3\nb = 0\nc = ???4\n")
    assert diffu("fill", "f.py", "-r", "2", "--length", "3").out == b"a = 13\n"[:4] + b"1\n2\nc = 3\n"
    assert len(seen) == 1


def test_an_instruction_and_the_code_are_both_seen(diffu, says):
    seen = says("1")
    put(HOLE)
    assert diffu("fill", "f.py", "-p", "make it one").code == 0
    assert "make it one" in seen[0]
    assert "x =" in seen[0]


def test_w_writes_and_tells_the_id_that_undoes_it(diffu, says):
    says("1", "1")
    put(HOLE)
    told = json.loads(diffu("fill", "f.py", "-w", "--json").out)
    assert (told["status"], told["files"][0]["changed"], told["files"][0]["text"]) == (0, True, "x = 1\n")
    assert Path("f.py").read_text() == "x = 1\n"
    assert diffu("undo", told["files"][0]["undo"]).code == 0
    assert Path("f.py").read_text() == HOLE
    assert "wrote f.py (undo with: diffu undo " in diffu("fill", "f.py", "-w", "-v").err


def test_w_of_the_same_text_changes_nothing(diffu, says):
    says("x = 1")
    before = put("x = 1\n").stat().st_mtime_ns
    done = diffu("fill", "f.py", "-r", "1", "-w", "-v")
    assert done.code == 0
    assert "f.py is unchanged" in done.lines
    assert Path("f.py").stat().st_mtime_ns == before


@pytest.mark.parametrize(("text", "code"), [("2", 1), ("1", 0)])
def test_check_prints_nothing_and_exits_1_where_the_text_would_change(diffu, says, text, code):
    says(text, text)
    put("x = 1\n")
    done = diffu("fill", "f.py", "-r", "1:5-1:5", "--check")
    assert (done.code, done.out, done.err) == (code, b"", "")
    told = json.loads(diffu("fill", "f.py", "-r", "1:5-1:5", "--check", "--json").out)
    assert told["status"] == code
    assert told["files"][0]["changed"] is bool(code)
    assert Path("f.py").read_text() == "x = 1\n"


@pytest.mark.parametrize("name", ["f.py", "sub/f.py", "sub/../f.py", "link.py", "a b.py"])
@pytest.mark.parametrize("absolute", [False, True])
def test_git_apply_takes_the_diff(diffu, says, name, absolute):
    subprocess.run(["git", "init", "-q"], check=True)
    Path("sub").mkdir()
    for path in ("f.py", "sub/f.py", "a b.py"):
        put("import os\n" + HOLE, path)
    Path("link.py").symlink_to("sub/f.py")
    says("1")
    done = diffu("fill", Path(name).absolute() if absolute else name, "--diff")
    assert done.code == 0
    subprocess.run(["git", "apply", "-"], input=done.out, check=True)
    assert Path(name).read_text() == "import os\nx = 1\n"
    assert Path("link.py").is_symlink()


@pytest.mark.parametrize(("name", "flags"), [("f.py", []), ("../above.py", ["--unsafe-paths"])])
def test_outside_of_a_work_tree_a_patch_has_paths_from_the_folder(diffu, says, name, flags):
    says("1")
    put(HOLE, name)
    done = diffu("fill", name, "--diff")
    assert done.out.startswith(f"--- a/{name}\n+++ b/{name}\n".encode())
    subprocess.run(["git", "apply", *flags, "-"], input=done.out, check=True)
    assert Path(name).read_text() == "x = 1\n"


@pytest.mark.parametrize("kind", ["repository", "worktree", "submodule"])
def test_a_patch_made_below_the_top_of_a_work_tree_applies_there(diffu, says, tmp_path, monkeypatch, kind):
    says("1")
    top = tmp_path / "top"
    top.mkdir()
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    subprocess.run([*git, "init", "-q", top], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], cwd=top, check=True)
    if kind == "worktree":
        subprocess.run([*git, "worktree", "add", "-q", tmp_path / "other"], cwd=top, check=True)
        top = tmp_path / "other"
    elif kind == "submodule":
        subprocess.run([*git, "init", "-q", tmp_path / "outer"], check=True)
        subprocess.run([*git, "submodule", "--quiet", "add", top, "inner"], cwd=tmp_path / "outer", check=True)
        top = tmp_path / "outer" / "inner"
    (top / "sub").mkdir()
    monkeypatch.chdir(top / "sub")
    put(HOLE, "a.py")
    done = diffu("fill", "a.py", "--diff")
    assert done.out.startswith(b"diff --git a/sub/a.py b/sub/a.py\n")
    subprocess.run(["git", "apply", "-"], input=done.out, check=True)
    assert "???" not in Path("a.py").read_text()


def test_columns_keep_the_blank_that_follows_them(diffu, says):
    says("async for")
    put("async def f():\n    for x in y:\n        pass\n")
    done = diffu("fill", "f.py", "-r", "2:5-2:8", "--length", "5")
    assert done.out == b"async def f():\n    async for x in y:\n        pass\n"


def test_o_writes_elsewhere(diffu, says):
    says("1")
    put(HOLE)
    assert diffu("fill", "f.py", "-o", "g.py").out == b""
    assert Path("g.py").read_text() == "x = 1\n"
    assert Path("f.py").read_text() == HOLE


def test_several_files_are_written_all_or_none(diffu, says):
    says("1", "(", "1", "2")
    put(HOLE, "a.py")
    put(HOLE, "b.py")
    done = diffu("fill", "a.py", "b.py", "-w")
    assert done.code == 3
    assert Path("a.py").read_text() == HOLE
    assert diffu("fill", "a.py", "b.py", "-w").code == 0
    assert [Path(name).read_text() for name in ("a.py", "b.py")] == ["x = 1\n", "x = 2\n"]


def test_of_several_files_those_without_a_target_are_passed_over(diffu, says):
    says("return 1")
    put("def f():\n    # TODO: one\n    raise NotImplementedError\n", "a.py")
    put("x = 1\n", "b.py")
    told = json.loads(diffu("fill", "a.py", "b.py", "-r", ":todo", "--diff", "--json").out)
    assert [one["file"] for one in told["files"]] == ["a.py"]
    assert "+    return 1" in told["files"][0]["diff"]


def test_what_does_not_parse_is_shown_in_its_place_and_not_written(diffu, says):
    says("(", "(")
    put("import os\n" + HOLE)
    done = diffu("fill", "f.py", "-w")
    assert (done.code, done.out) == (3, b"")
    assert ">    2 x = (" in done.err
    assert done.lines[-1].startswith("diffu: f.py:2:5: '(' was never closed; nothing was written (")
    assert Path("f.py").read_text() == "import os\n" + HOLE
    told = json.loads(diffu("fill", "f.py", "--json").out)
    assert (told["status"], told["text"], told["problems"][0]["line"]) == (3, "import os\nx = (\n", 2)


def test_the_excerpt_has_three_lines_on_either_side_and_the_first_of_two_errors_is_told(diffu, says):
    says(")", "]", ")", "]", repair=")")
    text = "".join(f"a{number} = {number};\n" for number in range(1, 10))
    put(text.replace("= 5", "= ???").replace("= 8", "= ???"), "f.js")
    done = diffu("fill", "f.js")
    assert done.lines[:-1] == [
        "     2 a2 = 2;",
        "     3 a3 = 3;",
        "     4 a4 = 4;",
        ">    5 a5 = );",
        "     6 a6 = 6;",
        "     7 a7 = 7;",
        "     8 a8 = ];",
    ]
    assert done.lines[-1].startswith("diffu: f.js:5:")
    assert len(json.loads(diffu("fill", "f.js", "--json").out)["problems"]) > 1


def test_only_new_errors_count_and_old_ones_are_told(diffu, says):
    says("1")
    put("def broken(:\n    pass\n" + HOLE)
    done = diffu("fill", "f.py", "-v")
    assert done.code == 0
    assert "diffu: f.py:1:12: invalid syntax; this was wrong before and may hide other errors" in done.lines
    assert done.lines[-1].endswith("no new errors, 1 old one left")
    (told,) = json.loads(diffu("fill", "f.py", "--json").out)["files"]
    assert (told["parses"], told["problems"]) == (False, [])
    assert told["old_problems"] == [{"line": 1, "column": 12, "message": "invalid syntax"}]


def test_errors_are_mended_or_nothing_is_written(diffu, says):
    says("unused", repair=")")
    broken = "def add(a, b:\n    return a + b\n"
    put(broken)
    assert diffu("fill", "f.py", "-r", ":errors").out == broken.replace("b:", "b):").encode()
    says("unused", repair="(")
    done = diffu("fill", "f.py", "-r", ":errors", "-w")
    assert done.code == 3
    assert Path("f.py").read_text() == broken


def test_verify_warn_writes_and_tells(diffu, says):
    says("(")
    put(HOLE)
    done = diffu("fill", "f.py", "--verify", "warn", "-w")
    assert done.code == 0
    assert done.lines == ["diffu: f.py:1:5: '(' was never closed"]
    assert Path("f.py").read_text() == "x = (\n"


@pytest.mark.parametrize(
    ("raw", "filled"),
    [
        (b"a = 'x'\r\nb = ???\r\n", b"a = 'x'\r\nb = (1,\r\n2)\r\n"),
        (b"\xef\xbb\xbfb = ???", b"\xef\xbb\xbfb = (1,\n2)"),
        (b"# coding: latin-1\na = '\xe9'\nb = ???\n", b"# coding: latin-1\na = '\xe9'\nb = (1,\n2)\n"),
        (b"a = '\t\x0c'\n\n\nb = ???\n\n", b"a = '\t\x0c'\n\n\nb = (1,\n2)\n\n"),
    ],
)
def test_line_ends_marks_and_encodings_stay(diffu, says, raw, filled):
    says("(1,\n2)")
    put(raw)
    assert diffu("fill", "f.py").out == filled


def test_symlinks_hard_links_and_modes_stay(diffu, says):
    says("1")
    real = put(HOLE, "real.py")
    real.chmod(0o755)
    os.link(real, "hard.py")
    Path("soft.py").symlink_to("real.py")
    assert diffu("fill", "soft.py", "-w").code == 0
    assert Path("soft.py").is_symlink()
    assert Path("hard.py").read_text() == "x = 1\n"
    assert real.stat().st_mode & 0o777 == 0o755


def test_length_bounds_regions_and_free_holes_but_not_holes_that_say_their_own(diffu, says):
    seen = says("1")
    put("x = ???\ny = 2\nz = ???5\n")
    assert diffu("fill", "f.py", "-r", "2", "--length", "1-7").code == 0
    found = [[part.count("<|mask|>") for part in canvas.split("\n")[:3]] for canvas in seen]
    assert max(first for first, *_ in found) in range(2, 8)
    assert found[-1][2] == 5
    before = len(seen)
    assert diffu("fill", "f.py", "--length", "3").code == 0
    assert [part.count("<|mask|>") for part in seen[before].split("\n")[:3]] == [3, 0, 5]


def test_a_file_that_changed_meanwhile_is_not_written_and_exit_5(diffu, says, monkeypatch):
    says("1")
    put(HOLE)
    monkeypatch.setattr("diffucli.tasks.engine.Result.accepted", lambda _, **__: put("mine\n"))
    done = diffu("fill", "f.py", "-w")
    assert done.code == 5
    assert Path("f.py").read_text() == "mine\n"


def test_a_symbol_gets_a_new_body_below_its_signature_and_docstring(diffu, says):
    seen = says("return 3")
    text = CFG.replace("return 1", '"""Read it."""\n        return 1')
    put(text)
    assert diffu("fill", "f.py", "-r", "Cfg.load").out.decode() == text.replace("return 1", "return 3")
    assert '    @property\n    def load(self):\n        """Read it."""\n       ' in seen[0]


def test_a_whole_symbol_keeps_nothing_but_its_indentation(diffu, says):
    says("def load(self):\n        return 3")
    put(CFG)
    new = CFG.replace("@property\n    ", "").replace("return 1", "return 3")
    assert diffu("fill", "f.py", "-r", "load=whole").out.decode() == new


def test_a_body_is_written_below_a_docstring_that_stands_alone(diffu, says):
    says("return 1")
    put('def f():\n    """One."""\n')
    assert diffu("fill", "f.py", "-r", "f", "--length", "8").out == b'def f():\n    """One."""\n    return 1\n'


def test_regions_may_stand_behind_the_names_of_files(diffu, says):
    says("9", "3", "return 5")
    put("a = 1\nb = 2\nc = 3\n", "a.py")
    put(CFG, "b.py")
    done = diffu("fill", "a.py:1:5-1:5", "b.py::Cfg::load", "a.py:3:5-3:5", "--json")
    told = json.loads(done.out)["files"]
    assert [(one["file"], one["text"]) for one in told] == [
        ("a.py", "a = 9\nb = 2\nc = 3\n"),
        ("b.py", CFG.replace("return 1", "return 5")),
    ]


def test_holes_do_not_hide_symbols(diffu, says):
    says("1", "return 3")
    put(CFG.replace("return 1", "return ???"))
    assert diffu("fill", "f.py", "-r", "Cfg.save").out.decode() == CFG.replace("return 2", "return 3")


def test_a_hole_in_a_region_is_part_of_it(diffu, says):
    says("x = 1")
    put(HOLE)
    assert diffu("fill", "f.py", "-r", "1").out == b"x = 1\n"


def test_a_region_in_a_hole_is_refused(diffu, loaded):
    put("x = ???8\n")
    done = diffu("fill", "f.py", "-r", "1:5-1:6")
    assert done.code == 2
    assert "overlap" in done.err


def test_a_region_that_is_a_hole_keeps_the_length_it_asks_for(diffu, says, loaded):
    seen = says("1")
    put("x = ???8\n")
    assert diffu("fill", "f.py", "-r", "1:5-1:8").code == 0
    assert seen[0].count("<|mask|>") == 8


def test_holes_are_holes_only_where_they_cannot_be_code(diffu, says):
    says("1", "2", "3")
    text = 'a = "what???"  # why???\nb = ???\n'
    put(text)
    assert diffu("fill", "f.py").out.decode() == text.replace("b = ???", "b = 1")
    says("1", "2", "3")
    assert diffu("fill", "f.py", "--hole").out == b'a = "what1"  # why2\nb = 3\n'


@pytest.mark.parametrize("name", ["f.sh", "f.html"])
def test_holes_where_they_are_legal_need_the_flag(diffu, says, name):
    put("<p>???</p>\n" if name == "f.html" else "ls ???\n", name)
    done = diffu("fill", name)
    assert done.code == 2
    assert "add --hole" in done.err
    says("x")
    assert diffu("fill", name, "--hole").code == 0


def test_what_the_model_cannot_see_of_a_long_file_is_told(diffu, says):
    says("1", "1")
    put("a = 1\n" * 3000 + HOLE + "b = 2\n" * 3000)
    done = diffu("fill", "f.py", "-v")
    assert done.code == 0
    assert done.lines[0].startswith("the first ")
    assert done.lines[0].endswith(" lines far from the regions were left out of the model's view")
    assert "left out" not in diffu("fill", "f.py").err


# -- as a filter


def test_a_filter_turns_stdin_into_stdout_and_says_nothing(diffu, says):
    says("1", "(", "1")
    assert diffu("fill", "-", stdin=HOLE.encode()).out == b"x = 1\n"
    done = diffu("fill", "-", "--verify", "warn", stdin=HOLE.encode())
    assert (done.code, done.out, done.err) == (0, b"x = (\n", "")
    assert diffu("fill", stdin=HOLE.encode()).out == b"x = 1\n"


PART = b"        total = 0\n        for x in xs:\n            ???\n        return total\n"


def test_a_part_of_a_function_is_judged_as_one(diffu, says):
    says("total += x")
    done = diffu("fill", "-", "-v", stdin=PART)
    assert (done.code, done.out) == (0, PART.replace(b"???", b"total += x"))
    assert done.lines[-1].endswith("parses \N{CHECK MARK}")
    says("if x:")
    done = diffu("fill", "-", stdin=PART)
    assert (done.code, done.out) == (3, PART)


def test_a_coding_comment_counts_on_stdin_too(diffu, says):
    says("1")
    raw = b"# coding: latin-1\na = '\xe9'\nb = ???\n"
    assert diffu("fill", "-", stdin=raw).out == raw.replace(b"???", b"1")


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ([], 3),
        (["-r", "99"], 2),
        (["-r", "no_such"], 2),
        (["--bogus"], 2),
        (["--temp", "x"], 2),
        (["--seed"], 2),
        (["-w"], 2),
        (["--alg", "margin"], 2),
        (["-m", "no-such"], 4),
    ],
)
@pytest.mark.parametrize("raw", [b"x = ???\r\n", b"\xff\xfe\x00???", b"\0" * 9, b"x = ???  # " + b"y" * 100_000])
def test_a_filter_that_fails_echoes_its_input_in_silence(diffu, says, argv, code, raw):
    says("(")
    done = diffu("fill", "-", *argv, stdin=raw)
    is_text = b"\0" not in raw
    assert done.code == code if is_text and len(raw) < 100 else done.code in {2, 4}
    if "-w" not in argv:
        assert done.out == raw
        assert done.err == ""
    assert diffu("fill", "-", "--on-fail", "empty", *argv, stdin=raw).out == b""


def test_a_filter_echoes_even_more_than_it_would_read(diffu, monkeypatch):
    monkeypatch.setattr("diffucli.edit.source.MAX_BYTES", 10)
    raw = b"x = ???\n" * 10
    done = diffu("fill", "-", stdin=raw)
    assert (done.code, done.out) == (2, raw)


def test_a_filter_echoes_when_it_is_stopped(diffu, says, monkeypatch, capfdbinary):
    import io
    import sys

    from diffucli.cli.app import run

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("diffucli.cli.session.begin", stop)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(HOLE.encode())))
    with pytest.raises(KeyboardInterrupt):
        run(["fill", "-"])
    assert capfdbinary.readouterr().out == HOLE.encode()


def test_v_lets_a_filter_speak(diffu):
    assert diffu("fill", "-", "-v", "-r", "9", stdin=b"x\n").lines == [
        "diffu: <stdin>: region 9: the file has 1 lines (write a line from 1 to 1)"
    ]


def test_json_has_an_object_for_each_of_several_files(diffu, says):
    says("1", "2")
    for name in ("a.py", "b.py"):
        put(HOLE, name)
    done = diffu("fill", "a.py", "b.py", "--json")
    assert done.code == 0
    files = json.loads(done.out)["files"]
    assert [(file["file"], file["text"]) for file in files] == [
        ("a.py", HOLE.replace("???", "1")),
        ("b.py", HOLE.replace("???", "2")),
    ]


def test_of_several_files_none_is_written_where_one_changed_meanwhile(diffu, says, monkeypatch):
    says("1", "2")
    for name in ("a.py", "b.py"):
        put(HOLE, name)
    monkeypatch.setattr("diffucli.tasks.engine.Result.accepted", lambda _, **__: put("mine\n", "b.py"))
    done = diffu("fill", "a.py", "b.py", "-w")
    assert done.code == 5
    assert Path("a.py").read_text() == HOLE
    assert Path("b.py").read_text() == "mine\n"
    assert diffu("undo").code == 2, "nothing was written"


def test_all_attempts_count_in_the_figures(diffu, says):
    says("f(1", repair=")")
    put("x = ???4\n")
    told = json.loads(diffu("fill", "f.py", "--json").out)["files"][0]
    assert told["text"] == "x = f(1)\n"
    assert told["run"]["nfe"] > 5, "one forward for the text, and one for each edit that was tried"


def test_json_and_diff_do_not_echo(diffu, loaded):
    done = diffu("fill", "-", "-r", "9", "--json", stdin=b"x\n")
    assert json.loads(done.out)["status"] == 2
    assert diffu("fill", "-", "-r", "9", "--diff", stdin=b"x\n").out == b""


def test_the_name_of_stdin_tells_the_language_and_the_path_of_the_patch(diffu, says):
    says("1")
    done = diffu("fill", "-", "--stdin-filename", "sub/x.js", "--diff", stdin=b"let x = ???;\n")
    assert done.out.startswith(b"--- a/sub/x.js\n+++ b/sub/x.js\n")


def test_mini_fills_a_hole_with_what_both_sides_ask_for(diffu, mini):
    done = diffu("fill", "-", "-m", mini, "-v", stdin=b"def reverse_string(text):\n    ???1-16\n")
    assert done.code == 0, done.err
    assert done.out == b"def reverse_string(text):\n    return text[::-1]\n"


@pytest.mark.parametrize("flags", [(), ("--preset", "exact"), ("--verify", "warn")])
def test_what_does_not_parse_is_repaired(diffu, says, flags):
    says("[1", repair="]")
    put("x = ???4\n")
    done = diffu("fill", "f.py", *flags)
    assert (done.code, done.out, done.err) == (0, b"x = [1]\n", "")


@pytest.mark.parametrize(("flags", "code"), [(("--steps", "9"), 3), (("--verify", "off"), 0)])
def test_nothing_is_repaired_where_the_steps_are_given_or_nothing_is_verified(diffu, says, flags, code):
    says("f(1", repair=")")
    put("x = ???4\n")
    done = diffu("fill", "f.py", *flags)
    assert (done.code, done.out) == (code, b"" if code else b"x = f(1\n")


def test_new_text_that_needs_a_higher_python_than_the_project_is_told_and_written(diffu, says):
    Path("pyproject.toml").write_text('[project]\nrequires-python = ">=3.7"\n')
    says("(y := 1)", "(y := 1)", "1")
    put(HOLE)
    done = diffu("fill", "f.py")
    assert (done.code, done.out) == (0, b"x = (y := 1)\n")
    assert done.err.startswith(
        "diffu: f.py: line 1 has `:=`, which needs Python 3.8; the lowest of this project is 3.7 ("
    )
    assert json.loads(diffu("fill", "f.py", "--json").out)["files"][0]["notes"] == [done.err[len("diffu: f.py: ") : -1]]
    put("(a := 1)\n" + HOLE)
    assert diffu("fill", "f.py").err == ""
