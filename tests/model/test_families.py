"""What a checkpoint is follows from its small files, and what is of no family is refused with what is missing."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from diffucli.errors import BadCheckpoint
from diffucli.model import families as module
from diffucli.model import tokenizer as tokenizers
from diffucli.model.families import DREAM_CHAT, dream, read, read_family
from diffucli.model.family import ChatTemplate, Clues, ConfigKeys, PublishedSampling
from diffucli.model.names import ALIASES
from diffucli.model.special_tokens import added_tokens, chat_template, role, special_tokens

REPOSITORY, BEGIN = "apple/DiffuCoder-7B-cpGRPO", "<|beginoftext|>"


def edited(folder, file: str, **changes: object) -> None:
    path = folder / file
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


def test_a_dream_checkpoint_is_shifted_attends_fully_and_names_its_tokens(golden):
    config, family = read(golden)
    assert config.num_layers == 3
    assert (family.name, family.shift, family.block, family.expand) == ("dream", 1, None, None)
    assert family.mask == "<|mask|>"
    assert family.pads == ("<|dlm_pad|>", "<|endoftext|>")
    assert family.ends == ("<|im_end|>", "<|dlm_pad|>", "<|endoftext|>")


def test_tensor_names_are_the_published_ones_unless_the_family_has_others(golden):
    family = read(golden)[1]
    assert family.tensor_name("model.layers.0.mlp.up_proj.weight") == "model.layers.0.mlp.up_proj.weight"
    other = replace(family, tensor_names=(("model.layers.", "blocks."), ("mlp.up_proj", "up")))
    assert other.tensor_name("model.layers.0.mlp.up_proj.weight") == "blocks.0.up.weight"


def test_a_checkpoint_answers_chat_by_its_template_or_the_pad_token_of_instruction_tuning(folder):
    assert read(folder)[1].template == DREAM_CHAT
    names = json.loads((folder / "added_tokens.json").read_text())
    (folder / "added_tokens.json").write_text(json.dumps({k: i for k, i in names.items() if k != "<|dlm_pad|>"}))
    assert read(folder)[1].template is None
    edited(folder, "tokenizer_config.json", chat_template="{{ messages }}")
    assert read(folder)[1].template == replace(DREAM_CHAT, source="{{ messages }}")


def test_the_published_sampling_is_that_of_the_repository(golden):
    assert read(golden)[1].published is None
    assert read(golden, source=REPOSITORY)[1].published == PublishedSampling(0.4, 0.95, "entropy")
    for name, temperature in (("Base", 0.2), ("Instruct", 0.3)):
        recipe = dream(Clues(golden, source=f"apple/DiffuCoder-7B-{name}")).published
        assert recipe == PublishedSampling(temperature, 0.95, "entropy")


def test_repositories_with_an_alias_are_spelled_as_the_alias_has_them():
    lower = {repository.lower(): repository for repository in ALIASES.values()}
    for repository in module.DREAM_RECIPES:
        assert lower.get(repository.lower(), repository) == repository


@pytest.mark.parametrize(
    ("model_type", "said"),
    [
        ("llada_moe", "layers of several experts are not supported"),
        ("llama", "neither its architectures nor its auto_map name a DiffCoder, so it is no diffusion model"),
        ("dream", "the model_types that are supported are 'Dream', 'qwen2', 'llada'"),
        (None, "(model_type None): the model_types that are supported"),
        (["Dream"], "the model_types that are supported"),
    ],
)
def test_other_families_are_refused(golden, model_type, said):
    with pytest.raises(BadCheckpoint) as caught:
        read_family(golden, {"model_type": model_type}, name="this one")
    assert said in caught.value.message
    assert caught.value.message.startswith("this one cannot be run (model_type ")
    assert "diffu model pull" in caught.value.hint


@pytest.mark.parametrize("file", ["added_tokens.json", "tokenizer_config.json"])
def test_a_token_that_lets_holes_grow_makes_a_dreamon_whichever_file_lists_it(folder, file):
    if file == "added_tokens.json":
        edited(folder, file, **{"<|expand|>": 490})
    else:
        decoder = json.loads((folder / file).read_text())["added_tokens_decoder"]
        edited(folder, file, added_tokens_decoder=decoder | {"490": {"content": "<|expand|>"}})
    found = read(folder)[1]
    assert (found.name, found.expand, found.begin, found.close) == ("dreamon", "<|expand|>", BEGIN, "<|endoftext|>")
    edited(folder, "config.json", expand_token_id=17)
    with pytest.raises(BadCheckpoint, match="says expand_token_id 17, and the vocabulary 490"):
        read(folder)


def test_special_tokens_listed_in_tokenizer_config_alone_are_seen(folder, golden):
    """In the order of ids, as with the other file."""
    (folder / "added_tokens.json").unlink()
    assert special_tokens(folder) == special_tokens(golden) == added_tokens(folder) == added_tokens(golden)
    assert list(special_tokens(folder).values()) == list(range(480, 490))


def test_a_checkpoint_without_either_list_has_no_special_tokens(folder):
    (folder / "added_tokens.json").unlink()
    edited(folder, "tokenizer_config.json", added_tokens_decoder=None)
    assert special_tokens(folder) == {}
    (folder / "tokenizer_config.json").unlink()
    assert special_tokens(folder) == {}


def test_a_list_that_is_damaged_is_named(folder):
    (folder / "added_tokens.json").write_text('{"<|mask|>": "x"}')
    with pytest.raises(BadCheckpoint, match=r"added_tokens\.json gives a token no id"):
        read(folder)
    (folder / "added_tokens.json").unlink()
    edited(folder, "tokenizer_config.json", added_tokens_decoder={"480": "<|mask|>"})
    with pytest.raises(BadCheckpoint, match=r"tokenizer_config\.json lists no added tokens"):
        read(folder)


def test_a_folder_without_config_json_is_no_checkpoint(tmp_path):
    with pytest.raises(BadCheckpoint, match=r"mine is no checkpoint: it lacks config\.json"):
        read(tmp_path, name="mine")


def test_a_config_that_cannot_be_used_is_told_under_the_name_given(folder):
    edited(folder, "config.json", hidden_act="gelu")
    with pytest.raises(BadCheckpoint, match=r"^mine cannot be run: hidden_act 'gelu'"):
        read(folder, name="mine")
    edited(folder, "config.json", hidden_act="silu", quantization_config="gptq")
    with pytest.raises(BadCheckpoint, match=r"^mine: the weights are in a form 'gptq'") as caught:
        read(folder, name="mine")
    assert "four bits" in caught.value.hint


def test_a_chat_has_a_system_turn_and_the_published_newline_after_the_query():
    assert DREAM_CHAT.turns("x {y}") == (("system", "You are a helpful assistant."), ("user", "x {y}\n"))


def test_every_family_is_recognised_by_its_files_alone(golden_of):
    found = {name: read(golden_of(name))[1] for name in ("dream", "dreamon", "p2", "blockwise", "llada")}
    names = ["dream", "dreamon", "open-dcoder", "stable-diffcoder", "llada"]
    assert [family.name for family in found.values()] == names
    assert [family.shift for family in found.values()] == [1, 1, 1, 0, 0]
    assert [family.block for family in found.values()] == [None, None, None, 4, None]
    assert (found["p2"].mask, found["blockwise"].mask_id, found["llada"].mask) == ("<M>", 5, "<|mdm_mask|>")
    assert [family.template is not None for family in found.values()] == [True, False, False, True, True]
    assert [name for name, family in found.items() if family.fim] == ["blockwise"]


def test_the_config_of_llada_is_read_in_its_own_words(golden_of):
    config, _ = read(golden_of("llada"))
    assert (config.hidden_size, config.intermediate_size, config.num_layers) == (64, 160, 3)
    assert (config.num_heads, config.num_kv_heads, config.vocab_size) == (4, 4, 512)
    assert (config.context, config.rms_norm_eps, config.qkv_bias) == (4096, 1e-5, False)
    keys = module.LLADA_KEYS
    assert keys.translated({"n_heads": 8, "n_kv_heads": None})["num_key_value_heads"] == 8
    assert keys.translated({"n_heads": 8, "n_kv_heads": 2})["num_key_value_heads"] == 2


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("llada", {"alibi": True}, "alibi True is not supported, only False is"),
        ("llada", {"block_type": "sequential"}, "block_type 'sequential' is not supported, only 'llama' is"),
        ("llada", {"include_bias": True}, "include_bias True"),
        ("llada", {"n_layers": 0}, "num_hidden_layers must be a positive number, not 0"),
        ("llada", {"activation_type": "swiglu"}, "hidden_act 'swiglu' is not supported"),
        ("blockwise", {"attention_bias": True}, "attention_bias True is not supported, only False is"),
        ("blockwise", {"block_length": 0}, "block_length 0 is no length of a block"),
        ("blockwise", {"block_length": "4"}, "block_length '4' is no length of a block"),
    ],
)
def test_a_network_that_a_family_does_not_have_is_refused(golden_of, tmp_path, name, changes, said):
    folder = shutil.copytree(golden_of(name), tmp_path / "it")
    edited(folder, "config.json", **changes)
    with pytest.raises(BadCheckpoint, match=re.escape(said)):
        read(folder, name="it")


def test_a_qwen2_without_a_mask_token_is_no_diffusion_model(golden_of, tmp_path):
    """Its mask token may have any name, in either of two files, as a string or with its flags."""
    folder = shutil.copytree(golden_of("p2"), tmp_path / "it")
    edited(folder, "tokenizer_config.json", mask_token=None)
    assert role(folder, "mask_token") == "<M>"
    edited(folder, "special_tokens_map.json", mask_token={"content": "<M>", "lstrip": False})
    assert read(folder)[1].mask == "<M>"
    edited(folder, "special_tokens_map.json", mask_token=None)
    with pytest.raises(BadCheckpoint, match="its tokenizer names no mask token, so it is no diffusion model"):
        read(folder)
    added = read(folder, source=module.OPEN_DCODER)[1]
    assert added.mask == added.added == "[MASK]"
    words = tokenizers.read(folder, added)
    assert (words.mask, words.vocab_size) == (489, 490), "the next free id"


def test_llada_1_5_and_base_checkpoints_are_told_by_their_repository(golden_of):
    recipes = {name: read(golden_of("llada"), source=f"GSAI-ML/{name}")[1] for name in ("LLaDA-8B-Base", "LLaDA-1.5")}
    assert (recipes["LLaDA-8B-Base"].template, recipes["LLaDA-1.5"].template.turn_end) == (None, "<|eot_id|>")
    assert recipes["LLaDA-8B-Base"].published == PublishedSampling(
        0.0, order="confidence", commits="linear", ends="never"
    )
    assert (recipes["LLaDA-1.5"].published.block, recipes["LLaDA-1.5"].published.ends) == (32, "late")


def test_a_chat_without_a_template_of_its_own_is_that_of_the_table(golden_of):
    text = read(golden_of("llada"))[1].template.text("x")
    assert text == (
        "<|startoftext|><|start_header_id|>user<|end_header_id|>\n\nx<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert ChatTemplate("<", ">", gap="").text("x") == "<user\nx><assistant\n"


def test_a_chat_template_is_found_in_any_of_its_three_places(folder):
    assert chat_template(folder) is None
    edited(folder, "tokenizer_config.json", chat_template=[{"name": "tools", "template": "t"}])
    assert chat_template(folder) is None
    edited(folder, "tokenizer_config.json", chat_template=[{"name": "default", "template": "d"}])
    assert chat_template(folder) == "d"
    edited(folder, "tokenizer_config.json", chat_template="own")
    assert chat_template(folder) == "own"
    (folder / "chat_template.jinja").write_text("file")
    assert chat_template(folder) == "file"


def test_keys_that_a_family_does_not_rename_stay():
    keys = ConfigKeys(names=(("a", "b"),), fixed=(("c", 1),), given=(("d", 2), ("e", 3)))
    assert keys.translated({"a": 5, "e": 4, "f": 6}) == {"a": 5, "b": 5, "d": 2, "e": 4, "f": 6}
    with pytest.raises(ValueError, match="c 2 is not supported, only 1 is"):
        keys.translated({"c": 2})


def test_the_page_has_a_row_for_every_family_and_names_files_that_there_are(golden_of):
    """A stranger adds a family by it."""
    root = Path(__file__).parents[2]
    page = (root / "docs" / "families.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    found = [read(golden_of(name))[1] for name in ("dream", "dreamon", "p2", "blockwise", "llada")]
    assert list(rows) == [family.name for family in found]
    for family in found:
        assert ("shifted by one" in rows[family.name]) is bool(family.shift)
        assert (f"blocks of {family.block}" in rows[family.name]) is (family.block is not None)
    places = re.findall(r"`((?:src|tests|model|decode|tasks)/[\w/.-]+?)(?:: (\w+))?`", page)
    assert len(places) >= 10
    for path, name in places:
        place = root / path if path.startswith(("src", "tests")) else root / "src" / "diffucli" / path
        assert place.exists(), path
        assert not name or name in place.read_text(encoding="utf-8"), (path, name)
