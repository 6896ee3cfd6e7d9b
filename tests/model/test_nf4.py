"""Packing into NF4 and unpacking: bitsandbytes' own numbers, in chunks, fused and split, in its CPU kernel's order."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from diffucli.model import nf4
from diffucli.model.checkpoint import QUANT_STATE_PARTS
from diffucli.model.load import load
from diffucli.train.hf_reference import split_packed

pytest.importorskip("bitsandbytes", reason="bitsandbytes has no wheel for this machine")
from bitsandbytes import functional as bnb

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
TOKENS, ROWS = torch.arange(1, 30), torch.arange(29)


def tensors(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / FIRST) | load_file(folder / SECOND)


def state_of(packer: nf4.Packer) -> dict[str, torch.Tensor]:
    """What the packer leaves beside the bytes, by the names of bitsandbytes."""
    return {part[1:]: value for part, value in packer.quant_state().items()}


PARTS_OF = {"mlp.gate_proj": 160, "mlp.up_proj": 160}


def joined_of(packed, dtype=torch.float32, *, arranged=False) -> object:
    """The joined weight of a file's gate and up."""
    held = tensors(packed)
    names = [f"model.layers.0.{part}.weight" for part in PARTS_OF]
    pieces = [nf4.StoredMatrix(held[name], {p[1:]: held[name + p] for p in QUANT_STATE_PARTS}) for name in names]
    return nf4.cat_packed([piece.packed(dtype) for piece in pieces], for_cpu=arranged)


def test_joining_leaves_every_number_as_bitsandbytes_unpacks_it(packed):
    """From the file's parts with scales in eight bits, each with an offset of its own."""
    held, weight = tensors(packed), joined_of(packed)
    found = bnb.dequantize_4bit(weight.data, weight.quant_state)
    assert found.shape == (320, 64)
    for part, rows in zip(PARTS_OF, found.split(160), strict=True):
        name = f"model.layers.0.{part}.weight"
        stated = {key[len(name) + 1 :]: value for key, value in held.items() if key.startswith(f"{name}.")}
        alone = nf4.StoredMatrix(held[name], stated).packed(torch.float32)
        assert torch.equal(rows, bnb.dequantize_4bit(alone.data, alone.quant_state))


@pytest.mark.parametrize("arranged", [True, False])
def test_what_is_joined_comes_apart_into_the_same_products(packed, arranged):
    """As the yardstick of `diffu bench` has them, in the memory of the whole."""
    like = torch.nn.Linear(64, 320, bias=True, device="meta")
    weight = joined_of(packed, torch.bfloat16, arranged=arranged)
    layer = nf4.packed_layer(like, weight, torch.bfloat16).eval()
    layer.bias = torch.nn.Parameter(torch.linspace(-1, 1, 320).bfloat16(), requires_grad=False)
    parts = [part.eval() for part in split_packed(layer, [160, 96, 64])]
    place = layer.weight.data_ptr()
    assert [part.weight.data_ptr() - place for part in parts] == [0, 160 * 32, 256 * 32]
    given = torch.linspace(-2, 2, 5 * 64).reshape(5, 64).bfloat16()
    with torch.no_grad():
        assert torch.equal(torch.cat([part(given) for part in parts], -1), layer(given))


def test_bytes_are_arranged_as_bitsandbytes_arranges_them():
    """If this fails, bitsandbytes has another order: loading is then slow on CPUs with bf16, but not wrong."""
    assert nf4._knows_cpu_order()


def test_another_order_is_left_to_bitsandbytes(packed, monkeypatch):
    wanted = load(packed, device="cpu", quant="nf4").network(TOKENS[None], [ROWS])
    monkeypatch.setattr(nf4, "_knows_cpu_order", lambda: False)
    torch.testing.assert_close(load(packed, device="cpu", quant="nf4").network(TOKENS[None], [ROWS]), wanted)


@pytest.mark.parametrize(
    "matrix", [torch.zeros(64, 128), torch.full((64, 128), -3.0), torch.eye(128), torch.randn(96, 64)]
)
def test_rows_come_back_within_the_error_of_four_bits(matrix):
    packing = nf4.Packer(matrix, torch.device("cpu"))
    bytes_ = torch.cat(list(packing.chunks()))
    rows = nf4.StoredMatrix(bytes_, state_of(packing)).unpacked_rows(32, 32)
    assert nf4.is_within_error(matrix[32:64], rows, float(matrix.abs().max()))
    assert not nf4.is_within_error(matrix[32:64], rows + 0.4 * matrix.abs().max() + 0.1, float(matrix.abs().max()))


def test_pieces_change_nothing(monkeypatch):
    matrix = torch.randn(128, 256)
    whole = nf4.Packer(matrix, torch.device("cpu"))
    one, beside = torch.cat(list(whole.chunks())), whole.quant_state()
    monkeypatch.setattr(nf4, "CHUNK", 640)
    many = nf4.Packer(matrix, torch.device("cpu"))
    assert torch.equal(one, torch.cat(list(many.chunks())))
    assert all(torch.equal(value, beside[name]) for name, value in many.quant_state().items())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_number_that_is_not_finite_is_not_packed(value):
    matrix = torch.zeros(64, 64)
    matrix[63, 63] = value
    with pytest.raises(ValueError, match="not finite"):
        list(nf4.Packer(matrix, torch.device("cpu")).chunks())


def test_a_stored_matrix_packs_and_unpacks_to_the_same_numbers():
    """Whether it was packed in its file or not."""
    matrix = torch.randn(64, 128).bfloat16()
    packer = nf4.Packer(matrix, torch.device("cpu"))
    data = torch.cat(list(packer.chunks()))
    stored = nf4.StoredMatrix(data, state_of(packer))
    plain = nf4.StoredMatrix(matrix, {})
    assert torch.equal(plain.unpacked(torch.float32), matrix.float())
    one, other = (each.packed(torch.bfloat16) for each in (stored, plain))
    assert torch.equal(one.data, other.data)
    unpacked = bnb.dequantize_4bit(one.data, one.quant_state).float()
    torch.testing.assert_close(stored.unpacked(torch.float32), unpacked, atol=1e-2, rtol=1e-2)


def test_a_product_is_off_by_the_error_of_four_bits():
    assert 0.01 < nf4.product_error(torch.device("cpu")) < 0.2
