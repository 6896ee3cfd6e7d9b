"""Loads a checkpoint folder: checks it, plans memory, fills the network. Never runs code of the checkpoint."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from torch import Tensor, nn

from diffucli.errors import BadCheckpoint, UsageError, as_out_of_memory
from diffucli.model import adapter as adapters
from diffucli.model import families, memory, nf4, store
from diffucli.model import tokenizer as tokenizers
from diffucli.model.checkpoint import (
    FETCH_AGAIN,
    NF4,
    QUANT_STATE,
    QUANT_STATE_PARTS,
    as_bad_checkpoint,
    check_shapes,
    shards,
)
from diffucli.model.cuda_graph import recorder
from diffucli.model.lora import LowRank, attach
from diffucli.model.network import Network, is_finite, self_check
from diffucli.model.transformer import Transformer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bitsandbytes.nn.modules import Params4bit

    from diffucli.model.adapter import Adapter
    from diffucli.model.checkpoint import Shape
    from diffucli.model.config import Config, Quant
    from diffucli.model.family import Family
    from diffucli.model.memory import Plan
    from diffucli.model.tokenizer import Tokenizer

DEVICES = ("cpu", "cuda", "mps")
FIRST_LAYER, HEAD, EMBEDDING = ".layers.0.", "lm_head.weight", "model.embed_tokens.weight"
THREADS = "OMP_NUM_THREADS"
DTYPES = {2: torch.bfloat16, 4: torch.float32}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint, with the adapter beside its weights, if there is one."""

    folder: Path
    config: Config
    family: Family
    tokenizer: Tokenizer
    network: Network
    adapter: Adapter | None = None


def load(
    folder: Path,
    *,
    device: str = "auto",
    quant: Quant = "auto",
    adapter: Path | None = None,
    trained: bool = False,
    tell: Callable[[str], object] = lambda _: None,
) -> Checkpoint:
    """The checkpoint in `folder`, checked and ready. tell: gets the name of each stage of loading when it begins.

    device: "auto" (the GPU if there is one), "cpu", "cuda", "cuda:1", "mps". quant: "nf4" holds the layers in four bits
    (head and embedding stay as they are), "none" does not, whatever the files hold; "auto" is the fastest that fits,
    see `memory.choose`. adapter: the folder of a LoRA adapter, computed beside the weights. trained: gradients are to
    flow through the layers, so that four bits stay in bitsandbytes' own order on a CPU as well.
    Raises BadCheckpoint, NoRoom (before anything is loaded), UsageError.
    """
    tell("reading its files")
    place = find_device(device)
    config, family, tokenizer = check(folder)
    beside = adapters.read(adapter, config, family) if adapter else None
    plan = memory.choose(config, quant=quant, device=str(place), adapter=beside.parameters if beside else 0)
    out_of_memory = as_out_of_memory(f"{folder} on {plan.device}", hint="try --quant nf4 or --device cpu")
    with as_bad_checkpoint(f"{folder} cannot be loaded"), out_of_memory:
        model = materialise(folder, config, family, plan, tell, trained=trained)
        if beside:
            tell("reading the adapter")
            attach(model, read_updates(beside, first_device(plan), dtype_of(plan)))
        if plan.offloaded:
            tell(f"moving layers to {plan.device}")
            model = dispatch(model, device_map(config, plan))
        tell("computing a first time")
        network = Network(model, family.shift, recorder(plan), family.block)
        self_check(network, folder, published=family.tensor_name)
    return Checkpoint(folder, config, family, tokenizer, network, beside)


def settle_threads(checkpoint: Checkpoint) -> None:
    """Has torch compute with one thread where the network is on a CPU and too small for its products to be shared.

    That holds for the whole process, so a command does it and `load` does not. OMP_NUM_THREADS has the last word.
    """
    is_small = checkpoint.config.parameters < memory.HALVED and checkpoint.network.device.type == "cpu"
    if is_small and THREADS not in os.environ:
        torch.set_num_threads(1)


def check(folder: Path) -> tuple[Config, Family, Tokenizer]:
    """Config, family and tokenizer of a checkpoint whose headers are checked too. Raises BadCheckpoint."""
    record = store.read_record(folder)
    config, family = families.read(folder, source=record.source if record else "")
    tokenizer = tokenizers.read(folder, family)
    if config.mask_token_id not in {None, tokenizer.mask}:
        raise BadCheckpoint(f"{folder}: config.json and the vocabulary name different mask tokens", hint=FETCH_AGAIN)
    if tokenizer.vocab_size > config.vocab_size:
        raise BadCheckpoint(f"{folder}: the vocabulary has more tokens than the network has rows", hint=FETCH_AGAIN)
    tied = {family.tensor_name(HEAD)} if config.tie_word_embeddings else set()
    check_shapes(folder, expected_shapes(config, family), copies=tied)
    return config, family, tokenizer


def expected_shapes(config: Config, family: Family) -> dict[str, Shape]:
    """Name → shape of every tensor that a network of `config` is loaded from. One layer is built for all of them."""
    with torch.device("meta"):
        state = Transformer(replace(config, num_layers=1)).state_dict()
    shapes = {
        family.tensor_name(part.replace(FIRST_LAYER, f".layers.{i}.")): tuple(rows.shape)
        for name in state
        for part, rows in config.split_fused(name, state[name]).items()
        for i in range(config.num_layers if FIRST_LAYER in name else 1)
    }
    if config.tie_word_embeddings:
        shapes.pop(family.tensor_name(HEAD))
    return shapes


def find_device(name: str) -> torch.device:
    """The device that `--device` names. Raises UsageError if this machine has none of that name."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    unknown = UsageError(f"no device {name!r} here", hint="use --device cpu, or auto")
    if name.partition(":")[0] not in DEVICES:
        raise unknown
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as exc:
        raise unknown from exc
    return device


class Weights:
    """The tensors of a folder's shards by their Qwen2 names, read when they are used, while `files` is open."""

    def __init__(self, folder: Path, family: Family, files: ExitStack) -> None:
        opened = [files.enter_context(safe_open(shard, framework="pt")) for shard in shards(folder)]
        self._family, self._files = family, {name: file for file in opened for name in file.keys()}  # noqa: SIM118

    def read(self, name: str, device: str) -> nf4.StoredMatrix:
        """The weight `name` as it is stored, on `device`."""
        published = self._family.tensor_name(name)
        parts = QUANT_STATE_PARTS if published + QUANT_STATE in self._files else ()
        state = {part[1:]: self._tensor(published + part).to(device) for part in parts}
        return nf4.StoredMatrix(self._tensor(published).to(device), state)

    def require_tied(self) -> None:
        """Raises BadCheckpoint if there is a head that is not the embedding."""
        names = [self._family.tensor_name(name) for name in (HEAD, EMBEDDING)]
        if names[0] in self._files and not torch.equal(*map(self._tensor, names)):
            message = f"config.json ties the head to the embedding, and {names[0]} is another one"
            raise BadCheckpoint(message, hint=FETCH_AGAIN)

    def _tensor(self, published: str) -> Tensor:
        tensor: Tensor = self._files[published].get_tensor(published)
        return tensor


def materialise(
    folder: Path,
    config: Config,
    family: Family,
    plan: Plan,
    tell: Callable[[str], object] = lambda _: None,
    *,
    trained: bool = False,
) -> Transformer:
    """The network of a checked folder in the form of `plan`, on its `first_device`. tell, trained: as `load` has it.

    Raises UsageError if bitsandbytes is needed and missing; other errors are foreign.
    """
    if NF4 in {config.quantization, plan.quant}:
        nf4.require_bitsandbytes(hint="use the original weights and --quant none")
    with torch.device("meta"):
        model = Transformer(config)
    device, dtype, to_pack = first_device(plan), dtype_of(plan), config.packed_weights
    fast = device == "cpu" and not trained
    done, total = 0, sum(parameter.numel() for parameter in model.parameters())
    with ExitStack() as files:
        weights = Weights(folder, family, files)
        if config.tie_word_embeddings:
            weights.require_tied()
        for name, parameter in list(model.named_parameters()):
            tell(f"reading weights {done / total:.0%}")
            done += parameter.numel()
            stored = {part: weights.read(part, device) for part in config.split_fused(name, parameter)}
            packable = all(part in to_pack or matrix.quant_state for part, matrix in stored.items())
            if plan.quant == NF4 and packable:
                _put_packed(model, name, [matrix.packed(dtype) for matrix in stored.values()], for_cpu=fast)
            else:
                put(model, name, cat_rows([matrix.unpacked(dtype) for matrix in stored.values()]))
    model.tie()
    model.train(trained)  # nothing here is random; bitsandbytes reorders a layer that is not trained
    return model


def read_updates(adapter: Adapter, device: str, dtype: torch.dtype) -> dict[str, LowRank]:
    """Name of a layer in Qwen2 → its update, on `device`. Raises BadCheckpoint if one is not finite."""
    path, updates = adapter.folder / adapters.ADAPTER_WEIGHTS, {}
    with as_bad_checkpoint(f"{path} cannot be loaded"), safe_open(path, framework="pt") as file:
        for layer, update in adapter.updates.items():
            a, b = (file.get_tensor(name).to(device, dtype) for name in (update.a, update.b))
            if not is_finite(a) or not is_finite(b):
                message = f"{path}: the update of {layer} holds values that are not finite (NaN)"
                raise BadCheckpoint(message, hint=FETCH_AGAIN)
            updates[layer] = LowRank(a, b, update.scaling)
    return updates


def _put_packed(model: Transformer, name: str, parts: list[Params4bit], *, for_cpu: bool) -> None:
    """Replaces the layer with the weight `name` by one of packed `parts`, whose bias is on the meta device."""
    path, dtype = name.removesuffix(".weight"), parts[0].quant_state.dtype
    layer = model.get_submodule(path)
    assert isinstance(layer, nn.Linear)
    model.set_submodule(path, nf4.packed_layer(layer, nf4.cat_packed(parts, for_cpu=for_cpu), dtype))


def cat_rows(parts: list[Tensor]) -> Tensor:
    """`parts` stacked row-wise; a single one is not copied."""
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def first_device(plan: Plan) -> str:
    """Where weights are loaded to: main memory if some layers stay there."""
    return "cpu" if plan.offloaded else plan.device


def dtype_of(plan: Plan) -> torch.dtype:
    """The dtype that a network of this plan computes in."""
    return DTYPES[plan.width]


def put(model: nn.Module, name: str, value: Tensor) -> None:
    """Replaces the parameter `name` of `model`, which is on the meta device, by `value`."""
    parent, _, leaf = name.rpartition(".")
    model.get_submodule(parent).register_parameter(leaf, nn.Parameter(value, requires_grad=False))


def device_map(config: Config, plan: Plan) -> dict[str, str]:
    """Module → device of a plan with layers in main memory: the last ones, since the first see the tokens."""
    first = config.num_layers - plan.offloaded
    layers = {f"model.layers.{i}": "cpu" if i >= first else plan.device for i in range(config.num_layers)}
    return dict.fromkeys(("model.embed_tokens", "model.norm", "lm_head"), plan.device) | layers


def dispatch(model: Transformer, devices: Mapping[str, str], *, folder: Path | None = None) -> Transformer:
    """`model` with each module on its device; those elsewhere are copied to the main device while they compute.

    folder: for modules on "disk". Uses accelerate's dispatch_model. Never tried on a GPU: tests put layers on disk.
    """
    nf4.block_hub_kernels()
    from accelerate import dispatch_model  # type: ignore[import-untyped]

    main = devices["model.embed_tokens"]
    dispatched: Transformer = dispatch_model(model, dict(devices), main_device=main, offload_dir=folder)
    return dispatched
