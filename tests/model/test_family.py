"""What a checkpoint is follows from its small files, and what cannot be decoded is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from diffucli.errors import BadCheckpoint
from diffucli.model import family as module
from diffucli.model.family import DREAM_CHAT, DefaultSampling, added_tokens, dream, read, read_family, special_tokens
from diffucli.model.names import ALIASES

REPOSITORY = "apple/DiffuCoder-7B-cpGRPO"


def edited(folder, file: str, **changes: object) -> None:
    path = folder / file
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


def test_a_dream_checkpoint_is_shifted_attends_fully_and_names_its_tokens(golden):
    config, family = read(golden)
    assert config.num_layers == 3
    assert (family.name, family.shift, family.attention, family.expand) == ("dream", 1, "full", None)
    assert (family.mask, family.begin) == ("<|mask|>", "<|beginoftext|>")
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
    assert read(folder)[1].template == DREAM_CHAT


def test_the_published_sampling_is_that_of_the_repository(golden):
    assert read(golden)[1].sampling is None
    assert read(golden, source=REPOSITORY)[1].sampling == DefaultSampling(0.4, 0.95, "entropy")
    for name, temperature in (("Base", 0.2), ("Instruct", 0.3)):
        sampling = dream(chat=True, source=f"apple/DiffuCoder-7B-{name}").sampling
        assert sampling == DefaultSampling(temperature, 0.95, "entropy")


def test_repositories_with_an_alias_are_spelled_as_the_alias_has_them():
    lower = {repository.lower(): repository for repository in ALIASES.values()}
    for repository in module.SAMPLING:
        assert lower.get(repository.lower(), repository) == repository


@pytest.mark.parametrize(
    ("model_type", "said"),
    [
        ("llada", "'llada' predicts without the shift (LLaDA family)"),
        ("LLaDA_MoE", "'LLaDA_MoE' predicts without the shift"),
        ("qwen2", "'qwen2' is not supported, only 'Dream' is"),
        ("dream", "'dream' is not supported"),
        (None, "None is not supported"),
        (["Dream"], "is not supported"),
    ],
)
def test_other_families_are_refused(golden, model_type, said):
    with pytest.raises(BadCheckpoint) as caught:
        read_family(golden, model_type, name="this one")
    assert said in caught.value.message
    assert caught.value.message.startswith("this one cannot be run: ")
    assert "diffu model pull" in caught.value.hint


@pytest.mark.parametrize("file", ["added_tokens.json", "tokenizer_config.json"])
def test_a_token_that_lets_holes_grow_is_refused_whichever_file_lists_it(folder, file):
    if file == "added_tokens.json":
        edited(folder, file, **{"<|expand|>": 490})
    else:
        decoder = json.loads((folder / file).read_text())["added_tokens_decoder"]
        edited(folder, file, added_tokens_decoder=decoder | {"490": {"content": "<|expand|>"}})
    with pytest.raises(BadCheckpoint, match=r"<\|expand\|> lets holes grow"):
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
    with pytest.raises(BadCheckpoint, match=r"^mine: config\.json cannot be used \(hidden_act 'gelu'"):
        read(folder, name="mine")
    edited(folder, "config.json", hidden_act="silu", quantization_config="gptq")
    with pytest.raises(BadCheckpoint, match=r"^mine: the weights are in a form 'gptq'") as caught:
        read(folder, name="mine")
    assert "four bits" in caught.value.hint


def test_a_chat_has_a_system_turn_and_the_published_newline_after_the_query():
    assert DREAM_CHAT.turns("x {y}") == (("system", "You are a helpful assistant."), ("user", "x {y}\n"))
