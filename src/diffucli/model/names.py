"""Names of checkpoints: those that are known, addresses of repositories, and what a name or an address means.

Imports no torch and asks no hub.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from diffucli import files
from diffucli.errors import ModelError, UsageError
from diffucli.model import store
from diffucli.model.config import Config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MINI, FIRST_CHOICE = "mini", "diffucoder"
SEVEN_B: Mapping[str, Any] = {  # config.json of DiffuCoder-7B and Dream-7B
    "model_type": "Dream",
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 131072,
    "rope_theta": 1000000.0,
    "rms_norm_eps": 1e-06,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
OPEN_DCODER: Mapping[str, Any] = {
    "model_type": "qwen2",
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "rope_theta": 1000000.0,
    "rms_norm_eps": 1e-06,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
}
STABLE_DIFFCODER: Mapping[str, Any] = {
    "model_type": "llama",
    "vocab_size": 155136,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "qkv_bias": False,
    "max_position_embeddings": 8192,
    "trained_length": 8192,
    "rope_theta": 500000.0,
    "rms_norm_eps": 1e-06,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
LLADA: Mapping[str, Any] = {  # in the words of Qwen2
    "model_type": "llada",
    "vocab_size": 126464,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "qkv_bias": False,
    "max_position_embeddings": 4096,
    "trained_length": 4096,
    "rope_theta": 500000.0,
    "rms_norm_eps": 1e-05,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
PUBLISHED_BYTES = 2  # of a number in the published weights, bfloat16


@dataclass(frozen=True, slots=True)
class Known:
    """A published checkpoint with a short name.

    purpose: what it is good at; figures are those that its authors report. licence: as its card says. shape: the object
    in its config.json, in the words of Qwen2.
    """

    name: str
    repository: str
    purpose: str
    licence: str
    shape: Mapping[str, Any]

    @property
    def config(self) -> Config:
        """Its shape."""
        return Config.from_json(self.shape)

    @property
    def size(self) -> int:
        """Bytes of the published weights."""
        return PUBLISHED_BYTES * self.config.parameters


APPLE, APACHE = "apple-amlr", "apache-2.0"
LAPTOP, WORKSTATION = "open-dcoder", "dream-coder"  # what is recommended without a GPU, and with one
KNOWN = (
    Known(FIRST_CHOICE, "apple/DiffuCoder-7B-cpGRPO", "requests; trained with coupled-GRPO", APPLE, SEVEN_B),
    Known("diffucoder-instruct", "apple/DiffuCoder-7B-Instruct", "requests", APPLE, SEVEN_B),
    Known("diffucoder-base", "apple/DiffuCoder-7B-Base", "continues text, no chat", APPLE, SEVEN_B),
    Known(WORKSTATION, "Dream-org/Dream-Coder-v0-Instruct-7B", "requests and holes; HumanEval 82.9", APACHE, SEVEN_B),
    Known("dream", "Dream-org/Dream-v0-Instruct-7B", "requests of any kind, not code alone", APACHE, SEVEN_B),
    Known("dreamon", "Dream-org/DreamOn-v0-7B", "holes, which find their own length", APACHE, SEVEN_B),
    Known(LAPTOP, "fredzzp/open-dcoder-0.5B", "machines without a GPU; HumanEval 20.8", "see its card", OPEN_DCODER),
    Known(
        "stable-diffcoder",
        "ByteDance-Seed/Stable-DiffCoder-8B-Instruct",
        "requests; HumanEval 86.6; sees no text behind a hole",
        "mit",
        STABLE_DIFFCODER,
    ),
    Known("llada", "GSAI-ML/LLaDA-8B-Instruct", "requests of any kind; HumanEval 49.4", "mit", LLADA),
    Known("llada-1.5", "GSAI-ML/LLaDA-1.5", "requests of any kind; HumanEval 52.4", "mit", LLADA),
)
ALIASES = {known.name: known.repository for known in KNOWN}
PULL = "diffu model pull {}"
_ALIAS_OF = {repository.lower(): alias for alias, repository in ALIASES.items()}
_HUBS = ("huggingface.co", "www.huggingface.co", "hf.co")
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^/@]*@(?=[^/]*/))?", re.IGNORECASE)
_REVISION = re.compile(r"(?P<name>[\w.-]+(?:/[\w.-]+)?)@(?P<revision>[\w./-]+)", re.ASCII)
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_OTHER_KINDS = ("datasets", "spaces", "docs", "papers", "collections", "blog", "models", "kernels")
_AT_REVISION = ("tree", "blob", "resolve", "raw", "commit", "commits", "blame")
_LOCAL = ("./", "../", "/", "~", ".\\", "..\\")
_WEIGHTS = {".gguf": "a GGUF file", ".safetensors": "a file", ".bin": "a pickle", ".pt": "a pickle", ".pth": "a pickle"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a checkpoint is pulled from, and its name in the store. Either `repository` ("org/name") or `folder`.

    revision: a branch, tag or commit, if the name has one.
    """

    name: str
    repository: str = ""
    folder: Path | None = None
    revision: str | None = None

    @property
    def where(self) -> str:
        """The repository or the folder as a string."""
        return self.repository or str(self.folder)


def origin(text: str) -> Origin:
    """What `text` names: an alias, a repository ("org/name" or its address) or a folder. Raises ModelError if none."""
    text = text.strip()
    path = files.home(text)
    if text not in {MINI, *ALIASES} and (text.startswith(_LOCAL) or (text and files.exists(path))):
        return _local(text, path)
    if path.suffix.lower() in _WEIGHTS and not _SCHEME.match(text):
        raise _no_folder(text, path)
    name, revision = _read_address(text)
    name = short_name(name)
    if name == MINI:
        raise ModelError(f"{MINI} is part of diffu, there is nothing to pull", hint=PULL.format(FIRST_CHOICE))
    repository = ALIASES.get(name, name)
    if not is_repository(repository):
        raise ModelError(f"there is no model called {text!r} to pull", hint=suggestion(text, tuple(ALIASES)))
    return Origin(name, repository, revision=revision)


def known(name: str) -> Known:
    """The checkpoint with this short name."""
    return next(each for each in KNOWN if each.name == name)


def is_repository(name: str) -> bool:
    """Whether `name` can be a repository on the hub."""
    return bool(_REPOSITORY.fullmatch(name)) and "--" not in name and ".." not in name


def is_same(one: str, other: str) -> bool:
    """Whether two names are of one repository, or of one folder. The hub takes any case."""
    return one == other or (one.lower() == other.lower() and is_repository(one) and is_repository(other))


def short_name(name: str) -> str:
    """The name in the store of what is called `name`: a repository or its address, or an alias, in any case.

    `name` itself if nothing is known of it.
    """
    if _SCHEME.match(name) or name.lower().startswith(tuple(f"{hub}/" for hub in _HUBS)):
        name = _read_address(name)[0]
    small = _ALIAS_OF.get(name.lower(), name.lower())
    if small in {MINI, *ALIASES}:
        return small
    if store.is_name(name) and store.leftovers(name):
        return name
    return next((record.name for record in store.records() if record.name.lower() == small), name)


def suggestion(name: str, known: tuple[str, ...]) -> str:
    """A hint with the names of `known` that are most like `name`, or with all of them."""
    if similar := difflib.get_close_matches(name.lower(), known, n=2, cutoff=0.55):
        return f"did you mean {' or '.join(similar)}?"
    return f"known: {', '.join(known)}; or a repository as org/name; or a folder"


def _read_address(text: str) -> tuple[str, str | None]:
    """The repository and the revision of an address on the hub, or a name and what stands behind its `@`.

    Raises ModelError if `text` is the address of something else.
    """
    scheme = _SCHEME.match(text)
    bare = text[scheme.end() :] if scheme else text.removeprefix("git@")
    hub = next((hub for hub in _hubs() if bare.lower().startswith((f"{hub}/", f"{hub}:"))), "")
    if scheme and scheme["scheme"].lower() == "hf":
        bare = bare.removeprefix("models/")
    elif hub:
        bare = bare[len(hub) + 1 :]
    elif scheme:
        hint = "name a repository as org/name; HF_ENDPOINT chooses another hub"
        raise ModelError(f"{text} is no address of a hub that diffu knows", hint=hint)
    if found := _REVISION.fullmatch(bare):
        return found["name"], found["revision"]
    return _read_path(text, re.split(r"[?#]", bare)[0]) if scheme or hub else (bare, None)


def _read_path(text: str, path: str) -> tuple[str, str | None]:
    """The repository and the revision of the `path` of an address; None for main, which is the newest.

    Raises ModelError if it is the address of something else.
    """
    parts = [unquote(part) for part in path.split("/") if part]
    if len(parts) > 1 and parts[0].lower() in _OTHER_KINDS:
        raise ModelError(f"{text} is no model but one of the hub's {parts[0]}", hint="name a repository as org/name")
    name, rest = "/".join(parts[:2]).removesuffix(".git"), parts[2:]
    if len(rest) < 2 or rest[0] not in _AT_REVISION:  # noqa: PLR2004 — the kind of page and the revision
        return name, None
    revision = "/".join(rest[1:4] if rest[1] == "refs" else rest[1:2])
    return name, None if revision == "main" else revision


def _hubs() -> tuple[str, ...]:
    """The hosts of the hub, and the mirror that HF_ENDPOINT names, with its path."""
    mirror = _SCHEME.sub("", os.environ.get("HF_ENDPOINT", "")).rstrip("/").lower()
    return (*filter(None, [mirror]), *_HUBS)


def _local(text: str, path: Path) -> Origin:
    """The folder that is named. Raises ModelError if it is none."""
    if not files.is_folder(path):
        raise _no_folder(text, path)
    path = files.real(path)
    name = re.sub(r"[^\w.-]+|-{2,}", "-", path.name, flags=re.ASCII).strip("-.")
    if not name or name.lower() in {MINI, *ALIASES}:
        message = f"a model from {path} would be called {name!r}, which is no free name"
        raise UsageError(message, hint="rename the folder")
    return Origin(name, folder=path)


def _no_folder(text: str, path: Path) -> ModelError:
    if kind := _WEIGHTS.get(path.suffix.lower()):
        hint = "name a folder or a repository with config.json and safetensors"
        return ModelError(f"{text} is {kind}, no checkpoint folder", hint=hint)
    return ModelError(f"there is no folder {text}", hint="name a folder that holds a checkpoint")
