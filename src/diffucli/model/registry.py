"""Names of checkpoints that can be run: the embedded one, those pulled, and any folder in the published layout.

Imports no torch, so that listing is quick.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffucli.errors import ModelError
from diffucli.model import aliases, choice, figures, store, support
from diffucli.model.aliases import FIRST_CHOICE, MINI
from diffucli.model.files import blaming, read_object
from diffucli.model.packed import is_packed
from diffucli.model.shards import shards

if TYPE_CHECKING:
    from collections.abc import Mapping

INVITATION = f"diffu model pull {FIRST_CHOICE} brings a 7B model"
FOUR = 4
PULL = "diffu model pull {}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint by its name. embedded: part of the package, a demonstration model. record: how it was pulled."""

    name: str
    folder: Path
    embedded: bool
    record: store.Record | None = None


def entries() -> tuple[Entry, ...]:
    """Every checkpoint that has a name here, the embedded one first; what is half pulled is none."""
    return (_mini(), *(_pulled(record) for record in store.records()))


def find(name: str | None) -> Entry:
    """The checkpoint called `name`, or in the folder `name`; for None the chosen one, else the embedded. ModelError."""
    if name is None:
        return default()
    known = {entry.name: entry for entry in entries()}
    if entry := known.get(aliases.short(name)):
        return entry
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Entry(name, folder, embedded=False)
    if name in aliases.ALIASES or aliases.is_repository(name):
        raise ModelError(f"{name} is not pulled yet", hint=PULL.format(name))
    raise ModelError(
        f"there is no model {name!r} and no folder of that name",
        hint=aliases.suggestion(name, tuple(dict.fromkeys((*known, *aliases.ALIASES)))),
    )


def default() -> Entry:
    """The checkpoint that runs when none is named. ModelError: the chosen one is gone."""
    name = choice.chosen()
    if name is None:
        return _mini()
    try:
        return find(name)
    except ModelError as exc:
        raise ModelError(
            f"the chosen model {name} is not here", hint=f"{PULL.format(name)}, or diffu model use {MINI}"
        ) from exc


def use(name: str) -> Entry:
    """Makes `name` the model that runs when none is named; MINI takes a choice back. ModelError."""
    entry = find(name)
    if entry.embedded:
        choice.choose(None)
    else:
        choice.choose(entry.name if entry.record else str(entry.folder.absolute()))
    return entry


def remove(name: str) -> int:
    """Deletes what was pulled as `name`, whole or half; the bytes freed. ModelError: nothing was."""
    short = aliases.short(name)
    if short == MINI:
        raise ModelError(f"{MINI} is part of diffu and stays", hint="diffu model list shows what was pulled")
    if not store.traces(short):
        known = tuple(record.name for record in store.records())
        hint = f"pulled: {', '.join(known)}" if known else "nothing is pulled"
        raise ModelError(f"there is no pulled model {name!r}", hint=hint)
    freed = store.remove(short)
    if choice.chosen() == short:
        choice.choose(None)
    return freed


@dataclass(frozen=True, slots=True)
class Facts:
    """What the files of a checkpoint say.

    parameters: their number. bits: of a weight in the layers. size: bytes on disk of all files. weights: bytes of the
    tensors. cache: bytes of keys and values at the full context. context: tokens. special: name → id. memory: weights
    and cache together, what a run takes at least.
    """

    entry: Entry
    settings: Mapping[str, Any]
    parameters: int
    size: int
    bits: int = 0
    weights: int = 0
    context: int = figures.CONTEXT
    cache: int = 0
    special: Mapping[str, int] = field(default_factory=dict)

    @property
    def memory(self) -> int:
        """Bytes of memory that a run takes at least."""
        return self.weights + self.cache

    @property
    def licence(self) -> str:
        """The licence by its name, as the hub had it when the model was pulled; "" where that is unknown."""
        if self.entry.embedded:
            return "apache-2.0"
        return self.entry.record.licence if self.entry.record else ""

    @property
    def revision(self) -> str:
        """The commit that was pulled; "" for others."""
        return self.entry.record.revision if self.entry.record else ""


def facts(entry: Entry) -> Facts:
    """The facts of a checkpoint, read from its headers alone. BadCheckpoint."""
    settings = read_object(entry.folder / "config.json")
    tensors = {name: found for shard in shards(entry.folder) for name, found in figures.tensors(shard).items()}
    with blaming(f"{entry.folder / 'config.json'} gives no sizes"):
        context = figures.context(settings)
        return Facts(
            entry,
            settings,
            parameters=figures.parameters(settings),
            size=store.size(entry.folder),
            bits=FOUR if is_packed(settings) else figures.bits(tensors),
            weights=sum(size for _, size in tensors.values()),
            context=context,
            cache=figures.cache_bytes(settings, context),
            special=support.special_tokens(entry.folder),
        )


def _mini() -> Entry:
    return Entry(MINI, Path(str(resources.files("diffucli") / "models" / MINI)), embedded=True)


def _pulled(record: store.Record) -> Entry:
    return Entry(record.name, store.place(record.name), embedded=False, record=record)
