"""The special tokens of a checkpoint by name, from the four files that may list them.

Imports no torch. Does not know what a name means, but for the roles that the files give it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli import files
from diffucli.model.checkpoint import TOKENIZER, TOKENIZER_CONFIG, as_bad_checkpoint, read_object, read_text

if TYPE_CHECKING:
    from pathlib import Path

ADDED, ROLES, TEMPLATE = "added_tokens.json", "special_tokens_map.json", "chat_template.jinja"


def added_tokens(folder: Path) -> dict[str, int]:
    """Name → id of the added tokens by added_tokens.json, else by tokenizer_config.json, else by tokenizer.json.

    Raises BadCheckpoint if none lists them.
    """
    if files.exists(folder / ADDED):
        return _listed_apart(folder)
    if files.exists(folder / TOKENIZER) and not read_object(folder / TOKENIZER_CONFIG).get("added_tokens_decoder"):
        return _listed_in_full(folder)
    return _listed_by_tokenizer(folder)


def special_tokens(folder: Path) -> dict[str, int]:
    """Name → id of the tokens that these files list, in the order of ids. Raises BadCheckpoint if one is damaged."""
    found: dict[str, int] = {}
    path = folder / TOKENIZER_CONFIG
    if files.exists(path) and read_object(path).get("added_tokens_decoder"):
        found |= _listed_by_tokenizer(folder)
    if files.exists(folder / ADDED):
        found |= _listed_apart(folder)
    if not found and files.exists(folder / TOKENIZER):
        found = _listed_in_full(folder)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def role(folder: Path, name: str) -> str | None:
    """The token that tokenizer_config.json or special_tokens_map.json gives a role, such as "mask_token"; None if none.

    Raises BadCheckpoint if a file is damaged.
    """
    for file in (TOKENIZER_CONFIG, ROLES):
        if files.exists(folder / file) and (value := read_object(folder / file).get(name)):
            token = value.get("content") if isinstance(value, dict) else value
            if isinstance(token, str) and token:
                return token
    return None


def chat_template(folder: Path) -> str | None:
    """The text of the checkpoint's chat template; None if it has none. Raises BadCheckpoint if its file is damaged.

    Of several named templates that of the name "default".
    """
    if files.exists(folder / TEMPLATE):
        return read_text(folder / TEMPLATE)
    path = folder / TOKENIZER_CONFIG
    value = read_object(path).get("chat_template") if files.exists(path) else None
    if isinstance(value, list):
        with as_bad_checkpoint(f"{path}: chat_template is no list of named templates"):
            value = {str(each["name"]): each["template"] for each in value}.get("default")
    return value if isinstance(value, str) and value else None


def _listed_apart(folder: Path) -> dict[str, int]:
    path = folder / ADDED
    names = read_object(path)
    with as_bad_checkpoint(f"{path} gives a token no id"):
        return {str(name): int(i) for name, i in names.items()}


def _listed_by_tokenizer(folder: Path) -> dict[str, int]:
    path = folder / TOKENIZER_CONFIG
    values = read_object(path)
    with as_bad_checkpoint(f"{path} lists no added tokens"):
        return {str(entry["content"]): int(i) for i, entry in values["added_tokens_decoder"].items()}


def _listed_in_full(folder: Path) -> dict[str, int]:
    path = folder / TOKENIZER
    values = read_object(path)
    with as_bad_checkpoint(f"{path} lists no added tokens"):
        return {str(entry["content"]): int(entry["id"]) for entry in values["added_tokens"]}
