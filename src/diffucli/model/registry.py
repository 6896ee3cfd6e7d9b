"""The models that can be run, what their files say, and the default model.

Imports no torch, so that listing is quick.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from diffucli import files, settings
from diffucli.errors import BadCheckpoint, ModelError
from diffucli.model import families, store
from diffucli.model.adapter import is_adapter
from diffucli.model.checkpoint import CONFIG, NF4, bits_per_weight, read_object, shards, tensor_sizes
from diffucli.model.families import read_config, read_family
from diffucli.model.family import ConfigKeys
from diffucli.model.names import ALIASES, MINI, PULL, is_repository, short_name, suggestion
from diffucli.model.special_tokens import special_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from diffucli.model.config import Config
    from diffucli.model.family import Family, PublishedSampling

DEFAULT_KEY = "model"  # of the user's settings
BF16_BYTES, NF4_BITS = 2, 4


@dataclass(frozen=True, slots=True)
class Limits:
    """What a checkpoint was trained for. languages: by name, () for many. context: it reads texts given with a request.

    english: it knows no other natural language. purpose: what it is, in words.
    """

    languages: tuple[str, ...] = ()
    context: bool = True
    english: bool = False
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint that can be run. embedded: part of the package. record: of the pull, None if it was not pulled."""

    name: str
    folder: Path
    embedded: bool
    record: store.Record | None = None

    @property
    def limits(self) -> Limits:
        """What it can do, as far as it is known."""
        return EMBEDDED_LIMITS if self.embedded else Limits()


EMBEDDED_LIMITS = Limits(
    ("python",), context=False, english=True, purpose="a small demonstration model for common Python tasks"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the files of a checkpoint say.

    family: None if the checkpoint cannot be run. size: bytes of all files. bits: of a weight in the layers. weights:
    bytes of the tensors. special: name → id of the special tokens.
    """

    entry: Entry
    config: Config
    family: Family | None
    size: int
    bits: int = 0
    weights: int = 0
    special: Mapping[str, int] = field(default_factory=dict)

    @property
    def published(self) -> PublishedSampling | None:
        """How the authors sample; None if they published nothing, or if the checkpoint cannot be run."""
        return self.family.published if self.family else None

    @property
    def memory(self) -> int:
        """Bytes of memory that a run takes at least: the weights, and keys and values of the context in bfloat16."""
        return self.weights + self.config.kv_cache_bytes(self.config.context, width=BF16_BYTES)

    @property
    def licence(self) -> str:
        """The name of the licence, as the hub gave it when the model was pulled; "" if unknown."""
        if self.entry.embedded:
            return "apache-2.0"
        return self.entry.record.licence if self.entry.record else ""

    @property
    def revision(self) -> str:
        """The commit that was pulled; "" if there is none."""
        return self.entry.record.revision if self.entry.record else ""


def entries() -> tuple[Entry, ...]:
    """Every checkpoint that has a name, the embedded one first. Models that are half pulled are left out."""
    return (_mini(), *(entry for entry in _pulled() if not _is_adapter(entry)))


def adapters() -> tuple[Entry, ...]:
    """The adapters that were pulled."""
    return tuple(filter(_is_adapter, _pulled()))


def find(name: str | None) -> Entry:
    """The checkpoint called `name`, or in the folder `name`; the default one for None. Raises ModelError."""
    if name is None:
        return default()
    known = {entry.name: entry for entry in entries()}
    if name not in known and files.is_folder(folder := files.home(name)):
        return Entry(name, folder, embedded=False)
    short = short_name(name)
    if entry := known.get(short):
        return entry
    if short in {adapter.name for adapter in adapters()}:
        raise ModelError(f"{name} is an adapter for a model", hint=f"-m MODEL --adapter {short} runs them together")
    if short in ALIASES or is_repository(short):
        raise ModelError(f"{name} is not pulled yet", hint=PULL.format(short))
    raise ModelError(
        f"there is no model {name!r} and no folder of that name",
        hint=suggestion(name, tuple(dict.fromkeys((*known, *ALIASES)))),
    )


def find_adapter(name: str) -> Entry:
    """The adapter that was pulled as `name`, or the one in the folder `name`. Raises ModelError."""
    known = {entry.name: entry for entry in adapters()}
    if entry := known.get(short := short_name(name)):
        return entry
    if files.is_folder(folder := files.home(name)):
        return Entry(name, folder, embedded=False)
    pull = PULL.format(f"MODEL --adapter {short if is_repository(short) else 'org/name'}")
    if is_repository(short):
        raise ModelError(f"the adapter {name} is not pulled yet", hint=pull)
    raise ModelError(f"there is no adapter {name!r} and no folder of that name", hint=f"name a folder, or {pull}")


def default() -> Entry:
    """The checkpoint that runs when none is named. Raises ModelError if it is not installed any more."""
    name = _default_name()
    if name is None:
        return _mini()
    try:
        return find(name)
    except ModelError as exc:
        raise ModelError(
            f"the default model {name} is not installed", hint=f"{PULL.format(name)}, or diffu model use {MINI}"
        ) from exc


def use(name: str) -> Entry:
    """Makes `name` the default model. Raises ModelError, and UsageError or WriteFailed for the settings."""
    entry = find(name)
    place = entry.name if entry.record else str(entry.folder.absolute())
    settings.store(DEFAULT_KEY, None if entry.embedded else place)
    return entry


def remove(name: str, *, linked: bool = False) -> int:
    """Deletes what was pulled as `name`, complete or not; returns the bytes freed. Raises ModelError if nothing was.

    linked: if the model's folder is a link, what it leads to is deleted too.
    """
    short = short_name(name)
    if short == MINI:
        raise ModelError(f"{MINI} is part of diffu and stays", hint="diffu model list shows what was pulled")
    if not store.leftovers(short):
        store.require_ours(short)
        known = tuple(record.name for record in store.records())
        hint = f"pulled: {', '.join(known)}" if known else "nothing is pulled"
        raise ModelError(f"there is no pulled model {name!r}", hint=hint)
    freed = store.remove(short, linked=linked)
    if _default_name() == short:
        settings.store(DEFAULT_KEY, None)
    return freed


def family(entry: Entry) -> Family:
    """The family of a checkpoint, by its small files alone. Raises BadCheckpoint if it cannot be run."""
    return families.read(entry.folder, source=entry.record.source if entry.record else "")[1]


def facts(entry: Entry) -> Facts:
    """The facts of a checkpoint, from its small files and the headers of its weights. Raises BadCheckpoint."""
    values, source = read_object(entry.folder / CONFIG), entry.record.source if entry.record else ""
    found = None
    with suppress(BadCheckpoint):
        found = read_family(entry.folder, values, source=source)
    config = read_config(values, found.keys if found else ConfigKeys(), name=str(entry.folder))
    sizes = {name: size for shard in shards(entry.folder) for name, size in tensor_sizes(shard).items()}
    return Facts(
        entry,
        config,
        found,
        size=store.size(entry.folder),
        bits=NF4_BITS if config.quantization == NF4 else bits_per_weight(sizes),
        weights=sum(size for _, size in sizes.values()),
        special=special_tokens(entry.folder),
    )


def _default_name() -> str | None:
    """The name or folder of the default model by the user's settings; None if they have none."""
    return settings.user().word(DEFAULT_KEY)


def _pulled() -> tuple[Entry, ...]:
    """What was pulled, models and adapters."""
    return tuple(Entry(each.name, store.model_dir(each.name), embedded=False, record=each) for each in store.records())


def _is_adapter(entry: Entry) -> bool:
    return is_adapter(entry.folder) and not files.exists(entry.folder / CONFIG)


def _mini() -> Entry:
    return Entry(MINI, Path(str(resources.files("diffucli") / "models" / MINI)), embedded=True)
