"""The folder of a training: when it may be used, and its log after a training that was killed."""

from __future__ import annotations

import json

import pytest

from diffucli.errors import UsageError
from diffucli.train import session
from diffucli.train.loop import Updated


def test_a_folder_is_begun_once_and_resumed_only_then(tmp_path):
    session.require_folder(tmp_path / "new", resume=False)
    with pytest.raises(UsageError, match="has no training to resume"):
        session.require_folder(tmp_path / "new", resume=True)
    (tmp_path / "new" / "state").mkdir()
    session.require_folder(tmp_path / "new", resume=True)
    with pytest.raises(UsageError, match="has a training in it"):
        session.require_folder(tmp_path / "new", resume=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make"):
        session.require_folder(tmp_path / "file" / "new", resume=False)


def test_the_log_goes_on_where_the_state_does(tmp_path):
    log = tmp_path / "log.jsonl"
    lines = [json.dumps(session.line_of(Updated(i, i, {"loss": 1 / 3}, 0.1))) for i in (1, 2, 3)]
    log.write_bytes("\n".join([*lines, "damaged", "[1]", '{"lo": 1}', '{"update": 4, "lo']).encode() + b"\xff")
    session._cut(log, 2)
    assert session.read_log(tmp_path) == [{"update": i, "batch": i, "loss": 0.333333, "seconds": 0.1} for i in (1, 2)]
    log.write_text("none\n")
    with pytest.raises(UsageError, match="cannot be read"):
        session.read_log(tmp_path)
