"""Names become checkpoints, a choice is remembered, and the figures are those of the files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from diffucli import settings
from diffucli.errors import BadCheckpoint, ModelError, UsageError, WriteFailed
from diffucli.model import registry, store
from diffucli.model.registry import Entry, facts, find

NAME = "org/small"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def pulled(golden) -> Entry:
    """The golden checkpoint on the shelf, as a pull leaves it."""
    made = store.staging_dir(NAME)
    made.parent.mkdir(parents=True)
    shutil.copytree(golden, made)
    store.install(made, store.Record(NAME, NAME, "c0ffee", "none", "mit", "https://example.org", "2026-11-23"))
    return find(NAME)


def test_nothing_pulled_leaves_the_embedded_model_alone():
    assert [(entry.name, entry.embedded) for entry in registry.entries()] == [("mini", True)]
    assert find(None).embedded
    assert find("mini") == find(None)


def test_a_pulled_model_is_found_by_its_name(pulled, home):
    assert pulled.folder == home / "models" / "org--small"
    assert not pulled.embedded
    assert pulled.record is not None
    assert pulled.record.revision == "c0ffee"
    assert [entry.name for entry in registry.entries()] == ["mini", NAME]


@pytest.mark.parametrize("spoilt", ["", "{", "[]", '{"schema": "diffu.pulled/9"}', '{"schema": "diffu.pulled/1"}'])
def test_a_folder_without_a_sound_record_is_no_model(pulled, spoilt):
    (pulled.folder / store.RECORD).write_text(spoilt)
    assert len(registry.entries()) == 1


def test_any_checkpoint_folder_can_be_named(golden):
    assert find(str(golden)) == Entry(str(golden), golden, embedded=False)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("diffucoder", "diffu model pull diffucoder"),
        ("apple/DiffuCoder-7B-Base", "diffu model pull diffucoder-base"),
        ("org/unknown", "diffu model pull org/unknown"),
        ("difucoder", "did you mean diffucoder"),
        ("minii", "did you mean mini"),
        ("nothing like it", "known: mini"),
    ],
)
def test_a_name_that_is_not_here_says_how_to_get_it(name, hint):
    with pytest.raises(ModelError) as caught:
        find(name)
    assert hint in caught.value.hint


def test_the_chosen_model_runs_when_none_is_named(pulled):
    registry.use(NAME)
    assert find(None) == pulled
    registry.use("mini")
    assert find(None).embedded


def test_a_chosen_folder_is_found_from_anywhere(golden, monkeypatch, tmp_path):
    monkeypatch.chdir(golden.parent)
    registry.use(golden.name)
    monkeypatch.chdir(tmp_path)
    assert find(None).folder == golden


def test_a_choice_that_is_gone_says_so(pulled):
    registry.use(NAME)
    shutil.rmtree(pulled.folder)
    with pytest.raises(ModelError, match=f"the default model {NAME} is not installed") as caught:
        find(None)
    assert "diffu model use mini" in caught.value.hint


def test_a_choice_keeps_the_other_settings(pulled, home):
    settings.write('preset = "fast"  # mine\n')
    registry.use(NAME)
    assert (home / "config.toml").read_text() == f'preset = "fast"  # mine\nmodel = "{NAME}"\n'


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_an_earlier_choice_that_is_damaged_is_named(home, content):
    home.mkdir()
    (home / "config.json").write_text(content)
    with pytest.raises(UsageError, match=r"config\.json"):
        find(None)


def test_a_choice_of_an_earlier_diffu_holds_until_there_is_another(pulled, home):
    former = home / "config.json"
    former.write_text(json.dumps({"theme": "dark", "model": NAME}))
    assert find(None).name == NAME
    registry.use("mini")
    assert not former.exists()
    assert (home / "config.toml").read_text().strip() == ""


def test_settings_that_cannot_be_written_are_told(home, golden):
    home.write_text("no folder")
    with pytest.raises(WriteFailed, match=r"config\.toml cannot be written"):
        registry.use(str(golden))


def test_removing_frees_everything_and_takes_the_choice_back(pulled, home):
    registry.use(NAME)
    part = store.download_dir(NAME)
    part.mkdir(parents=True)
    (part / "model.safetensors.part").write_bytes(bytes(1000))
    size = store.size(pulled.folder)
    assert registry.remove(NAME) == size + 1000
    assert not list(home.rglob("*.safetensors*"))
    assert find(None).embedded


def test_what_is_half_pulled_can_be_removed():
    part = store.download_dir("diffucoder")
    part.mkdir(parents=True)
    (part / "x.part").write_bytes(bytes(10))
    assert registry.remove("apple/DiffuCoder-7B-cpGRPO") == 10


@pytest.mark.parametrize(
    ("name", "told"), [("mini", "stays"), ("org/none", "no pulled model"), ("/tmp", "cannot be a model.s name")]
)
def test_what_was_not_pulled_is_not_removed(name, told):
    with pytest.raises(ModelError, match=told):
        registry.remove(name)


def test_a_model_that_is_being_pulled_is_not_removed(pulled):
    with store.locked(NAME, wait=False), pytest.raises(ModelError, match="being pulled"):
        registry.remove(NAME)
    assert find(NAME) == pulled


def test_facts_are_those_of_the_files(pulled, golden):
    found = facts(pulled)
    shapes = [
        file.get_slice(name).get_shape()
        for path in golden.glob("model-*.safetensors")
        for file in [safe_open(path, framework="np")]
        for name in file.keys()  # noqa: SIM118 — no mapping
    ]
    assert found.config.parameters == sum(_product(shape) for shape in shapes)
    assert found.bits == 32
    assert found.weights == 4 * found.config.parameters
    assert found.size == sum(path.stat().st_size for path in pulled.folder.iterdir())
    cache = 2 * 3 * 32 * 2048 * 2  # keys and values, layers, width, positions, bytes
    assert found.memory == found.weights + cache
    assert found.special["<|mask|>"] == 488
    assert list(found.special.values()) == sorted(found.special.values())
    assert (found.licence, found.revision) == ("mit", "c0ffee")


def _product(shape: list[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def test_packed_layers_count_as_four_bits(pulled):
    path = pulled.folder / "config.json"
    packed = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": packed}))
    assert facts(pulled).bits == 4


@pytest.mark.parametrize("cut", [0, 4, 100, 1000])
def test_a_truncated_shard_is_told(pulled, cut):
    shard = next(pulled.folder.glob("model-*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:cut])
    with pytest.raises(BadCheckpoint, match="truncated"):
        facts(pulled)


def test_listing_needs_no_torch_and_no_network_client(pulled, home):
    code = (
        "import sys; from diffucli.model import registry; [registry.facts(e) for e in registry.entries()[1:]];"
        "sys.exit(', '.join({'torch', 'transformers', 'huggingface_hub'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr


def test_without_diffu_home_models_lie_in_the_users_cache(monkeypatch):
    monkeypatch.delenv("DIFFU_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/cache")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/some/config")
    if sys.platform == "linux":
        assert store.model_dir("org/name") == Path("/some/cache/diffu/models/org--name")
        assert settings.user_path() == Path("/some/config/diffu/config.toml")
