"""Files that anyone may have put there are refused in one line, before they cost anything."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from diffucli import files

SOURCE = Path(files.__file__).parent


def test_a_file_is_read_up_to_its_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 10)
    assert files.read_bytes(tmp_path / "a", 10) == b"x" * 10
    with pytest.raises(OSError, match="larger than 9 B"):
        files.read_bytes(tmp_path / "a", 9)


def test_a_sparse_terabyte_is_refused_by_its_size(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(OSError, match=r"larger than 20\.0 MB"):
        files.read_bytes(tmp_path / "a")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_named_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "a")
    with pytest.raises(OSError, match="is not a regular file"):
        files.read_bytes(tmp_path / "a")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        files.read_bytes(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[]", "no JSON object"),
        (b"\xff", "can't decode"),
        (b'{"a": ' + b"9" * 5000 + b"}", "limit"),
        (b"", "Expecting value"),
    ],
)
def test_whatever_is_no_json_object_is_a_value_error(text, said):
    with pytest.raises(ValueError, match=said):
        files.parse_json(text)


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "\ud800", "loop", "loop/x"])
def test_a_name_that_the_system_refuses_is_of_no_file(tmp_path, name):
    (tmp_path / "loop").symlink_to("loop")
    path = tmp_path / name
    assert not files.exists(path)
    assert not files.is_folder(path)
    with pytest.raises((OSError, ValueError)):
        files.read_bytes(path)


def test_a_loop_of_links_and_an_unknown_user_are_no_errors(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert files.real(tmp_path / "loop").name == "loop"
    assert files.home("~no-such-user/x") == Path("~no-such-user/x")
    assert files.home("~") == Path.home()


def test_reason_is_what_the_system_says_alone(tmp_path):
    with pytest.raises(OSError, match="No such file") as caught:
        (tmp_path / "nowhere").read_bytes()
    assert files.reason(caught.value) == "No such file or directory"
    assert files.reason(ValueError("x")) == "x"


def test_nothing_else_resolves_paths_or_reads_json_of_any_size():
    """`Path.resolve` and `Path.expanduser` raise RuntimeError, on names that users and hubs can give."""
    calls = re.compile(r"\.(resolve|expanduser)\(\)|json\.loads\(.*read_(text|bytes)\(")
    rooms = (path for path in SOURCE.rglob("*.py") if not {"mini", "eval", "bench", "lab", "train"} & {*path.parts})
    assert not [f"{path}: {found[0]}" for path in rooms for found in calls.finditer(path.read_text(encoding="utf-8"))]


def test_a_path_that_leads_to_a_descriptor_of_ours_is_known_by_whatever_links(tmp_path):
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "1").touch()
    leads = {"/dev/stdin": 0, "/dev/stderr": 2, "/dev/fd/63": 63, "/proc/self/fd/7": 7, "/proc/thread-self/fd/7": 7}
    leads |= {str(tmp_path / "link"): 1, f"/proc/{os.getpid()}/fd/3": 3}
    others = ["/proc/1/fd/3", "/dev/fd", "/dev/fd/x", "/dev/fd/" + "9" * 40, "/dev/null", "/", "", "a\0b"]
    others += [str(tmp_path / name) for name in ("1", "loop", "nothing")]
    for name, number in {**leads, **dict.fromkeys(others)}.items():
        assert files.descriptor(Path(name)) == number, name
