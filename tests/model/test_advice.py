"""What suits a device is a checkpoint that fits it: a large one on a GPU, the one for laptops without."""

from __future__ import annotations

import pytest

from diffucli.model import advice, memory
from diffucli.model.names import ALIASES, KNOWN, LAPTOP, known

GB = 10**9


@pytest.fixture
def free(monkeypatch):
    """Sets what is free on every device, on a machine with bitsandbytes: free(24) in GB."""
    monkeypatch.setattr(memory, "has_bitsandbytes", lambda: True)
    return lambda size: monkeypatch.setattr(memory, "free_memory", lambda _: int(size * GB))


@pytest.mark.parametrize(
    ("device", "size", "name"),
    [("cuda", 24, "dream-coder"), ("cuda", 4, LAPTOP), ("cpu", 64, LAPTOP), ("cpu", 1, None), ("cuda", 1, None)],
)
def test_the_checkpoint_that_suits_a_device_fits_it(free, device, size, name):
    free(size)
    found = advice.recommended(device)
    assert (found and found.name) == name


@pytest.mark.parametrize("bfloat16", [True, False])
def test_without_a_gpu_mini_s_notice_names_the_next_step_up(free, monkeypatch, bfloat16):
    monkeypatch.setattr(memory, "multiplies_bfloat16", lambda: bfloat16)
    free(16)
    text, seconds = advice.invitation("cpu"), advice.LAPTOP_SECONDS[2 if bfloat16 else 4]
    assert text.startswith(f"diffu model pull {LAPTOP} brings a larger one (0.5 B, 1.0 GB to fetch, about {seconds} s")
    assert advice.invitation("cuda") == "diffu model pull diffucoder brings a 7B model"


def test_small_checkpoints_are_pulled_as_they_are_and_large_ones_in_four_bits(free):
    free(64)
    forms = {each.name: advice.planned(each, "cuda").quant for each in KNOWN}
    assert [name for name, form in forms.items() if form == "none"] == [LAPTOP]


def test_the_known_checkpoints_have_the_published_sizes():
    assert list(ALIASES) == [each.name for each in KNOWN]
    sizes = {name: round(known(name).config.parameters / 1e9, 2) for name in ("dream", LAPTOP, "llada")}
    assert sizes == {"dream": 7.62, LAPTOP: 0.49, "llada": 8.02}
    assert known("stable-diffcoder").config.context == 8192
