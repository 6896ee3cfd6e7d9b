"""What a family of checkpoints is: how it is prompted and decoded, as plain values.

Special tokens are looked up by name, never by id. Imports no torch. `families` has the families that there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from diffucli.model import special_tokens as tokens
from diffucli.model.checkpoint import Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Commits = Literal["dream", "linear", "single", "p2"]
Ends = Literal["free", "late", "never"]
Order = Literal["confidence", "margin", "entropy", "origin"]


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """How a request becomes a chat: a system turn if there is one, a user turn, and the beginning of the assistant's.

    A turn is `turn_start`, the role, `role_end`, the content, `turn_end` and `gap`; before the first one is `begin`.
    source: the checkpoint's own template in Jinja, which is rendered in place of that; "" if it has none.
    """

    turn_start: str
    turn_end: str
    system: str = ""
    user_suffix: str = ""
    role_end: str = "\n"
    gap: str = "\n"
    begin: str = ""
    source: str = ""

    def turns(self, query: str) -> tuple[tuple[str, str], ...]:
        """(role, content) of the turns before the assistant's."""
        system = (("system", self.system),) if self.system else ()
        return (*system, ("user", query + self.user_suffix))

    def text(self, query: str) -> str:
        """The chat up to the assistant's answer, without `source`."""
        turns = (
            f"{self.turn_start}{role}{self.role_end}{content}{self.turn_end}{self.gap}"
            for role, content in self.turns(query)
        )
        return "".join([self.begin, *turns, f"{self.turn_start}assistant{self.role_end}"])


@dataclass(frozen=True, slots=True)
class FimTemplate:
    """How text around a hole is given to a checkpoint that cannot see behind the hole: names of tokens.

    The prompt is `suffix`, the text behind the hole, `prefix`, the text before it, `middle`; the hole's text follows.
    """

    suffix: str
    prefix: str
    middle: str


@dataclass(frozen=True, slots=True)
class PublishedSampling:
    """How the authors of a checkpoint sample from it.

    commits: "dream" (its schedule), "linear" (as many in each step), "single" (one a step) or "p2" (path planning).
    order: what proposals are ranked by. block: longest window, None for the whole canvas. ends: whether end tokens
    may be written as any other ("free"), after all others ("late"), or, those that pad, not at all ("never"). cache:
    whose keys and values are kept. stops: an end token ends the text.
    """

    temperature: float
    top_p: float = 1.0
    order: Order = "entropy"
    commits: Commits = "dream"
    block: int | None = None
    ends: Ends = "free"
    cache: Literal["none", "prefix", "dual"] = "none"
    stops: bool = False


@dataclass(frozen=True, slots=True)
class ConfigKeys:
    """What the config.json of a family says in other words than Qwen2's.

    names: (theirs, ours). fixed: (their key, value); a file that says another value describes another network.
    given: (our key, value) that no file says.
    """

    names: tuple[tuple[str, str], ...] = ()
    fixed: tuple[tuple[str, object], ...] = ()
    given: tuple[tuple[str, object], ...] = ()

    def translated(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """`values` in the words of Qwen2. Raises Unsupported if they describe another network."""
        for key, value in self.fixed:
            if values.get(key, value) not in {value, None}:
                raise Unsupported(f"{key} {values[key]!r} is not supported, only {value!r} is")
        renamed = {ours: values[theirs] for theirs, ours in self.names if values.get(theirs) is not None}
        return {**values, **{key: value for key, value in self.given if key not in values}, **renamed}


@dataclass(frozen=True, slots=True)
class Family:
    """How a checkpoint is prompted and decoded. Special tokens are named, never numbered.

    shift: 1 if the output at position i - 1 predicts position i, 0 if the output at i does. block: attention is
    block-causal: a position sees those of its own and of earlier blocks, which lie at multiples of `block`; None: every
    position sees every other. mask: the mask token's name; mask_id: its id, of families whose files do not name it.
    pads: names of the pad token, the first that the vocabulary has counts. ends: the tokens that end an answer. expand:
    the token that lets a hole grow, in families that have one; then an end token in a hole takes its position away.
    added: a token that the published sampler adds at the next free id.
    begin, close: what stands before and behind a text with holes. template: None if the checkpoint only continues text.
    fim: how holes are filled where the text behind them is not seen. keys: of config.json. tensor_names: (ours, theirs)
    parts of tensor names that differ from Qwen2's. published: the authors' settings, None if there are none.
    """

    name: str
    shift: int
    mask: str
    pads: tuple[str, ...]
    ends: tuple[str, ...]
    block: int | None = None
    mask_id: int | None = None
    expand: str | None = None
    added: str = ""
    begin: str = ""
    close: str = ""
    template: ChatTemplate | None = None
    fim: FimTemplate | None = None
    keys: ConfigKeys = ConfigKeys()
    tensor_names: tuple[tuple[str, str], ...] = ()
    published: PublishedSampling | None = None

    def tensor_name(self, name: str) -> str:
        """The published name of the tensor that is called `name` in Qwen2."""
        for ours, theirs in self.tensor_names:
            name = name.replace(ours, theirs)
        return name


@dataclass(frozen=True, slots=True)
class Clues:
    """What a family is recognised by. values: of config.json. source: the repository, "" if unknown."""

    folder: Path
    values: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def model_type(self) -> object:
        """As config.json has it."""
        return self.values.get("model_type")

    @property
    def code(self) -> str:
        """The names of the classes that the checkpoint was published with."""
        return f"{self.values.get('architectures')} {self.values.get('auto_map')}"

    @property
    def is_base(self) -> bool:
        """Whether the repository's name says that the checkpoint only continues text."""
        return "base" in self.source.lower().rpartition("/")[2].split("-")

    def own_template(self, table: ChatTemplate) -> ChatTemplate:
        """`table` with the checkpoint's own chat template, if it has one."""
        return replace(table, source=tokens.chat_template(self.folder) or "")
