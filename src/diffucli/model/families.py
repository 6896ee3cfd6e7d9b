"""The families of checkpoints that can be run, and which one a folder belongs to by its files alone.

Imports no torch. docs/families.md says how a family is added.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from diffucli import files
from diffucli.errors import BadCheckpoint
from diffucli.model import special_tokens as tokens
from diffucli.model.checkpoint import CONFIG, Unsupported, as_bad_checkpoint, read_object
from diffucli.model.config import Config
from diffucli.model.family import ChatTemplate, Clues, ConfigKeys, Family, FimTemplate, PublishedSampling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MASK, PAD, EXPAND = "<|mask|>", "<|dlm_pad|>", "<|expand|>"
BEGIN_OF_TEXT, END_OF_TEXT = "<|beginoftext|>", "<|endoftext|>"
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
DREAM_CHAT = ChatTemplate(TURN_START, TURN_END, system="You are a helpful assistant.", user_suffix="\n")
DREAM_TYPE, QWEN_TYPE, LLADA_TYPE, DIFFCODER = "Dream", "qwen2", "llada", "diffcoder"
PULL_ANOTHER = "diffu model pull diffucoder brings one that runs"
DREAM_RECIPES = {  # repository → what its authors sample with
    "apple/DiffuCoder-7B-Base": PublishedSampling(0.2, 0.95),
    "apple/DiffuCoder-7B-Instruct": PublishedSampling(0.3, 0.95),
    "apple/DiffuCoder-7B-cpGRPO": PublishedSampling(0.4, 0.95),
    "Dream-org/Dream-v0-Instruct-7B": PublishedSampling(0.2, 0.95),
    "Dream-org/Dream-Coder-v0-Instruct-7B": PublishedSampling(0.1, 0.95),
}
OPEN_DCODER, ADDED_MASK = "fredzzp/open-dcoder-0.5B", "[MASK]"  # its sampler adds the mask token
SEED_BEGIN, SEED_END = "<[begin▁of▁sentence]>", "<[end▁of▁sentence]>"
SEED_CHAT = ChatTemplate(SEED_BEGIN, SEED_END, gap="")
SEED_FIM = FimTemplate("<[fim-suffix]>", "<[fim-prefix]>", "<[fim-middle]>")
SEED_MASK, SEED_BLOCK, MOST_BLOCK = 5, 4, 1024  # the first two are named in no file
SEED_KEYS = ConfigKeys(
    fixed=(("attention_bias", False), ("mlp_bias", False)), given=(("qkv_bias", False), ("trained_length", 8192))
)
HEADER_START, HEADER_END, END_OF_TURN = "<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>"
LLADA_CHAT = ChatTemplate(HEADER_START, END_OF_TURN, role_end=HEADER_END, gap="", begin="<|startoftext|>")
LLADA_KEYS = ConfigKeys(
    names=(
        ("d_model", "hidden_size"),
        ("mlp_hidden_size", "intermediate_size"),
        ("n_layers", "num_hidden_layers"),
        ("n_heads", "num_attention_heads"),
        ("n_heads", "num_key_value_heads"),
        ("n_kv_heads", "num_key_value_heads"),
        ("embedding_size", "vocab_size"),
        ("max_sequence_length", "max_position_embeddings"),
        ("max_sequence_length", "trained_length"),
        ("weight_tying", "tie_word_embeddings"),
        ("include_qkv_bias", "qkv_bias"),
        ("activation_type", "hidden_act"),
    ),
    fixed=(
        *(("block_type", "llama"), ("layer_norm_type", "rms"), ("rope", True), ("alibi", False)),
        *(("include_bias", False), ("attention_layer_norm", False), ("scale_logits", False)),
        *(("input_emb_norm", False), ("multi_query_attention", False)),
    ),
    given=(("qkv_bias", False),),
)
LLADA_TENSORS = (
    *(("model.layers.", "model.transformer.blocks."), ("self_attn.o_proj", "attn_out"), ("self_attn.", "")),
    *(("mlp.gate_proj", "ff_proj"), ("mlp.up_proj", "up_proj"), ("mlp.down_proj", "ff_out")),
    *(("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ff_norm")),
    *(("model.embed_tokens", "model.transformer.wte"), ("model.norm", "model.transformer.ln_f")),
    ("lm_head", "model.transformer.ff_out"),
)


DREAM = Family(
    name="dream", shift=1, mask=MASK, pads=(PAD, END_OF_TEXT), ends=(TURN_END, PAD, END_OF_TEXT)
)  # without chat turns


class _Unlike(Exception):
    """What a folder lacks to be of a family."""


def dream(clues: Clues) -> Family:
    """Dream, DiffuCoder and Dream-Coder; DreamOn, if the vocabulary has the token that lets holes grow."""
    found = replace(
        DREAM,
        template=clues.own_template(DREAM_CHAT) if answers_chat(clues.folder) else None,
        published=DREAM_RECIPES.get(clues.source),
    )
    special = tokens.special_tokens(clues.folder)
    if EXPAND not in special:
        return found
    _require_same(clues.values, "expand_token_id", special[EXPAND])
    return replace(
        found,
        name="dreamon",
        template=None,
        expand=EXPAND,
        begin=BEGIN_OF_TEXT,
        close=END_OF_TEXT,
        published=PublishedSampling(0.2, 0.9, commits="single"),
    )


def open_dcoder(clues: Clues) -> Family:
    """Qwen2 with a mask token: Open-dCoder."""
    named = tokens.role(clues.folder, "mask_token")
    mask = named or (ADDED_MASK if clues.source == OPEN_DCODER else "")
    if not mask:
        raise _Unlike("its tokenizer names no mask token, so it is no diffusion model")
    return Family(
        name="open-dcoder",
        shift=1,
        mask=mask,
        added="" if named else mask,
        pads=(END_OF_TEXT,),
        ends=(TURN_END, END_OF_TEXT),
        published=PublishedSampling(0.8, order="confidence", commits="p2"),
    )


def stable_diffcoder(clues: Clues) -> Family:
    """Llama with block-causal attention: Stable-DiffCoder."""
    end = tokens.role(clues.folder, "eos_token") or SEED_END
    return Family(
        name="stable-diffcoder",
        shift=0,
        block=_block(clues.values),
        mask=f"id {SEED_MASK}",
        mask_id=SEED_MASK,
        pads=(end,),
        ends=(end,),
        template=None if clues.is_base else clues.own_template(SEED_CHAT),
        fim=SEED_FIM,
        keys=SEED_KEYS,
        published=PublishedSampling(
            0.0, order="confidence", commits="linear", block=_block(clues.values), cache="prefix", stops=True
        ),
    )


def llada(clues: Clues) -> Family:
    """LLaDA and LLaDA-1.5, which differ in how they are sampled from."""
    recipe = PublishedSampling(0.0, order="confidence", commits="linear", ends="never")
    if clues.source.endswith("LLaDA-1.5"):
        recipe = replace(recipe, block=32, ends="late")
    return Family(
        name="llada",
        shift=0,
        mask="<|mdm_mask|>",
        pads=(END_OF_TEXT,),
        ends=(END_OF_TURN, END_OF_TEXT),
        template=None if clues.is_base else clues.own_template(LLADA_CHAT),
        keys=LLADA_KEYS,
        tensor_names=LLADA_TENSORS,
        published=recipe,
    )


def _no_dcoder(_: Clues) -> Family:
    raise _Unlike("neither its architectures nor its auto_map name a DiffCoder, so it is no diffusion model")


def _unknown(_: Clues) -> Family:
    known = ", ".join(repr(each) for each in (DREAM_TYPE, QWEN_TYPE, LLADA_TYPE))
    raise _Unlike(f"the model_types that are supported are {known}")


def _no_experts(_: Clues) -> Family:
    raise _Unlike("layers of several experts are not supported")


FAMILIES: Mapping[str, Callable[[Clues], Family]] = {  # model_type → the family
    DREAM_TYPE: dream,
    QWEN_TYPE: open_dcoder,
    LLADA_TYPE: llada,
    "llama": _no_dcoder,
    "llada_moe": _no_experts,
}


def read(folder: Path, *, name: str = "", source: str = "") -> tuple[Config, Family]:
    """The config and the family of a checkpoint that can be run. Raises BadCheckpoint if it cannot, and says why.

    name: what error messages call the checkpoint; its path by default. source: the repository it comes from, if known.
    """
    name = name or str(folder)
    if not files.exists(folder / CONFIG):
        raise BadCheckpoint(f"{name} is no checkpoint: it lacks {CONFIG}", hint="name a checkpoint folder")
    values = read_object(folder / CONFIG)
    family = read_family(folder, values, name=name, source=source)
    return read_config(values, family.keys, name=name), family


def read_config(values: Mapping[str, Any], keys: ConfigKeys, *, name: str) -> Config:
    """The config of a family that has these keys. Raises BadCheckpoint if no network can be built from it."""
    with as_bad_checkpoint(f"{name}: {CONFIG} cannot be used"):
        try:
            return Config.from_json(keys.translated(values))
        except BadCheckpoint as exc:
            raise type(exc)(f"{name}: {exc.message}", hint=exc.hint) from exc
        except Unsupported as exc:
            raise BadCheckpoint(f"{name} cannot be run: {exc}", hint=PULL_ANOTHER) from exc


def read_family(folder: Path, values: Mapping[str, Any], *, name: str = "", source: str = "") -> Family:
    """The family of a checkpoint by its config.json (`values`) and its tokenizer's files.

    Raises BadCheckpoint if it cannot be run, and says what is missing.
    """
    clues = Clues(folder, values, source)
    try:
        if DIFFCODER in clues.code.lower():
            return stable_diffcoder(clues)
        return FAMILIES.get(str(clues.model_type), _unknown)(clues)
    except _Unlike as exc:
        kind = f"model_type {clues.model_type!r}"
        raise BadCheckpoint(f"{name or folder} cannot be run ({kind}): {exc}", hint=PULL_ANOTHER) from exc


def answers_chat(folder: Path) -> bool:
    """Whether a checkpoint of Dream's family has a chat template, or the pad token that instruction tuning added."""
    return tokens.chat_template(folder) is not None or PAD in tokens.added_tokens(folder)


def _block(values: Mapping[str, Any]) -> int:
    """The block length of block-causal attention."""
    block = values.get("block_length", SEED_BLOCK)
    if type(block) is not int or not 1 < block <= MOST_BLOCK:
        raise _Unlike(f"block_length {block!r} is no length of a block")
    return block


def _require_same(values: Mapping[str, Any], key: str, token: int) -> None:
    if values.get(key, token) != token:
        raise _Unlike(f"{CONFIG} says {key} {values[key]!r}, and the vocabulary {token}")
