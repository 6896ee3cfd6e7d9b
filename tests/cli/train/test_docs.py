"""Every command of docs/training.md runs, with few and short completions."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from diffucli.train.session import read_log

PAGE = Path(__file__).parents[3] / "docs" / "training.md"
LAUNCHED = re.compile(r"^(?:accelerate launch --multi_gpu|torchrun) .* -m diffucli ")  # see test_loop.py
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
COMMANDS = [re.sub(r"\s{2,}#.*", "", line) for line in "".join(BLOCKS).splitlines()]
FEW = {
    "grpo": ["--updates", "1", "--batch", "2", "--num-generations", "3", "--length", "8", "--reward", "rewards:short"],
    "sft": ["--updates", "1", "--batch", "2"],
}


def words_of(command: str, golden: Path) -> list[str]:
    """The words of a command, without a launcher, on the golden checkpoint."""
    words = shlex.split(LAUNCHED.sub("diffu ", command))
    assert words[:2] == ["diffu", "train"], command
    words = [str(golden) if word == "diffucoder" else word for word in words[1:]]
    return [*words, *FEW[words[1]], "--no-picture"]


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) >= 7
    assert any("sft" in command for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(command, diffu, project, golden):
    words = words_of(command, golden)
    if "--resume" in words:
        assert diffu(*(word for word in words if word != "--resume")).code == 0
    done = diffu(*words)
    assert done.code == 0, done.err
    folder = project / words[words.index("-o") + 1]
    assert [line["update"] for line in read_log(folder)] == [1]
