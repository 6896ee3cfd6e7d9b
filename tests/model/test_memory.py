"""What a model needs is reckoned before it is loaded, and a refusal names numbers and what would fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffucli.errors import NoRoom
from diffucli.model import memory as module
from diffucli.model.config import Config
from diffucli.model.load import device_map, load
from diffucli.model.memory import choose, free_memory, fused_scale_bytes, offload, packed_bytes, plan

SEVEN = Config(152_064, 3584, 18_944, num_layers=28, num_heads=28, num_kv_heads=4)
PACKED = replace(SEVEN, quantization="nf4")
SMALL = replace(SEVEN, hidden_size=256, intermediate_size=512, num_heads=4)
GB = 10**9
FAMILIES = ("dream", "dreamon", "p2", "blockwise", "llada")


@pytest.fixture
def memory(monkeypatch):
    """Sets what is free: memory(cuda=24, cpu=64) in GB."""
    monkeypatch.setattr(module, "has_bitsandbytes", lambda: True)
    monkeypatch.setattr(
        module, "width", lambda device, quant, **_: 2 if device.startswith("cuda") or quant == "nf4" else 4
    )

    def sets(**free: float) -> None:
        answers = {name: int(value * GB) for name, value in free.items()}
        monkeypatch.setattr(module, "free_memory", lambda device: answers[device.partition(":")[0]])

    return sets


def test_the_published_model_has_the_published_sizes():
    assert packed_bytes(SEVEN, width=2) == pytest.approx(5.55e9, rel=0.005)
    assert fused_scale_bytes(SEVEN) == pytest.approx(0.2e9, rel=0.1)


def test_a_plan_adds_up_and_grows_with_the_canvas(memory):
    memory(cuda=80)
    short, long = (plan(SEVEN, quant="none", device="cuda", canvas=n) for n in (128, 512))
    assert short.total == short.weights + short.cache + short.logits + short.work
    assert short.weights == long.weights
    assert long.cache == 4 * short.cache == 2 * 28 * 512 * 512 * 2
    assert long.logits == 2 * short.logits == 3 * 256 * 152_064 * 4, "of at most 256 rows at a time"


@pytest.mark.parametrize(
    ("asked", "free", "kept"),
    [
        ((SEVEN, "auto", "cuda"), {"cuda": 24, "cpu": 64}, "none"),
        ((PACKED, "auto", "cuda"), {"cuda": 24, "cpu": 64}, "none"),
        ((SEVEN, "auto", "cuda"), {"cuda": 12, "cpu": 64}, "nf4"),
        ((PACKED, "auto", "cuda"), {"cuda": 12, "cpu": 64}, "nf4"),
        ((PACKED, "nf4", "cuda"), {"cuda": 80, "cpu": 64}, "nf4"),
        ((PACKED, "none", "cuda"), {"cuda": 80, "cpu": 64}, "none"),
        ((SMALL, "auto", "cuda"), {"cuda": 12, "cpu": 64}, "none"),
        ((PACKED, "auto", "cpu"), {"cpu": 16}, "nf4"),
        ((SEVEN, "auto", "cpu"), {"cpu": 64}, "none"),
        ((SMALL, "auto", "cpu"), {"cpu": 4}, "none"),
    ],
)
def test_auto_takes_the_quickest_that_fits_and_a_flag_is_obeyed(memory, asked, free, kept):
    config, quant, device = asked
    memory(**free)
    chosen = choose(config, quant=quant, device=device)
    assert (chosen.quant, chosen.device, chosen.offloaded) == (kept, device, 0)


@pytest.mark.parametrize("config", [SEVEN, PACKED])
def test_what_fits_in_no_form_has_layers_in_main_memory(memory, config):
    memory(cuda=5, cpu=64)
    chosen = choose(config, quant="auto", device="cuda")
    assert chosen.quant == "none"
    assert 0 < chosen.offloaded < 28
    assert chosen.fits
    where = device_map(config, chosen)
    assert list(where.values()).count("cpu") == chosen.offloaded
    assert where["model.embed_tokens"] == where["lm_head"] == where["model.layers.0"] == "cuda"
    assert where["model.layers.27"] == "cpu"


@given(st.floats(0.5, 20), st.floats(15.3, 64))
def test_a_split_fits_and_moves_no_layer_more_than_it_must(free, main):
    """On a machine with any amount of main memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "free_memory", lambda device: int((main if device == "cpu" else free) * GB))
        whole = plan(SEVEN, quant="none", device="cuda")
        split = offload(SEVEN, whole)
    layer = 2 * (2 * 3584 * (3584 + 512) + 3 * 3584 * 18_944)
    needed = whole.total - 28 * layer + 2 * layer  # one layer on the device, and room for one that is copied there
    assert (split is None) == (whole.free < needed)
    if split and not whole.fits:
        assert whole.weights - split.weights == split.offloaded * layer
        assert split.total + layer <= split.free
        assert split.offloaded == 27 or split.free < split.total + 3 * layer
        assert 0 < split.offloaded < 28


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (-1, False)])
def test_one_layer_on_the_device_and_room_for_another_is_enough_to_the_byte(monkeypatch, spare, fits):
    monkeypatch.setattr(module, "free_memory", lambda device: 64 * GB)
    whole = plan(SEVEN, quant="none", device="cuda")
    layer = 2 * (2 * 3584 * (3584 + 512) + 3 * 3584 * 18_944)
    split = offload(SEVEN, replace(whole, free=whole.total - 26 * layer + spare))
    assert (split and split.offloaded) == (27 if fits else None)


@pytest.mark.parametrize(("main", "fits"), [(15.0, False), (15.3, True)])
def test_layers_in_main_memory_need_room_for_the_weights_there(memory, main, fits):
    memory(cuda=5, cpu=main)
    assert (offload(SEVEN, plan(SEVEN, quant="none", device="cuda")) is not None) is fits


REFUSALS = [
    (
        SEVEN,
        "none",
        "cuda:0",
        {"cuda": 11.2, "cpu": 8},
        ("16.3 GB, 11.2 GB are free on cuda:0", "--quant nf4 (7.1 GB)"),
    ),
    (SEVEN, "none", "cuda", {"cuda": 4, "cpu": 16}, ("4.0 GB are free", "--device cpu --quant nf4 (6.8 GB)")),
    (SEVEN, "nf4", "cuda", {"cuda": 4, "cpu": 64}, ("7.1 GB in four bits", "cpu (6.8 GB) or --device cpu --quant")),
    (SEVEN, "auto", "cpu", {"cpu": 20}, ("20.0 GB are free on cpu", "try --quant nf4 (6.8 GB)")),
    (PACKED, "auto", "cuda", {"cuda": 4, "cpu": 3}, ("7.1 GB in four bits, 4.0 GB", "a smaller model (-m mini)")),
    (SEVEN, "auto", "mps", {"mps": 16, "cpu": 16}, ("16.0 GB are free on mps", "nf4 (6.8 GB)")),
    (SMALL, "auto", "cpu", {"cpu": 0.1}, ("100 MB are free on cpu", "close other programs")),
]


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_has_the_numbers_and_what_would_fit(memory, case):
    config, quant, device, free, (message, hint) = case
    memory(**free)
    with pytest.raises(NoRoom) as caught:
        choose(config, quant=quant, device=device)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_without_bitsandbytes_four_bits_are_neither_chosen_nor_a_remedy(memory, monkeypatch):
    memory(cuda=12, cpu=64)
    monkeypatch.setattr(module, "has_bitsandbytes", lambda: False)
    with pytest.raises(NoRoom) as caught:
        choose(SEVEN, quant="none", device="cuda")
    assert "nf4" not in caught.value.hint
    assert choose(SEVEN, quant="auto", device="cpu").quant == "none"


def test_free_memory_is_a_part_of_this_machines():
    free = free_memory("cpu")
    assert free is not None
    assert 2**20 < free < 2**46


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CGROUP", tmp_path)
    whole = free_memory("cpu")
    for name, text in (("max", "100000000"), ("current", "70000000"), ("stat", "anon 1\ninactive_file 20000000\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert free_memory("cpu") == 50_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory("cpu") == pytest.approx(whole, rel=0.5)


@pytest.mark.parametrize("name", FAMILIES)
def test_reckoned_and_real_weights_agree_to_the_byte(checkpoint_of, name):
    loaded = checkpoint_of(name)
    real = sum(weight.nbytes for weight in loaded.network.model.parameters())
    assert plan(loaded.config, quant="none", device="cpu").weights == real


@pytest.mark.parametrize(("name", "quant"), [*((name, "nf4") for name in FAMILIES), ("dream", "none")])
def test_reckoned_weights_and_scales_are_those_of_a_loaded_network(golden_of, name, quant):
    """Packed: bytes, scales in eight bits or float32, and their tables; the tables alone are not counted."""
    pytest.importorskip("bitsandbytes")
    loaded = load(golden_of(name), device="cpu", quant=quant)
    width = module.width("cpu", quant)
    held = sum(weight.nbytes for weight in loaded.network.model.parameters())
    scales = sum(scale_bytes(weight.quant_state) for weight in packed_weights(loaded))
    reckoned = plan(loaded.config, quant=quant, device="cpu").weights
    if width == 2 and quant == "nf4":  # a CPU that multiplies in bfloat16 holds all scales in bfloat16
        assert 0.97 * reckoned < held + scales <= reckoned
    else:
        assert held + scales == pytest.approx(reckoned, abs=4 * len(packed_weights(loaded)))  # parts of a block


def packed_weights(loaded):
    return [weight for weight in loaded.network.model.parameters() if hasattr(weight, "quant_state")]


def scale_bytes(state) -> int:
    return state.absmax.nbytes + (state.state2.absmax.nbytes if state.nested else 0)


@pytest.mark.parametrize("instructions", [True, False])
def test_a_large_network_is_in_bfloat16_on_a_cpu_that_multiplies_in_it(monkeypatch, instructions):
    monkeypatch.setattr(module, "multiplies_bfloat16", lambda: instructions)
    found = plan(SEVEN, quant="none", device="cpu")
    assert found.width == (2 if instructions else 4)
    assert found.weights == found.width * SEVEN.parameters
    small = plan(replace(SMALL, vocab_size=512), quant="none", device="cpu")
    assert small.width == 4, "small networks have the same numbers on every machine"


def test_a_checkpoint_is_loaded_in_the_type_of_its_plan(golden, monkeypatch):
    monkeypatch.setattr(module, "HALVED", 1)
    monkeypatch.setattr(module, "multiplies_bfloat16", lambda: True)
    assert {weight.dtype for weight in load(golden, device="cpu").network.model.parameters()} == {torch.bfloat16}
