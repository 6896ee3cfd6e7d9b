"""A file of answers is whole after any end, is written by one process, and remembers how it was begun."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from diffucli.batch.answers import SETTINGS, AnswerFile, opened, settings_of, settle
from diffucli.errors import UsageError, WriteFailed

if TYPE_CHECKING:
    from pathlib import Path


def answer(key: str, sample: int = 0, status: int = 0) -> dict[str, object]:
    return {"id": key, "sample": sample, "digest": f"d{key}", "status": status}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with three answers."""
    made = tmp_path / "answers.jsonl"
    with opened(made) as file:
        for each in (answer("a"), answer("b", status=3), answer("a", 1)):
            file.append(each)
        file.sync()
    return made


def test_lines_are_known_again(path: Path) -> None:
    with opened(path) as file:
        assert list(file.lines) == [("a", 0), ("b", 0), ("a", 1)]
        assert [line.status for line in file.lines.values()] == [0, 3, 0]
        assert file.lines["b", 0].digest == "db"


@pytest.mark.parametrize("torn", [b'{"id": "c"', b'{"id": "c", "sample": 0, "digest": "", "status": 0}', b"\0\0"])
def test_a_torn_last_line_is_cut_and_written_again(path: Path, torn: bytes) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    with opened(path) as file:
        assert path.read_bytes() == whole
        file.append(answer("c"))
    assert path.read_bytes() == whole + json.dumps(answer("c")).encode() + b"\n"


def test_what_is_no_answer_is_left_as_it_is(path: Path) -> None:
    for text in ("hello\n", '{"id": "x"}\n', "[]\n"):
        path.write_text(json.dumps(answer("a")) + "\n" + text)
        with pytest.raises(UsageError, match=r"answers.jsonl:2: this is no answer of a batch"):
            AnswerFile(path)
        assert path.read_text().endswith(text)


@pytest.mark.parametrize("text", [b"a note without an end", b'{"hello": 1}', b'{"id": "a", "prompt": "x"}', b"\0\0"])
def test_the_only_line_of_another_file_is_not_cut(tmp_path: Path, text: bytes) -> None:
    """A file of one line without a newline was taken for a torn answer, and emptied."""
    path = tmp_path / "notes"
    path.write_bytes(text)
    with pytest.raises(UsageError, match="notes:1: this is no answer of a batch"):
        AnswerFile(path)
    assert path.read_bytes() == text


def test_a_last_line_that_somebody_else_wrote_is_not_cut(path: Path) -> None:
    content = path.read_bytes() + b"a note"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"answers.jsonl:4: this is no answer"):
        AnswerFile(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("torn", [b'{"i', b'{"id": "a", "sam', b"\0\0", b'{"id": "a"\0\0'])
def test_a_torn_first_line_is_cut_where_a_batch_was_begun(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "new.jsonl"
    with opened(path) as file:
        settle(file, {"seed": 1})
    path.write_bytes(torn)
    with opened(path) as file:
        assert not file.lines
    assert path.read_bytes() == b""


def test_one_process_writes_at_a_time(path: Path) -> None:
    with opened(path), pytest.raises(UsageError, match="is being written by another batch"):
        AnswerFile(path)
    AnswerFile(path).close()


def test_a_file_is_rewritten_in_another_order_and_goes_on(path: Path) -> None:
    path.chmod(0o640)
    with opened(path) as file:
        file.rewrite([("a", 1), ("a", 0)])
        assert list(file.lines) == [("a", 1), ("a", 0)]
        file.append(answer("z"))
        with pytest.raises(UsageError, match="another batch"):
            AnswerFile(path)
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["a", "a", "z"]
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_link_stays_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    with opened(link) as file:
        file.rewrite([("b", 0)])
    assert link.is_symlink()
    assert len(path.read_text().splitlines()) == 1


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe is no file"):
        AnswerFile(tmp_path / "pipe")
    with pytest.raises(WriteFailed, match="Is a directory"):
        AnswerFile(tmp_path)


def test_other_settings_are_refused_with_what_differs(path: Path) -> None:
    beside = path.with_name(path.name + SETTINGS)
    with opened(path) as file:
        with pytest.raises(
            UsageError, match=r"settings.json cannot be read .*, which says how answers.jsonl was written"
        ):
            settle(file, {"seed": 1})
        beside.write_text('{"seed": 1, "top_p": null, "old": 1}')
        assert settings_of(file) == {"seed": 1, "top_p": None, "old": 1}
        settle(file, {"seed": 1, "top_p": None, "old": 1})
        with pytest.raises(UsageError, match=r"begun with top p unset, and now it is 0\.5"):
            settle(file, {"seed": 1, "top_p": 0.5, "old": 1})
        with pytest.raises(UsageError, match="begun with old 1, and now it is unset"):
            settle(file, {"seed": 1})


def test_settings_are_beside_a_new_file_before_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    path.with_name(path.name + SETTINGS).write_text("of a file that was deleted")
    with opened(path) as file:
        assert settings_of(file) is None
        settle(file, {"seed": 2})
        file.append(answer("a"))
        assert settings_of(file) == {"seed": 2}
