"""Errors that mean too little memory are one error of ours, and all others pass."""

from __future__ import annotations

import pytest
import torch

from diffucli.errors import NoRoom, as_out_of_memory, is_out_of_memory

OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]
OTHERS = [RuntimeError("shapes cannot be multiplied"), ValueError("out of memory"), KeyError("can't allocate memory")]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_every_allocators_error_becomes_ours(error):
    assert is_out_of_memory(error)
    with pytest.raises(NoRoom, match="ran out of memory for 90 tokens") as caught, as_out_of_memory("90 tokens"):
        raise error
    assert "--device cpu" in caught.value.hint
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", OTHERS)
def test_other_errors_pass(error):
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)) as caught, as_out_of_memory("90 tokens"):
        raise error
    assert caught.value is error


def test_the_hint_is_the_callers():
    with pytest.raises(NoRoom) as caught, as_out_of_memory("it", hint="buy memory"):
        raise MemoryError
    assert caught.value.hint == "buy memory"
