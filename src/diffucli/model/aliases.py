"""What a user may call a checkpoint: an alias, a repository on the hub, or a folder.

Knows names alone: nothing of what is on this disk or on the hub, but for folders that a name means.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from diffucli.errors import UsageError

MINI = "mini"
FIRST_CHOICE = "diffucoder"
ALIASES = {
    FIRST_CHOICE: "apple/DiffuCoder-7B-cpGRPO",
    "diffucoder-instruct": "apple/DiffuCoder-7B-Instruct",
    "diffucoder-base": "apple/DiffuCoder-7B-Base",
    "dream-coder": "Dream-org/Dream-Coder-v0-Instruct-7B",
    "dreamon": "Dream-org/DreamOn-v0-7B",
}
_NAMES = {repository.lower(): alias for alias, repository in ALIASES.items()}
_WEB = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/|hf://(?:models/)?")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_LOCAL = ("./", "../", "/", "~", ".\\", "..\\")
_WEIGHTS = {".gguf": "a GGUF file", ".safetensors": "a file", ".bin": "a pickle", ".pt": "a pickle", ".pth": "a pickle"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a checkpoint comes from, and its name here. Either `repository` ("org/name") or `folder` is set."""

    name: str
    repository: str = ""
    folder: Path | None = None

    @property
    def where(self) -> str:
        """The origin as one string for people and records."""
        return self.repository or str(self.folder)


def origin(text: str) -> Origin:
    """What `text` names: an alias, "org/name" (an address of it too) or a folder. UsageError: none of these."""
    name = _WEB.sub("", text.strip()).rstrip("/") if _WEB.match(text.strip()) else text.strip()
    if name == MINI:
        raise UsageError(f"{MINI} is part of diffu, there is nothing to pull", hint=f"diffu model pull {FIRST_CHOICE}")
    if name in ALIASES:
        return Origin(name, ALIASES[name])
    path = Path(name).expanduser()
    if path.suffix.lower() in _WEIGHTS and not path.is_dir():
        raise UsageError(
            f"{text} is {_WEIGHTS[path.suffix.lower()]}, no checkpoint folder",
            hint="name a folder or a repository with config.json and safetensors",
        )
    if name and path.is_dir():
        return _from_folder(path.resolve())
    if name.startswith(_LOCAL) or (name and path.exists()):
        raise UsageError(f"there is no folder {text}", hint="name a folder that holds a checkpoint")
    if is_repository(name):
        return Origin(short(name), name)
    raise UsageError(f"there is no model called {text!r} to pull", hint=suggestion(name, tuple(ALIASES)))


def is_repository(name: str) -> bool:
    """Whether `name` may be a repository on the hub."""
    return bool(_REPOSITORY.fullmatch(name)) and "--" not in name and ".." not in name


def short(name: str) -> str:
    """The name here of what `name` says: the alias where it is the repository of one."""
    return _NAMES.get(name.lower(), name)


def suggestion(name: str, known: tuple[str, ...]) -> str:
    """A hint with the names of `known` nearest to `name`, or with all of them."""
    near = difflib.get_close_matches(name.lower(), known, n=2, cutoff=0.55)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(known)}; or a repository as org/name; or a folder"


def _from_folder(path: Path) -> Origin:
    name = re.sub(r"[^\w.-]+", "-", path.name, flags=re.ASCII).strip("-.")
    if not name or name == MINI or name in ALIASES:
        raise UsageError(f"the folder {path} would be called {name or 'nothing'!r} here", hint="rename the folder")
    return Origin(name, folder=path)
