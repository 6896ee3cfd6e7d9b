"""A checkpoint in four bits holds what its source holds, loads back straight, and is whole or not there."""

from __future__ import annotations

import copy
import json
import os
import shutil
import struct
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file, save_file

from diffucli.errors import BadCheckpoint, ModelError, UsageError, WriteFailed
from diffucli.model import families
from diffucli.model import quantize as module
from diffucli.model.checkpoint import QUANT_STATE, QUANT_STATE_PARTS, tensor_shapes
from diffucli.model.load import DTYPES, dispatch, load
from diffucli.model.memory import packed_bytes, width
from diffucli.model.quantize import quantize
from diffucli.train.hf_reference import configure

pytest.importorskip("bitsandbytes", reason="bitsandbytes has no wheel for this machine")
from bitsandbytes import functional as bnb
from transformers import BitsAndBytesConfig, Qwen2ForCausalLM

from diffucli.model import nf4

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
LAYER, JOINED = "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.gate_up_proj.weight"
TOKENS, ROWS = torch.arange(1, 30), torch.arange(29)


def tensors(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / FIRST) | load_file(folder / SECOND)


def drained(source, target) -> list[tuple[str, int, int]]:
    return [(step.stage, step.done, step.total) for step in quantize(source, target)]


def test_the_layout_is_that_of_bitsandbytes_to_the_byte(golden, packed):
    """What its own QuantState writes for the same weight in bf16."""
    before, after = tensors(golden), tensors(packed)
    matrices = [name.removesuffix(QUANT_STATE) for name in after if name.endswith(QUANT_STATE)]
    assert len(matrices) == 6 * 3  # down_proj: 160 columns are no whole blocks
    for name in matrices:
        whole, state = bnb.quantize_4bit(before[name].bfloat16(), compress_statistics=True, quant_type="nf4")
        wanted = {name: whole} | {f"{name}.{key}": value for key, value in state.as_dict(packed=True).items()}
        for key, value in wanted.items():
            assert torch.equal(after.pop(key), value), key
    for name, value in after.items():
        assert torch.equal(value, before[name].bfloat16()), name
    assert before.keys() == after.keys() | set(matrices)


def test_the_size_is_as_reckoned(packed, checkpoint):
    maps = (".quant_map", ".nested_quant_map", QUANT_STATE)
    bytes_ = sum(value.nbytes for name, value in tensors(packed).items() if not name.endswith(maps))
    assert bytes_ == pytest.approx(packed_bytes(checkpoint.config, width=2), rel=0.001)


def test_transformers_and_bitsandbytes_load_it_back_straight(packed):
    config = configure(families.read(packed)[0])
    config.quantization_config = json.loads((packed / "config.json").read_text())["quantization_config"]
    model = Qwen2ForCausalLM.from_pretrained(packed, config=config, dtype=torch.bfloat16, device_map={"": "cpu"}).eval()
    ours = load(packed, device="cpu", quant="nf4").network
    with torch.no_grad():
        theirs = model(input_ids=TOKENS[None]).logits[0].float()
    assert torch.cosine_similarity(ours(TOKENS[None], [ROWS]), theirs).min() > 0.99


def test_transformers_reads_the_settings_that_are_written(checkpoint):
    """transformers loads a checkpoint also where it does not use all of them."""
    read = BitsAndBytesConfig.from_dict(module.quantization_config(checkpoint.config))
    assert read.load_in_4bit
    assert (read.bnb_4bit_quant_type, read.bnb_4bit_use_double_quant) == ("nf4", True)
    assert (read.bnb_4bit_compute_dtype, read.bnb_4bit_quant_storage) == (torch.bfloat16, torch.uint8)
    assert read.llm_int8_skip_modules[0] == "lm_head"


def test_packed_files_and_packing_while_loading_are_the_same(golden, packed):
    """Where both compute in bf16, as on a GPU; in float32 weights are not rounded to bf16 before they are packed."""
    if width("cpu", "nf4") != 2:
        pytest.skip("this CPU computes four bits in float32")
    ours, theirs = (
        load(folder, device="cpu", quant="nf4").network(TOKENS[None], [ROWS]) for folder in (packed, golden)
    )
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("quant", ["none", "auto"])
def test_a_small_one_is_unpacked_once_with_the_same_weights(packed, quant):
    model = load(packed, device="cpu", quant=quant).network.model
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    held = tensors(packed)
    beside = {part[1:]: held[LAYER + part] for part in QUANT_STATE_PARTS}
    found = model.get_parameter(JOINED)
    torch.testing.assert_close(found[160:], nf4.StoredMatrix(held[LAYER], beside).unpacked_rows(0, 160))


def test_unpacking_in_bf16_and_multiplying_in_four_bits_agree(packed):
    whole, four = (load(packed, device="cpu", quant=quant).network(TOKENS[None], [ROWS]) for quant in ("none", "nf4"))
    assert torch.cosine_similarity(whole, four).min() > 0.98


def test_progress_ends_whole_and_never_goes_back(golden, tmp_path):
    steps = drained(golden, tmp_path / "out")
    assert list(dict.fromkeys(stage for stage, _, _ in steps)) == ["quantising", "verifying"]
    for stage in ("quantising", "verifying"):
        done = [done for name, done, _ in steps if name == stage]
        assert done == sorted(done)
        assert (done[0], {(done[-1], total) for name, _, total in steps if name == stage}.pop()[1]) == (0, done[-1])


def test_other_files_come_along_and_nothing_of_ours_stays(golden, packed):
    names = {path.name for path in golden.iterdir() if not path.name.startswith("golden-logits")}
    assert {path.name for path in packed.iterdir()} == names
    assert not list(packed.parent.glob("*.part"))
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json"):
        assert (packed / name).read_bytes() == (golden / name).read_bytes()


def test_a_single_file_stays_one(golden, folder, tmp_path):
    save_file(tensors(golden), folder / "model.safetensors", metadata={"format": "pt"})
    for name in (FIRST, SECOND, "model.safetensors.index.json"):
        (folder / name).unlink()
    drained(folder, tmp_path / "out")
    assert not (tmp_path / "out" / "model.safetensors.index.json").exists()
    load(tmp_path / "out", device="cpu", quant="nf4")


def test_code_and_pickles_are_left_behind(folder, tmp_path):
    (folder / "modeling_dream.py").write_text("raise SystemExit")
    (folder / "old.bin").write_bytes(b"x")
    drained(folder, tmp_path / "out")
    assert not {"modeling_dream.py", "old.bin"} & {path.name for path in (tmp_path / "out").iterdir()}


def test_a_run_that_is_stopped_is_no_checkpoint_and_the_next_goes_on(folder, tmp_path, monkeypatch):
    run = quantize(folder, tmp_path / "out")
    half = (folder / FIRST).stat().st_size
    next(step for step in run if step.done > half)
    run.close()
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadCheckpoint, match=r"lacks config\.json"):
        load(tmp_path / "out.part", device="cpu")
    first = (tmp_path / "out.part" / FIRST).stat().st_mtime_ns
    assert not list((tmp_path / "out.part").glob(SECOND))
    written, write = [], module._write_shard

    def counting(job, shard, *rest):
        written.append(shard.name)
        return write(job, shard, *rest)

    monkeypatch.setattr(module, "_write_shard", counting)
    steps = drained(folder, tmp_path / "out")
    assert written == [SECOND]
    assert steps[1][1] == half
    assert (tmp_path / "out" / FIRST).stat().st_mtime_ns == first
    load(tmp_path / "out", device="cpu", quant="nf4")


def test_what_is_left_of_another_source_is_not_taken_up(folder, tmp_path):
    run = quantize(folder, tmp_path / "out")
    next(step for step in run if step.done > (folder / FIRST).stat().st_size)
    run.close()
    changed = load_file(folder / FIRST)
    changed[LAYER] = changed[LAYER] + 1
    save_file(changed, folder / FIRST, metadata={"format": "pt"})
    os.utime(folder / FIRST, ns=(1, 1))
    drained(folder, tmp_path / "out")
    held = load_file(tmp_path / "out" / FIRST)
    beside = {part[1:]: held[LAYER + part] for part in QUANT_STATE_PARTS}
    rows = nf4.StoredMatrix(held[LAYER], beside).unpacked_rows(0, 32)
    assert nf4.is_within_error(changed[LAYER][:32], rows, float(changed[LAYER].abs().max()))


def spoiled(name: str, change):
    """A shard in the folder aside is damaged between writing and verifying."""

    def damage(part):
        path = part / FIRST
        held = load_file(path)
        held[name] = change(held[name])
        save_file(held, path, metadata={"format": "pt"})

    return damage


DAMAGES = {
    "bytes": spoiled(LAYER, lambda t: t ^ 0xFF),
    "scales": spoiled(LAYER + ".absmax", lambda t: 255 - t),
    "scales of scales": spoiled(LAYER + ".nested_absmax", lambda t: t * 9),
    "an embedding": spoiled("model.embed_tokens.weight", lambda t: t.index_fill(0, torch.tensor([7]), 0)),
    "cut": lambda part: os.truncate(part / FIRST, 9000),
    "zeros": lambda part: (part / FIRST).write_bytes(bytes((part / FIRST).stat().st_size)),
    "another shard": lambda part: shutil.copyfile(part / SECOND, part / FIRST),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_before_it_is_a_checkpoint(golden, tmp_path, name):
    target, part = tmp_path / "out", tmp_path / "out.part"
    run = quantize(golden, target)
    next(step for step in run if step.stage == "verifying")
    DAMAGES[name](part)
    with pytest.raises(BadCheckpoint, match=FIRST) as caught:
        list(run)
    assert caught.value.hint
    assert not target.exists()
    assert not part.exists()
    drained(golden, target)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_numbers_that_are_none_are_found_in_the_source(folder, tmp_path, value):
    """In four bits they would hide."""
    held = load_file(folder / FIRST)
    held[LAYER][5, 5] = value
    save_file(held, folder / FIRST, metadata={"format": "pt"})
    with pytest.raises(BadCheckpoint, match=f"{LAYER} holds values that are not finite"):
        drained(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_gives_back_what_was_written(golden, tmp_path, monkeypatch):
    put, count = module.ShardWriter.write, iter(range(99))

    def full(self, *args):
        if next(count) == 25:
            raise OSError(28, "No space left on device")
        put(self, *args)

    monkeypatch.setattr(module.ShardWriter, "write", full)
    with pytest.raises(WriteFailed, match="No space left on device"):
        drained(golden, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_too_little_disk_is_said_before(golden, tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 9))
    with pytest.raises(ModelError, match="9 B are free"):
        drained(golden, tmp_path / "out")


def test_what_cannot_be_is_a_usage_error(golden, packed, tmp_path):
    with pytest.raises(UsageError, match="in four bits already"):
        drained(packed, tmp_path / "out")
    with pytest.raises(UsageError, match="exists already"):
        drained(golden, packed)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_checkpoint_is_said(tmp_path):
    with pytest.raises(BadCheckpoint, match=r"lacks config\.json"):
        drained(tmp_path, tmp_path / "out")


def renamed(part: str):
    return lambda held: held.pop(LAYER + part)


def reshaped(key: str, value: object):
    def change(held):
        state = json.loads(bytes(held[LAYER + QUANT_STATE].tolist())) | {key: value}
        held[LAYER + QUANT_STATE] = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)

    return change


PACKED_DAMAGES = {
    **{f"no{part}": (renamed(part), "lack") for part in QUANT_STATE_PARTS[:-1]},
    "no state": (renamed(QUANT_STATE), "no floats"),
    "no bytes": (renamed(""), f"lack the tensor {LAYER}"),
    "another shape": (reshaped("shape", [64, 160]), "config.json asks for|does not fit"),
    "shape in words": (reshaped("shape", ["160", "64"]), "damaged"),
    "other blocks": (reshaped("blocksize", 128), "damaged"),
    "state is no JSON": (lambda held: held.update({LAYER + QUANT_STATE: torch.zeros(9, dtype=torch.uint8)}), "damaged"),
    "fewer bytes": (lambda held: held.update({LAYER: held[LAYER][:-1].clone()}), "does not fit the packed weight"),
    "scales in float": (lambda held: held.update({LAYER + ".absmax": held[LAYER + ".absmax"].float()}), "does not fit"),
}


@pytest.mark.parametrize("name", PACKED_DAMAGES)
def test_a_damaged_checkpoint_in_four_bits_is_one_clear_line(packed, tmp_path, name):
    folder = shutil.copytree(packed, tmp_path / "ckpt")
    change, line = PACKED_DAMAGES[name]
    held = load_file(folder / FIRST)
    change(held)
    save_file(held, folder / FIRST, metadata={"format": "pt"})
    with pytest.raises(BadCheckpoint, match=line) as caught:
        load(folder, device="cpu")
    assert str(folder) in caught.value.message
    assert "\n" not in caught.value.message


def test_the_header_is_one_that_others_read(packed):
    """Eight bytes of length, JSON padded with blanks, tensors without gaps and aligned to their numbers."""
    data = (packed / FIRST).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    assert (8 + length) % 64 == 0
    entries = json.loads(data[8 : 8 + length])
    spans = sorted(entry["data_offsets"] for name, entry in entries.items() if name != "__metadata__")
    assert spans[0][0] == 0
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert spans[-1][1] == len(data) - 8 - length
    sizes = {"U8": 1, "BF16": 2, "F32": 4}
    assert all(
        entry["data_offsets"][0] % sizes[entry["dtype"]] == 0 for name, entry in entries.items() if "d" in name[:1]
    )
    assert tensor_shapes(packed / FIRST)[LAYER] == (160, 64)


def test_layers_that_are_elsewhere_come_when_they_compute(golden, tmp_path):
    """On disk here, as there is no second device: with a cache and without, as with layers in main memory on a GPU."""
    network = load(golden, device="cpu").network
    wanted = network(TOKENS[None], [ROWS])
    cache = network.new_cache(1, 29)
    cached = [
        network(TOKENS[None], [ROWS], cache=(cache, [0]), lengths=[len(TOKENS)]),
        network(TOKENS[None, 4:9], [ROWS[:5]], starts=[4], cache=(cache, [0]), lengths=[len(TOKENS)]),
    ]
    where = dict.fromkeys(("model.embed_tokens", "model.norm", "lm_head", "model.layers.0"), "cpu")
    outside = {"model.layers.1": "disk", "model.layers.2": "disk"}
    dispatch(network.model, where | outside, folder=tmp_path)
    assert network.model.get_parameter("model.layers.2.mlp.gate_up_proj.weight").is_meta
    torch.testing.assert_close(network(TOKENS[None], [ROWS]), wanted)
    cache = network.new_cache(1, 29)
    torch.testing.assert_close(network(TOKENS[None], [ROWS], cache=(cache, [0]), lengths=[len(TOKENS)]), cached[0])
    torch.testing.assert_close(
        network(TOKENS[None, 4:9], [ROWS[:5]], starts=[4], cache=(cache, [0]), lengths=[len(TOKENS)]), cached[1]
    )
    assert network.device == torch.device("cpu")


def test_four_bits_compute_in_the_type_that_the_plan_counts(packed):
    dtypes = {weight.dtype for weight in load(packed, device="cpu", quant="nf4").network.model.parameters()}
    assert dtypes == {torch.uint8, DTYPES[width("cpu", "nf4")]}


@pytest.mark.parametrize("name", ["dreamon", "p2", "blockwise", "llada"])
def test_a_checkpoint_of_every_family_is_packed_and_computes_what_its_rounded_weights_do(
    golden_of, checkpoint_of, tmp_path, name
):
    """Under its own names of tensors; a head that is the embedding stays one."""
    for _ in quantize(golden_of(name), tmp_path / "packed"):
        pass
    packed, rounded = load(tmp_path / "packed", device="cpu"), copy.deepcopy(checkpoint_of(name).network)
    assert packed.config.quantization == "nf4"
    for key, weight in rounded.model.named_parameters():
        for part, rows in packed.config.split_fused(key, weight.data).items():
            if part in packed.config.packed_weights:
                rows[:] = bnb.dequantize_4bit(*bnb.quantize_4bit(rows.bfloat16().contiguous(), quant_type="nf4"))
    tokens, places = torch.arange(1, 25), torch.arange(24)
    ours, theirs = (network(tokens[None], [places]) for network in (packed.network, rounded))
    assert torch.cosine_similarity(ours, theirs).min() > 0.98
