"""The files of a checkpoint: shards are found and checked by their headers, and whatever is wrong is one clear line.

What a whole checkpoint with one thing wrong says is in test_load.py.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from diffucli.errors import BadCheckpoint, UsageError
from diffucli.model.checkpoint import (
    INDEX,
    SINGLE,
    as_bad_checkpoint,
    bits_per_weight,
    check_index,
    check_shapes,
    one_line,
    read_object,
    read_text,
    shards,
    tensor_shapes,
    tensor_sizes,
)

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def test_shards_are_those_of_the_index_in_order(golden):
    assert [shard.name for shard in shards(golden)] == [FIRST, SECOND]


def test_a_single_file_is_preferred_to_an_index(folder):
    save_file({"a": torch.zeros(1)}, folder / SINGLE)
    assert [shard.name for shard in shards(folder)] == [SINGLE]


def test_both_readers_of_a_header_agree_with_the_tensors(golden):
    tensors = load_file(golden / FIRST)
    assert tensor_shapes(golden / FIRST) == {name: tuple(value.shape) for name, value in tensors.items()}
    assert tensor_sizes(golden / FIRST) == {name: ("F32", value.nbytes) for name, value in tensors.items()}


def test_a_file_without_tensors_has_none(tmp_path):
    save_file({}, tmp_path / "empty.safetensors")
    assert tensor_sizes(tmp_path / "empty.safetensors") == tensor_shapes(tmp_path / "empty.safetensors") == {}


@pytest.mark.parametrize("read", [tensor_sizes, tensor_shapes])
@pytest.mark.parametrize("size", [0, 4, 8, 100, 1000, -1])
def test_a_truncated_shard_is_told(folder, read, size):
    data = (folder / FIRST).read_bytes()
    (folder / FIRST).write_bytes(data[:size])
    with pytest.raises(BadCheckpoint, match=f"{FIRST} is damaged, truncated"):
        read(folder / FIRST)


def test_a_shard_that_is_too_long_is_told(folder):
    with (folder / FIRST).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BadCheckpoint, match="damaged, truncated or no safetensors file"):
        tensor_sizes(folder / FIRST)


@pytest.mark.parametrize(
    ("length", "told"), [(0, "invalid JSON"), (100_000_001, "header too large"), (100_000_000, "truncated")]
)
def test_a_header_is_no_longer_than_the_format_allows(tmp_path, length, told):
    path = tmp_path / "x.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(BadCheckpoint, match=told):
        tensor_sizes(path)


def test_bits_are_those_of_most_bytes():
    assert bits_per_weight({"a": ("BF16", 900), "b": ("F32", 64)}) == 16
    assert bits_per_weight({"a": ("BF16", 60), "b": ("F32", 64), "c": ("BF16", 60)}) == 16
    assert bits_per_weight({"a": ("F64", 8)}) == 64
    assert bits_per_weight({}) == bits_per_weight({"a": ("I8", 8)}) == 0


def test_shapes_are_compared_by_name_and_both_ways(folder):
    found = {name: shape for shard in shards(folder) for name, shape in tensor_shapes(shard).items()}
    check_shapes(folder, found)
    without_head = {name: shape for name, shape in found.items() if name != "lm_head.weight"}
    check_shapes(folder, without_head, copies={"lm_head.weight"})
    norm = "model.norm.weight"
    for expected, told in (
        (found | {"more": (1,)}, "lack the tensor more"),
        (found | {norm: (65,)}, rf"{norm} has shape \[64\], config.json asks for \[65\]"),
        ({name: shape for name, shape in found.items() if name != norm}, f"no place for the tensor {norm}"),
        (without_head, "no place for the tensor lm_head.weight"),
    ):
        with pytest.raises(BadCheckpoint, match=told):
            check_shapes(folder, expected)


def test_an_index_names_only_files_that_are_there(golden):
    check_index(golden / INDEX, frozenset({FIRST, SECOND, "another.safetensors"}))
    with pytest.raises(BadCheckpoint, match=f"names {SECOND}, which is not there"):
        check_index(golden / INDEX, frozenset({FIRST}))


@pytest.mark.parametrize("value", [{}, {"weight_map": None}, {"weight_map": ["a"]}])
def test_what_is_no_index_is_told(tmp_path, value):
    (tmp_path / INDEX).write_text(json.dumps(value))
    with pytest.raises(BadCheckpoint, match="is no shard index"):
        check_index(tmp_path / INDEX, frozenset())


def test_text_and_objects_are_read_whole(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"naïve": [1]}', encoding="utf-8")
    assert read_object(path) == json.loads(read_text(path)) == {"naïve": [1]}


def test_foreign_errors_become_ours_and_ours_pass():
    with (
        pytest.raises(BadCheckpoint, match=r"^it is wrong \(KeyError 'x'\)$") as caught,
        as_bad_checkpoint("it is wrong"),
    ):
        raise KeyError("x")
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.hint
    with pytest.raises(UsageError, match=r"^mine$"), as_bad_checkpoint("it is wrong"):
        raise UsageError("mine")
    with pytest.raises(KeyboardInterrupt), as_bad_checkpoint("it is wrong"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\n  b"), "a b"),
        (ValueError(""), "ValueError"),
        (KeyError("k"), "KeyError 'k'"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError division by zero"),
        (AttributeError("x"), "AttributeError x"),
        (ValueError("x" * 200), "x" * 200),
        (ValueError("x" * 201), "x" * 199 + "…"),
    ],
)
def test_a_foreign_message_is_one_line_that_says_something(error, line):
    assert one_line(error) == line


def test_headers_are_read_without_torch(golden):
    """tensor_shapes of unpacked weights too; only a quant state is read as a tensor."""
    code = (
        "import sys, pathlib; from diffucli.model.checkpoint import shards, tensor_sizes;"
        "[tensor_sizes(shard) for shard in shards(pathlib.Path(sys.argv[1]))]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, golden], check=False).returncode == 0


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.json"])
def test_what_git_lfs_did_not_fetch_is_told(tmp_path, name):
    path = tmp_path / name
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:c0ffee\nsize 15231233024\n")
    with pytest.raises(BadCheckpoint, match="is a pointer of Git LFS and not the file itself") as caught:
        tensor_sizes(path) if name.endswith(".safetensors") else read_object(path)
    assert "git lfs pull" in caught.value.hint
