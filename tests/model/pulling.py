"""What tests of pulling share: names, a pull by a name, a pull that must fail. conftest.py makes it importable."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from diffucli.model import registry
from diffucli.model.offer import offer
from diffucli.model.pull import pull

if TYPE_CHECKING:
    from pathlib import Path

    from diffucli.errors import DiffuError
    from diffucli.units import JobProgress

NAME, ALIAS = "apple/DiffuCoder-7B-cpGRPO", "diffucoder"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
PUBLISHED = (
    *("config.json", "generation_config.json", "vocab.json", "merges.txt", "added_tokens.json", FIRST, SECOND),
    *("special_tokens_map.json", "tokenizer_config.json", "model.safetensors.index.json"),
)
CODE, PICKLE, CARD = "modeling_dream.py", "pytorch_model.bin", "README.md"


def pulled(name: str = ALIAS, revision: str | None = None, **flags: Any) -> list[JobProgress]:
    return list(pull(offer(name, revision=revision), **flags))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def edited(folder: Path, file: str, **changes: object) -> None:
    values = json.loads((folder / file).read_text()) | changes
    (folder / file).write_text(json.dumps(values))


def is_unlisted() -> bool:
    return [entry.name for entry in registry.entries()] == ["mini"]


def refused(kind: type[DiffuError], name: str = ALIAS, **flags: Any) -> str:
    """The one line of a pull that must fail, which leaves no model."""
    with pytest.raises(kind) as caught:
        pulled(name, **flags)
    assert is_unlisted()
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return f"{caught.value.message} ({caught.value.hint})"
