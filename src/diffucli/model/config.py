"""The shape and constants of a network, built from config.json here alone.

Imports no torch, so that listing models and planning memory are quick. Knows nothing of tokens or prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from diffucli.model.checkpoint import BLOCK_SIZE, NF4, OtherFormat, Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from torch import Tensor

T = TypeVar("T")
Quantization = Literal["nf4", "none"]
Quant = Literal["auto", "nf4", "none"]  # what a user asks for

TRAINED_LENGTH = 2048  # tokens; the published checkpoints were trained at this length
LARGE_HIDDEN_SIZE = 1024  # hidden sizes from here on are worth packing into four bits
PACKED_ROWS = 32  # rows that bitsandbytes packs together on a CPU
NO_BITSANDBYTES = "four bits need bitsandbytes, which has no wheel for this system"
ACTIVATION = "silu"
MOST = {  # far beyond any published network, and little enough to be reckoned with
    "vocab_size": 2**21,
    "hidden_size": 2**17,
    "intermediate_size": 2**19,
    "num_hidden_layers": 2**10,
    "num_attention_heads": 2**12,
    "num_key_value_heads": 2**12,
    "max_position_embeddings": 2**30,
    "trained_length": 2**30,
    "head_dim": 2**13,
}
UNSUPPORTED = ("rope_scaling", "use_sliding_window", "use_mrope")  # would change the logits without an error
ROPE_THETA = 10000.0  # where config.json does not say
QUANTIZATION_KEY = "quantization_config"
PULL_ORIGINAL = "pull the original, whose weights are in bfloat16: diffu packs it into four bits"
QUANTIZATION = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": NF4}
FUSED = {  # a layer of our network → the published layers that it computes in one product
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}


@dataclass(frozen=True, slots=True)
class Config:
    """What config.json says of a network and of how it was trained. Raises ValueError if the heads do not fit.

    trained_length: tokens, prompt and canvas together. hole_padding: the checkpoint was trained to fill a hole's unused
    positions with pad tokens. mask_token_id: None if config.json does not say. initializer_range: for training.
    head_dim: numbers of a position in one attention head; 0: hidden_size shared out among the heads. qkv_bias: whether
    queries, keys and values have biases.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    max_position_embeddings: int = TRAINED_LENGTH
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = False
    trained_length: int = TRAINED_LENGTH
    hole_padding: bool = False
    quantization: Quantization = "none"
    mask_token_id: int | None = None
    initializer_range: float = 0.02
    model_type: str | None = None
    head_dim: int = 0
    qkv_bias: bool = True

    def __post_init__(self) -> None:
        shared_out = not self.head_dim and self.hidden_size % (2 * self.num_heads)
        if shared_out or self.head_dim % 2 or self.num_heads % self.num_kv_heads:
            given = f" of {self.head_dim} numbers" if self.head_dim else ""
            raise ValueError(
                f"hidden_size {self.hidden_size}, {self.num_heads} attention heads{given} and {self.num_kv_heads} "
                "key/value heads do not fit together"
            )
        if not self.head_dim:
            object.__setattr__(self, "head_dim", self.hidden_size // self.num_heads)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """By the object in a config.json. Raises ValueError or TypeError if this network cannot be built from it.

        Raises BadCheckpoint if its quantisation is not supported.
        """
        for key in UNSUPPORTED:
            if values.get(key) and not _is_default_rope(key, values[key]):
                raise Unsupported(f"{key} is not supported")
        if set(values.get("layer_types") or ()) - {"full_attention"}:
            raise Unsupported("layer_types other than full_attention are not supported")
        if (activation := values.get("hidden_act", ACTIVATION)) != ACTIVATION:
            raise Unsupported(f"hidden_act {activation!r} is not supported")
        return cls(
            vocab_size=_positive(values, "vocab_size"),
            hidden_size=_positive(values, "hidden_size"),
            intermediate_size=_positive(values, "intermediate_size"),
            num_layers=_positive(values, "num_hidden_layers"),
            num_heads=_positive(values, "num_attention_heads"),
            num_kv_heads=_positive(values, "num_key_value_heads"),
            max_position_embeddings=_positive(values, "max_position_embeddings"),
            rope_theta=_rope_theta(values),
            rms_norm_eps=_number(values, "rms_norm_eps", 1e-6),
            tie_word_embeddings=bool(values.get("tie_word_embeddings", False)),
            trained_length=_positive(values, "trained_length", TRAINED_LENGTH),
            hole_padding=bool(values.get("hole_padding", False)),
            quantization=_quantization(values),
            mask_token_id=_of_type(int, values, "mask_token_id"),
            initializer_range=_number(values, "initializer_range", 0.02),
            model_type=_of_type(str, values, "model_type"),
            head_dim=0 if values.get("head_dim") is None else _positive(values, "head_dim"),
            qkv_bias=bool(values.get("qkv_bias", True)),
        )

    @property
    def query_size(self) -> int:
        """Numbers in the queries of one position, all heads together."""
        return self.head_dim * self.num_heads

    @property
    def kv_size(self) -> int:
        """Numbers in the keys of one position, all heads together; as many in the values."""
        return self.head_dim * self.num_kv_heads

    @property
    def context(self) -> int:
        """Tokens, prompt and canvas together, that the checkpoint was trained for."""
        return min(self.trained_length, self.max_position_embeddings)

    @property
    def is_large(self) -> bool:
        """Whether packing the layers into four bits is worth it."""
        return self.hidden_size >= LARGE_HIDDEN_SIZE

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """Name within a layer → (rows, columns) of its weight matrices."""
        hidden, intermediate = self.hidden_size, self.intermediate_size
        return {
            "self_attn.q_proj": (self.query_size, hidden),
            "self_attn.k_proj": (self.kv_size, hidden),
            "self_attn.v_proj": (self.kv_size, hidden),
            "self_attn.o_proj": (hidden, self.query_size),
            "mlp.gate_proj": (intermediate, hidden),
            "mlp.up_proj": (intermediate, hidden),
            "mlp.down_proj": (hidden, intermediate),
        }

    @property
    def parameters(self) -> int:
        """How many numbers the network holds: matrices, embedding, head, norms and biases."""
        tables = 1 if self.tie_word_embeddings else 2
        biases = (self.query_size + 2 * self.kv_size) * self.qkv_bias
        vectors = 2 * self.hidden_size + biases  # two norms
        layer = sum(map(prod, self.matrices.values())) + vectors
        return tables * self.vocab_size * self.hidden_size + self.num_layers * layer + self.hidden_size

    @property
    def packable(self) -> dict[str, tuple[int, int]]:
        """The `matrices` that four bits can pack: bitsandbytes needs whole blocks of rows and columns on a CPU."""
        return {
            name: shape
            for name, shape in self.matrices.items()
            if not shape[0] % PACKED_ROWS and not shape[1] % BLOCK_SIZE
        }

    @property
    def unpackable(self) -> tuple[str, ...]:
        """The last parts of the names ("k_proj") of the `matrices` that four bits cannot pack."""
        return tuple(name.rpartition(".")[2] for name in self.matrices if name not in self.packable)

    @property
    def packed_weights(self) -> frozenset[str]:
        """The names of the tensors that are in four bits in a quantised checkpoint."""
        return frozenset(f"model.layers.{i}.{name}.weight" for i in range(self.num_layers) for name in self.packable)

    @property
    def fused_rows(self) -> dict[str, dict[str, int]]:
        """Fused layer → the published layers in it, from the first row on, and how many rows each has."""
        qkv, gate_up = (self.query_size, self.kv_size, self.kv_size), (self.intermediate_size,) * 2
        return {
            layer: dict(zip(parts, rows, strict=True))
            for (layer, parts), rows in zip(FUSED.items(), (qkv, gate_up), strict=True)
        }

    def split_fused(self, name: str, value: Tensor) -> dict[str, Tensor]:
        """Published name → view of its rows in `value`, which is the parameter `name` of our network."""
        layer, leaf = name.rsplit(".", 2)[-2:]
        if layer not in FUSED:
            return {name: value}
        stem, parts = name.removesuffix(f"{layer}.{leaf}"), self.fused_rows[layer]
        rows = value.split(list(parts.values()))  # type: ignore[no-untyped-call]
        return {f"{stem}{part}.{leaf}": part_rows for part, part_rows in zip(parts, rows, strict=True)}

    def kv_cache_bytes(self, tokens: int, *, width: int) -> int:
        """Bytes of the keys and values of `tokens` positions in numbers of `width` bytes."""
        return 2 * self.num_layers * self.kv_size * tokens * width


def _positive(values: Mapping[str, Any], key: str, default: int | None = None) -> int:
    size = values.get(key, default)
    if type(size) is not int or size < 1:
        raise ValueError(f"{key} must be a positive number, not {size!r}")
    if size > MOST[key]:
        raise ValueError(f"{key} is {size}, more than any network has")
    return size


def _number(values: Mapping[str, Any], key: str, default: float) -> float:
    number = float(values.get(key, default))
    if not 0 < number < inf:
        raise ValueError(f"{key} must be a positive number, not {number}")
    return number


def _rope_theta(values: Mapping[str, Any]) -> float:
    """The base of the rotary embedding; transformers 5 writes it into `rope_parameters`, with the kind of scaling."""
    given = values.get("rope_parameters")
    if given is None:
        return _number(values, "rope_theta", ROPE_THETA)
    known = {"rope_theta", "rope_type"}
    if not isinstance(given, dict) or given.get("rope_type", "default") != "default" or given.keys() - known:
        raise Unsupported(f"rope_parameters {given!r} are not supported")
    theta = _number(given, "rope_theta", _number(values, "rope_theta", ROPE_THETA))
    if "rope_theta" in values and values["rope_theta"] != theta:
        raise ValueError(f"rope_theta is {values['rope_theta']}, and {theta} in rope_parameters")
    return theta


def _is_default_rope(key: str, value: object) -> bool:
    """Whether `value` is a `rope_scaling` that scales nothing."""
    return key == "rope_scaling" and value in ({"type": "default"}, {"rope_type": "default"})


def _of_type(kind: type[T], values: Mapping[str, Any], key: str) -> T | None:
    value = values.get(key)
    if value is not None and type(value) is not kind:
        raise ValueError(f"{key} cannot be {value!r}")
    return value


def _quantization(values: Mapping[str, Any]) -> Quantization:
    """By the quantisation that a config.json names. Raises OtherFormat unless it is NF4 as it is written here."""
    value = values.get(QUANTIZATION_KEY)
    if value is None:
        value = values.get("quantization")  # MLX's key
    if value is None:
        return "none"
    form = _form(value) if isinstance(value, dict) else f"a form {value!r:.40}"
    if form:
        raise OtherFormat(f"the weights are in {form}, which diffu does not read", hint=PULL_ORIGINAL)
    return "nf4"


def _form(value: Mapping[str, Any]) -> str:
    """What a quantisation is called, "" for NF4 in bitsandbytes' layout with quantised scales."""
    method, bits = value.get("quant_method"), value.get("bits")
    if method == "bitsandbytes" and {key: value.get(key) for key in QUANTIZATION} != QUANTIZATION:
        return f"bitsandbytes' {'eight bits' if value.get('load_in_8bit') else 'four bits of another kind than NF4'}"
    if method == "bitsandbytes":
        is_nested = value.get("bnb_4bit_use_double_quant", True) is True
        is_bytes = value.get("bnb_4bit_quant_storage", "uint8") == "uint8"
        return "" if is_nested and is_bytes else "NF4 without quantised scales, or stored in other numbers than bytes"
    if method is None:
        name = "MLX's format" if "group_size" in value else "a format without a name"
    else:
        name = f"the format {str(method).upper():.40}"
    return f"{name} with {bits} bits" if type(bits) is int else name
