"""The weights of a checked folder become a network on a device, in the way that a plan chose.

Foreign errors pass through here; load.py turns them into ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253 — this room is torch's own
from transformers import BitsAndBytesConfig, Qwen2Config, Qwen2ForCausalLM  # noqa: TID253
from transformers.utils import logging  # noqa: TID253

from diffucli.errors import UsageError
from diffucli.model.layers import odd
from diffucli.model.packed import KEY, KIND, is_packed
from diffucli.model.plan import width

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from diffucli.model.plan import Plan

WIDTHS = {2: torch.bfloat16, 4: torch.float32}
OUTSIDE = "cpu"


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint folder, what its config.json says, and the configuration of the network that follows."""

    folder: Path
    settings: Mapping[str, Any]
    config: Qwen2Config


def materialise(source: Source, plan: Plan) -> Qwen2ForCausalLM:
    """The network of `source` on the plan's device. UsageError: four bits where bitsandbytes is not."""
    dtype = WIDTHS[width(plan.device, plan.quant)]
    packed, kept = is_packed(source.settings), plan.quant == KIND
    place = OUTSIDE if plan.outside else plan.device
    try:
        model = _read(source, place, dtype, quantised=packed or kept)
        if packed or kept:
            from diffucli.model import fourbit  # noqa: PLC0415 — bitsandbytes is not everywhere

            if not kept:
                fourbit.unpack_layers(model, dtype)
            elif place == "cpu":
                fourbit.arrange_layers(model)
    except ImportError as exc:
        if packed or kept:
            raise UsageError(
                "four bits need bitsandbytes, which has no wheel here", hint="use the original weights and --quant none"
            ) from exc
        raise
    for weight in model.parameters():  # transformers leaves what stands beside packed layers in the file's own type
        if weight.is_floating_point() and weight.dtype != dtype:
            weight.data = weight.data.to(dtype)
    model.eval()  # type: ignore[no-untyped-call]
    return spread_out(model, places(source.settings, plan)) if plan.outside else model


def _read(source: Source, place: str, dtype: torch.dtype, *, quantised: bool) -> Qwen2ForCausalLM:
    """The network as transformers reads it: packed weights stay packed, others are packed where `quantised` says so."""
    _quieten()
    stored = source.settings.get(KEY)
    if stored is not None:
        source.config.quantization_config = dict(stored) | {"bnb_4bit_compute_dtype": str(dtype).removeprefix("torch.")}
    model: Qwen2ForCausalLM = Qwen2ForCausalLM.from_pretrained(
        source.folder,
        config=source.config,
        dtype=dtype,
        device_map={"": place},
        quantization_config=_four_bits(source.settings, dtype) if quantised and stored is None else None,
        use_safetensors=True,
        local_files_only=True,
        attn_implementation="sdpa",
    )
    return model


def _four_bits(settings: Mapping[str, Any], dtype: torch.dtype) -> BitsAndBytesConfig:
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type=KIND,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=["lm_head", *odd(settings)],
    )


def places(settings: Mapping[str, Any], plan: Plan) -> dict[str, str]:
    """Module → device of a plan with layers outside: the last ones, as the first see the tokens."""
    count = int(settings["num_hidden_layers"])
    layers = {f"model.layers.{i}": OUTSIDE if i >= count - plan.outside else plan.device for i in range(count)}
    ends = dict.fromkeys(("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"), plan.device)
    return ends | layers


def spread_out(model: Qwen2ForCausalLM, where: Mapping[str, str], *, folder: Path | None = None) -> Qwen2ForCausalLM:
    """`model` with each module where `where` says; modules outside come to the device for as long as they compute.

    folder: for modules on "disk". (accelerate's dispatch_model. Not tried with a GPU here: tests put layers on disk.)
    """
    from accelerate import dispatch_model  # type: ignore[import-untyped]

    main = where["model.embed_tokens"]
    spread: Qwen2ForCausalLM = dispatch_model(model, dict(where), main_device=main, offload_dir=folder)
    return spread


def _quieten() -> None:
    """Notes of the libraries below are for their developers; the terminal is ours."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
