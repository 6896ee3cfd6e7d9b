"""A sound folder loads in silence and offline; a bad one is one clear line, never a foreign traceback."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from diffucli.errors import BadCheckpoint, NoRoom, UsageError
from diffucli.model import chat_template, families, memory, nf4, store
from diffucli.model import load as module
from diffucli.model.family import PublishedSampling
from diffucli.model.load import DTYPES, find_device, load
from diffucli.model.memory import width
from diffucli.model.network import Network
from diffucli.model.quantize import quantize
from diffucli.model.transformer import Transformer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIRST, SECOND, INDEX = (
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
)
needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes has no wheel for this machine"
)


def test_the_golden_checkpoint_loads(checkpoint, golden):
    assert checkpoint.folder == golden
    assert checkpoint.network.device == torch.device("cpu")
    assert not checkpoint.network.model.training
    assert checkpoint.tokenizer.mask == checkpoint.config.mask_token_id
    assert checkpoint.config.context == 2048
    assert not checkpoint.config.hole_padding


def edited(folder: Path, **changes: object) -> None:
    """config.json with `changes`; None takes a key away."""
    path = folder / "config.json"
    settings = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))


def test_a_checkpoint_says_its_own_length_and_padding(folder):
    edited(folder, trained_length=512, hole_padding=True)
    loaded = load(folder, device="cpu")
    assert loaded.config.context == 512
    assert loaded.config.hole_padding


def test_a_single_file_a_tied_head_and_rotary_buffers_are_allowed(folder):
    tensors = load_file(folder / FIRST) | load_file(folder / SECOND)
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(8)
    del tensors["lm_head.weight"]
    for name in (FIRST, SECOND, INDEX):
        (folder / name).unlink()
    edited(folder, tie_word_embeddings=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    model = load(folder, device="cpu").network.model
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_a_link_to_a_file_is_a_file(folder):
    """As in the hub's cache."""
    for name in (FIRST, "config.json"):
        (folder / name).rename(folder / f"blob-{name}")
        (folder / name).symlink_to(folder / f"blob-{name}")
    load(folder, device="cpu")


def overwritten(shard: str, tensor: str, change: Callable[[torch.Tensor], torch.Tensor | None]):
    def damage(folder: Path) -> None:
        tensors = load_file(folder / shard)
        value = change(tensors.pop(tensor))
        save_file(tensors if value is None else tensors | {tensor: value}, folder / shard, metadata={"format": "pt"})

    return damage


def written(name: str, content: bytes | str):
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return damage


def config(**changes: object):
    return lambda folder: edited(folder, **changes)


def gone(name: str):
    return lambda folder: (folder / name).unlink()


def a_folder(name: str):
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return damage


def a_pipe(name: str):
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


def cut(name: str, size: int):
    return lambda folder: os.truncate(folder / name, size)


def nan_row(tensor: torch.Tensor) -> torch.Tensor:
    tensor[-1] = torch.nan
    return tensor


def unknown_dtype(folder: Path) -> None:
    data = (folder / SECOND).read_bytes()
    (folder / SECOND).write_bytes(data.replace(b'"dtype":"F32"', b'"dtype":"Q32"', 1).replace(b"Q32", b"Q99"))


def pickled(folder: Path) -> None:
    for name in (FIRST, SECOND, INDEX):
        (folder / name).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"x": 1}))


def no_mask(folder: Path) -> None:
    text = (folder / "added_tokens.json").read_text()
    (folder / "added_tokens.json").write_text(text.replace("<|mask|>", "<|hole|>"))


def indexed_elsewhere(folder: Path) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"] = dict.fromkeys(index["weight_map"], f"../{folder.name}/{FIRST}")
    (folder / INDEX).write_text(json.dumps(index))


HEADER = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
LAYER = "model.layers.0.mlp.up_proj.weight"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (gone("config.json"), "lacks config.json"),
    "config is not JSON": (written("config.json", "{nope"), "config.json is not JSON"),
    "config is not UTF-8": (written("config.json", b"\xff\xfe\x00"), "config.json cannot be read"),
    "config is nested without end": (written("config.json", "[" * 200_000), "config.json is not JSON"),
    "config is a list": (written("config.json", "[]"), "config.json is not JSON (it holds no JSON object)"),
    "config is empty": (written("config.json", ""), "config.json is not JSON"),
    "config is a pipe": (a_pipe("config.json"), "config.json is no regular file"),
    "config is a folder": (a_folder("config.json"), "config.json is no regular file"),
    "a llama": (config(model_type="llama"), "(model_type 'llama'): neither its architectures nor its auto_map name"),
    "experts": (config(model_type="llada_moe"), "layers of several experts are not supported"),
    "no family": (config(model_type=None), "(model_type None): the model_types that are supported are 'Dream'"),
    "no hidden size": (config(hidden_size=None), "hidden_size must be a positive number, not None"),
    "hidden size in words": (config(hidden_size="64"), "hidden_size must be a positive number, not '64'"),
    "no heads": (config(num_attention_heads=0), "num_attention_heads must be a positive number, not 0"),
    "trained length below zero": (config(trained_length=-1), "trained_length must be a positive number"),
    "no vocabulary size": (config(vocab_size=None), "vocab_size must be"),
    "no longest length": (config(max_position_embeddings=None), "max_position_embeddings must be"),
    "unknown activation": (config(hidden_act="wavy"), "hidden_act 'wavy' is not supported"),
    "odd heads": (config(num_key_value_heads=3), "4 attention heads and 3 key/value heads do not fit"),
    "norm in words": (config(rms_norm_eps="x"), "config.json cannot be used"),
    "rotation in words": (config(rope_theta="x"), "config.json cannot be used"),
    "scaled rotation": (config(rope_scaling={"type": "yarn", "factor": 4.0}), "rope_scaling is not supported"),
    "more layers": (config(num_hidden_layers=4), "lack the tensor model.layers.3."),
    "fewer layers": (config(num_hidden_layers=2), "no place for the tensor model.layers.2."),
    "other sizes": (config(hidden_size=128), "config.json asks for"),
    "no vocabulary": (gone("vocab.json"), "lacks vocab.json"),
    "no merges": (gone("merges.txt"), "lacks merges.txt"),
    "merges of another vocabulary": (written("merges.txt", "q zz\n"), "do not fit together"),
    "no tokenizer settings": (gone("tokenizer_config.json"), "lacks tokenizer_config.json"),
    "vocabulary is a pipe": (a_pipe("vocab.json"), "vocab.json is no regular file"),
    "merges are a folder": (a_folder("merges.txt"), "merges.txt is no regular file"),
    "no mask token": (no_mask, "lacks <|mask|>"),
    "mask ids disagree": (config(mask_token_id=487), "name different mask tokens"),
    "too few rows": (config(vocab_size=485), "more tokens than the network has rows"),
    "no shard": (gone(SECOND), f"lacks {SECOND}"),
    "no weights at all": (lambda f: [(f / n).unlink() for n in (FIRST, SECOND, INDEX)], "lacks model.safetensors"),
    "shard cut in the data": (cut(SECOND, 200_000), f"{SECOND} is damaged, truncated"),
    "shard cut in the header": (cut(SECOND, 100), f"{SECOND} is damaged, truncated"),
    "shard cut in the length": (cut(SECOND, 5), f"{SECOND} is damaged, truncated"),
    "empty shard": (cut(FIRST, 0), f"{FIRST} is damaged, truncated"),
    "garbage shard": (written(FIRST, b"\x93garbage\n" * 99), f"{FIRST} is damaged, truncated"),
    "a page of HTML for a shard": (written(FIRST, "<!DOCTYPE html><p>503</p>"), f"{FIRST} is damaged, truncated"),
    "shard header is a list": (written(FIRST, struct.pack("<Q", 2) + b"[]"), f"{FIRST} is damaged, truncated"),
    "shard with a surplus tensor": (
        written(FIRST, struct.pack("<Q", len(HEADER)) + HEADER + b"\0" * 8),
        "lack the tensor",
    ),
    "shard is a pipe": (a_pipe(FIRST), f"{FIRST} is no regular file"),
    "shard is a folder": (a_folder(FIRST), f"{FIRST} is no regular file"),
    "index is a list": (written(INDEX, "[]"), f"{INDEX} is not JSON (it holds no JSON object)"),
    "index is not JSON": (written(INDEX, "503"), f"{INDEX} is not JSON (it holds no JSON object)"),
    "index without a map": (written(INDEX, "{}"), f"{INDEX} is no shard index"),
    "index maps to a list": (written(INDEX, '{"weight_map": ["a"]}'), f"{INDEX} is no shard index"),
    "index maps to numbers": (written(INDEX, '{"weight_map": {"a": 1, "b": "c"}}'), f"{INDEX} is no shard index"),
    "index maps to nothing": (written(INDEX, '{"weight_map": {}}'), f"{INDEX} is no shard index"),
    "index points out of the folder": (indexed_elsewhere, f"{INDEX} is no shard index"),
    "index is a pipe": (a_pipe(INDEX), f"{INDEX} is no regular file"),
    "no tensor": (overwritten(FIRST, LAYER, lambda _: None), f"lack the tensor {LAYER}"),
    "a tensor of another shape": (overwritten(FIRST, LAYER, lambda t: t[:3].clone()), f"{LAYER} has shape [3, 64]"),
    "a tensor of whole numbers": (overwritten(FIRST, LAYER, torch.Tensor.char), f"{LAYER} holds I8, no floats"),
    "a tensor in FP8": (
        overwritten(FIRST, LAYER, lambda t: t.to(torch.float8_e4m3fn)),
        f"{LAYER} holds F8_E4M3, which diffu does not read",
    ),
    "an unknown dtype": (unknown_dtype, f"{SECOND} is damaged, truncated"),
    "NaN in a layer": (overwritten(FIRST, LAYER, nan_row), f"{LAYER} holds values that are not finite"),
    "NaN in one embedding row": (
        overwritten(FIRST, "model.embed_tokens.weight", nan_row),
        "model.embed_tokens.weight holds values that are not finite",
    ),
    "a pickle": (pickled, "holds a pickle (pytorch_model.bin), which can run code"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_bad_checkpoint_is_one_clear_line(folder, name):
    damage, line = DAMAGES[name]
    damage(folder)
    with pytest.raises(BadCheckpoint) as caught:
        load(folder, device="cpu")
    message = caught.value.message
    assert line in message
    assert str(folder) in message
    assert "\n" not in message
    assert len(message) < 400 + len(str(folder))
    assert caught.value.hint
    assert caught.value.exit_code == 4


def changed(name: str, **changes: object):
    """A JSON file with `changes`; None takes a key away."""

    def damage(folder: Path) -> None:
        values = json.loads((folder / name).read_text()) | changes
        (folder / name).write_text(json.dumps({key: value for key, value in values.items() if value is not None}))

    return damage


def template(text: object):
    return changed("tokenizer_config.json", chat_template=text)


def in_tokenizer(**changes: object):
    return changed("tokenizer.json", **changes)


def without_mask(folder: Path) -> None:
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace("<|mdm_mask|>", "<|other|>"))
    changed("tokenizer_config.json", added_tokens_decoder=None)(folder)


def moved_token(folder: Path) -> None:
    tokens = json.loads((folder / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    changed("tokenizer_config.json", added_tokens_decoder=tokens | {"400": tokens.pop("6")})(folder)


def with_biases(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"model.layers.0.self_attn.q_proj.bias": torch.zeros(64)}, folder / "model.safetensors")


def other_names(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {name.replace("wte", "embed_tokens"): each for name, each in tensors.items()}, folder / "model.safetensors"
    )


def not_finite(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.transformer.blocks.1.ff_proj.weight"][0, 0] = torch.nan
    save_file(tensors, folder / "model.safetensors")


ROLES = "special_tokens_map.json"
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
VOCABULARY = {"type": "BPE", "vocab": {"a": 0}, "merges": []}
BAD_FAMILIES: dict[str, tuple[str, Callable[[Path], object], str]] = {  # family, damage, what is said
    "a llama": ("blockwise", changed("config.json", architectures=["LlamaForCausalLM"], auto_map=None), "no diffusion"),
    "a qwen2": ("p2", changed("tokenizer_config.json", mask_token=None), "names no mask token, so it is no diffusion"),
    "a gpt2": ("llada", config(model_type="gpt2"), "(model_type 'gpt2'): the model_types that are supported are"),
    "experts": ("llada", config(model_type="llada_moe"), "layers of several experts are not supported"),
    "another expand token": ("dreamon", config(expand_token_id=17), "expand_token_id 17, and the vocabulary 489"),
    "holes grow without a limit": ("dreamon", config(max_position_embeddings=None), "max_position_embeddings must be"),
    "a template that raises": ("llada", template("{{ raise_exception('not today') }}"), "rendered: not today"),
    "a template that does not parse": ("llada", template("{% for %}"), "the chat template cannot be rendered: "),
    "a template that loops": ("llada", template(LOOP), "the chat template cannot be rendered: it was stopped after"),
    "a template that writes on and on": (
        *("blockwise", template("{% for i in range(9999) %}{{ 'x' * 999 }}{% endfor %}")),
        "it writes more than 200000 characters",
    ),
    "a template that takes all memory": ("llada", template("{{ 'x' * 10 ** 10 }}"), "cannot be rendered: "),
    "a template that looks inside": (
        "llada",
        template("{{ ''.__class__.__mro__ }}"),
        "access to attribute '__class__'",
    ),
    "a template that changes its input": ("llada", template("{{ messages.append(1) }}"), "cannot be rendered: "),
    "a template without the request": ("blockwise", template("hello"), "the chat template leaves the request out"),
    "templates without names": ("llada", template([1]), "chat_template is no list of named templates"),
    "tokenizer.json of another vocabulary": ("blockwise", moved_token, "tokenizer.json is of another vocabulary"),
    "tokenizer.json of words": ("llada", in_tokenizer(model={"type": "WordPiece", "vocab": {}}), "but 'WordPiece'"),
    "tokenizer.json of few bytes": ("llada", in_tokenizer(model=VOCABULARY), "is no byte-level vocabulary"),
    "tokenizer.json in lower case": ("llada", in_tokenizer(normalizer={"type": "Lowercase"}), "changes text (normali"),
    "tokenizer.json is a page": ("llada", written("tokenizer.json", "<p>503</p>"), "tokenizer.json is not JSON"),
    "no mask in tokenizer.json": ("llada", without_mask, "the vocabulary lacks <|mdm_mask|>"),
    "a mask token that is none": ("p2", changed("tokenizer_config.json", mask_token="<N>"), "the vocabulary lacks <N>"),
    "roles in a list": (
        *("p2", lambda f: (changed("tokenizer_config.json", mask_token=None)(f), written(ROLES, "[]")(f))),
        "special_tokens_map.json is not JSON (it holds no JSON object)",
    ),
    "another mask id": ("llada", config(mask_token_id=3), "name different mask tokens"),
    "fewer rows than tokens": ("llada", config(embedding_size=400), "more tokens than the network has rows"),
    "tensors of other names": ("llada", other_names, "the weights lack the tensor model.transformer.wte.weight"),
    "biases that the network lacks": ("blockwise", with_biases, "no place for the tensor model.layers.0.self_attn.q_"),
    "biases in config.json": ("blockwise", config(attention_bias=True), "attention_bias True is not supported"),
    "blocks of no length": ("blockwise", config(block_length=0), "block_length 0 is no length of a block"),
    "odd heads of a given length": ("blockwise", config(head_dim=15), "4 attention heads of 15 numbers"),
    "NaN in a layer": (
        "llada",
        not_finite,
        "model.transformer.blocks.1.ff_proj.weight holds values that are not finite",
    ),
    "other positions": ("llada", config(alibi=True), "alibi True is not supported, only False is"),
}


@pytest.mark.parametrize("name", BAD_FAMILIES)
def test_a_bad_checkpoint_of_another_family_is_one_clear_line(golden_of, tmp_path, monkeypatch, name):
    monkeypatch.setattr(chat_template, "SECONDS", 2.0 if "loops" in name else 60.0)
    family, damage, line = BAD_FAMILIES[name]
    folder = shutil.copytree(golden_of(family), tmp_path / "ckpt", ignore=shutil.ignore_patterns("golden-*"))
    if "roles" in name:
        (folder / ROLES).write_text("{}")
    elif name == "a qwen2":
        changed(ROLES, mask_token=None)(folder)
    damage(folder)
    with pytest.raises(BadCheckpoint) as caught:
        load(folder, device="cpu")
    message = caught.value.message
    assert line in message
    assert "\n" not in message
    assert len(message) < 500 + len(str(folder))
    assert caught.value.hint


@pytest.mark.parametrize("name", ["nowhere", "config.json"])
def test_a_folder_that_is_none_is_no_checkpoint(folder, name):
    with pytest.raises(BadCheckpoint, match=r"lacks config\.json"):
        load(folder / name)


def test_what_is_checked_is_what_is_loaded(folder):
    """transformers prefers model.safetensors to an index, so a damaged one must be seen beside a sound index."""
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(BadCheckpoint, match=r"model\.safetensors is damaged"):
        load(folder, device="cpu")


@pytest.mark.parametrize("name", ["gpu", "", "meta", "cuda:99", "xla", "hpu", "cpu:x", "cuda:-1", "disk", ":0"])
def test_an_unknown_device_is_a_usage_error(golden, name):
    with pytest.raises(UsageError, match="no device"):
        load(golden, device=name)


def test_auto_finds_a_device():
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_little_memory_is_said(golden, monkeypatch, error):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(module, "put", fail)
    with pytest.raises(NoRoom, match=r"ran out of memory for .*tiny-dream on cpu") as caught:
        load(golden, device="cpu")
    assert "nf4" in caught.value.hint


@needs_bitsandbytes
def test_without_bitsandbytes_four_bits_are_a_usage_error(golden, monkeypatch):
    def fail() -> None:
        raise ImportError("bitsandbytes")

    monkeypatch.setattr(nf4, "_bitsandbytes", fail)
    with pytest.raises(UsageError, match="four bits need bitsandbytes"):
        load(golden, device="cpu", quant="nf4")


@needs_bitsandbytes
def test_nf4_packs_the_layers_and_neither_embeddings_nor_head(checkpoint, golden):
    bnb = pytest.importorskip("bitsandbytes.functional")
    packed = load(golden, device="cpu", quant="nf4").network
    kinds = {name: weight.dtype for name, weight in packed.model.named_parameters()}
    other = DTYPES[width("cpu", "nf4")]
    packable = ("qkv_proj", "o_proj", "gate_up_proj")  # down_proj: 160 is no multiple of 64
    for name, kind in kinds.items():
        bits = any(f"{layer}.weight" in name for layer in packable)
        assert kind == (torch.uint8 if bits else other), name
    rounded = Network(copy.deepcopy(checkpoint.network.model))
    for name, weight in rounded.model.named_parameters():
        if any(f"{layer}.weight" in name for layer in packable):
            weight.data = bnb.dequantize_4bit(*bnb.quantize_4bit(weight.data.to(other), quant_type="nf4")).float()
    tokens, rows = torch.arange(1, 30), torch.arange(29)
    ours, theirs, whole = (network(tokens[None], [rows]) for network in (packed, rounded, checkpoint.network))
    assert torch.cosine_similarity(ours, theirs).min() > 0.98  # activations may be bf16 in the CPU's kernel
    assert torch.cosine_similarity(ours, whole).min() < 0.98


@needs_bitsandbytes
@pytest.mark.parametrize("family", ["p2", "blockwise", "llada"])
def test_every_family_can_be_packed_and_loaded(golden_of, checkpoint_of, tmp_path, family):
    """The layers are in four bits under their published names, and compute nearly what they did."""
    for _ in quantize(golden_of(family), tmp_path / "packed"):
        pass
    packed, whole = load(tmp_path / "packed", device="cpu"), checkpoint_of(family)
    assert packed.config.quantization == "nf4"
    kept = load(tmp_path / "packed", device="cpu", quant="nf4").network
    assert kept.model.get_parameter("model.layers.0.self_attn.o_proj.weight").dtype == torch.uint8
    tokens, rows = torch.arange(40, 60)[None], [torch.arange(20)]
    for network in (packed.network, kept):
        likeness = torch.cosine_similarity(network(tokens, rows), whole.network(tokens, rows))
        assert 0.85 < likeness.mean() < 0.9999


def test_a_head_of_its_own_beside_a_tied_one_is_refused(golden_of, tmp_path):
    """One that is the embedding is a copy."""
    folder = shutil.copytree(golden_of("p2"), tmp_path / "it")
    weights = load_file(folder / "model.safetensors")
    embedding = weights["model.embed_tokens.weight"]
    save_file(weights | {"lm_head.weight": embedding.clone()}, folder / "model.safetensors")
    load(folder, device="cpu")
    save_file(weights | {"lm_head.weight": embedding + 1}, folder / "model.safetensors")
    with pytest.raises(BadCheckpoint, match=r"ties the head to the embedding, and lm_head\.weight is another one"):
        load(folder, device="cpu")


@needs_bitsandbytes
def test_nf4_leaves_layers_alone_that_fill_no_whole_blocks(folder):
    """One key/value head of 16 rows: the CPU's kernel packs 32. What is joined with them stays whole too."""
    narrow = {}
    for shard in (FIRST, SECOND):
        for name, tensor in load_file(folder / shard).items():
            narrow[name] = tensor[:16].clone() if "k_proj" in name or "v_proj" in name else tensor
        (folder / shard).unlink()
    save_file(narrow, folder / "model.safetensors", metadata={"format": "pt"})
    edited(folder, num_key_value_heads=1)
    kinds = {name: p.dtype for name, p in load(folder, device="cpu", quant="nf4").network.model.named_parameters()}
    assert kinds["model.layers.0.self_attn.qkv_proj.weight"] == DTYPES[width("cpu", "nf4")]
    assert kinds["model.layers.0.self_attn.o_proj.weight"] == torch.uint8


def test_auto_keeps_small_networks_whole(checkpoint):
    assert {weight.dtype for weight in checkpoint.network.model.parameters()} == {torch.float32}


def test_a_model_that_does_not_fit_is_refused_before_anything_is_loaded(golden, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda _: 100_000)
    monkeypatch.setattr(module, "Weights", lambda *_: pytest.fail("it is loaded"))
    with pytest.raises(NoRoom, match=r"needs 6\.2 MB, 100 kB are free on cpu"):
        load(golden, device="cpu")


@pytest.mark.parametrize("value", ["nf4", {}, {"quant_method": "gptq", "bits": 4}, {"load_in_8bit": True}])
def test_other_quantisations_are_refused(folder, value):
    edited(folder, quantization_config=value)
    with pytest.raises(BadCheckpoint, match=r"the weights are in .*, which diffu does not read") as caught:
        load(folder, device="cpu")
    assert str(folder) in caught.value.message


def test_every_file_is_closed_after_loading(golden, monkeypatch):
    opened, closed = [], []

    class Watched:
        def __init__(self, path: Path, framework: str) -> None:
            self.name, self.file = path.name, safe_open(path, framework=framework)

        def __enter__(self) -> object:
            opened.append(self.name)
            return self.file.__enter__()

        def __exit__(self, *error: object) -> None:
            closed.append(self.name)
            self.file.__exit__(*error)

    monkeypatch.setattr(module, "safe_open", Watched)
    load(golden, device="cpu")
    assert sorted(opened) == sorted(closed) == [FIRST, SECOND]


@pytest.mark.parametrize("shift", [0, 1])
def test_the_network_has_the_shift_of_the_family(golden, monkeypatch, shift):
    read = module.families.read

    def shifted(*arguments: object, **flags: object) -> object:
        config, family = read(*arguments, **flags)
        return config, replace(family, shift=shift)

    monkeypatch.setattr(module.families, "read", shifted)
    loaded = load(golden, device="cpu")
    assert loaded.network.shift == loaded.family.shift == shift


def test_tensors_are_loaded_by_the_names_of_the_family(folder, checkpoint, monkeypatch):
    renames = (("model.layers.", "blocks."), ("mlp.up_proj", "up"), ("lm_head", "head"))

    def theirs(name: str) -> str:
        for ours, other in renames:
            name = name.replace(ours, other)
        return name

    for shard in (FIRST, SECOND):
        tensors = {theirs(name): value for name, value in load_file(folder / shard).items()}
        save_file(tensors, folder / shard, metadata={"format": "pt"})
    with pytest.raises(BadCheckpoint, match="lack the tensor"):
        load(folder, device="cpu")
    read = module.families.read

    def renamed(*arguments: object, **flags: object) -> object:
        config, family = read(*arguments, **flags)
        return config, replace(family, tensor_names=renames)

    monkeypatch.setattr(module.families, "read", renamed)
    expected = dict(checkpoint.network.model.named_parameters())
    for name, value in load(folder, device="cpu").network.model.named_parameters():
        assert torch.equal(value, expected[name])


def test_a_pulled_checkpoint_has_the_sampling_of_its_repository(golden, tmp_path):
    folder = shutil.copytree(golden, tmp_path / "diffucoder")
    record = store.Record("diffucoder", "apple/DiffuCoder-7B-cpGRPO", "c0ffee", "none", "", "", "2026-11-23")
    store.swap_json(folder / store.RECORD, {"schema": store.SCHEMA} | asdict(record))
    assert load(folder, device="cpu").family.published == PublishedSampling(0.4, 0.95)
    assert load(golden, device="cpu").family.published is None


KERNELS = """
import sys
from pathlib import Path
from diffucli.model import nf4
from diffucli.train import hf_reference
from diffucli.model.load import load
for quant in sys.argv[3:]:
    load(Path(sys.argv[1]), device="cpu", quant=quant)
hf_reference.attention_error()
assert not Path(sys.argv[2]).exists(), "the package kernels was imported"
"""


def test_the_package_that_downloads_kernels_is_never_imported(golden, tmp_path):
    """Where a user has it, bitsandbytes and transformers would fetch code with it and run that."""
    mark = tmp_path / "imported"
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text(f"open({str(mark)!r}, 'w').close()")
    info = tmp_path / "kernels-99.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kernels\nVersion: 99.0\n")
    quants = ["none"] + ["nf4"] * (importlib.util.find_spec("bitsandbytes") is not None)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", KERNELS, str(golden), str(mark), *quants]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    subprocess.run([sys.executable, "-c", "import kernels"], env=environment, check=True, timeout=300)
    assert mark.exists(), "it can be imported, so this test can fail"


def test_importing_a_module_hides_nothing(tmp_path):
    """The protection is a call, not a side effect of an import."""
    code = (
        "import sys, diffucli.model.load, diffucli.model.nf4, diffucli.train.hf_reference as hf;"
        "sys.exit(any(name in sys.modules for name in ('kernels', 'transformers', 'bitsandbytes', 'accelerate')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


CHILD = """
import socket, sys
from pathlib import Path
def refuse(*args): raise AssertionError(f"the network was asked for: {args[1:]}")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
from diffucli.model.load import load
for quant in sys.argv[2:]:
    load(Path(sys.argv[1]), device="cpu", quant=quant)
"""


def test_loading_asks_no_network_and_says_nothing(golden, tmp_path):
    """In a process of its own, as libraries speak once only; with no offline flag to keep them from asking."""
    quants = ["none", "auto"] + ["nf4"] * (importlib.util.find_spec("bitsandbytes") is not None)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    done = subprocess.run(
        [sys.executable, "-W", "default::UserWarning", "-c", CHILD, str(golden), *quants],
        env=kept | {"HF_HOME": str(tmp_path), "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert list(tmp_path.iterdir()) == []


def test_the_shapes_of_one_layer_are_those_of_all(golden):
    found, family = families.read(golden)
    with torch.device("meta"):
        state = Transformer(found).state_dict()
    split = {part: rows for name in state for part, rows in found.split_fused(name, state[name]).items()}
    assert found.num_layers > 1
    assert module.expected_shapes(found, family) == {name: tuple(rows.shape) for name, rows in split.items()}


def test_a_million_layers_are_refused_before_one_is_built(folder, monkeypatch):
    monkeypatch.setattr("diffucli.model.load.Transformer", None)
    edited(folder, num_hidden_layers=10**6)
    with pytest.raises(BadCheckpoint, match="num_hidden_layers is 1000000, more than any network has"):
        load(folder, device="cpu")


@pytest.mark.parametrize(
    ("parameters", "given", "expected"), [(4_700_000, None, 1), (500_000_000, None, 3), (4_700_000, "3", 3)]
)
def test_a_small_network_computes_with_one_thread_unless_told_otherwise(
    checkpoint, monkeypatch, parameters, given, expected
):
    found = [3]
    monkeypatch.setattr(torch, "set_num_threads", found.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.setattr(type(checkpoint.config), "parameters", parameters)
    module.settle_threads(checkpoint)
    assert found[-1] == expected
