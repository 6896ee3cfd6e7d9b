"""The vocabulary agrees with the published tokenizer, and users' text is never a special token."""

from __future__ import annotations

import json
import re
import shutil
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models

from diffucli.errors import BadCheckpoint
from diffucli.model import families
from diffucli.model import tokenizer as module
from diffucli.model.families import DREAM, MASK
from diffucli.model.special_tokens import special_tokens
from diffucli.model.tokenizer import Tokenizer, build, check_alphabet, read

if TYPE_CHECKING:
    from pathlib import Path

SPECIALS = ("<|mask|>", "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|dlm_pad|>", "<|fim_prefix|>")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.fixture(scope="module")
def words(golden) -> Tokenizer:
    return read(golden)


def test_every_golden_tokenisation_is_reproduced(words, golden):
    cases = json.loads((golden / "golden-tokens.json").read_text(encoding="utf-8"))
    assert len(cases) >= 9
    for case in cases:
        assert words.encode(case["text"], special=True) == case["ids"]


def test_golden_texts_come_back(words, golden):
    for case in json.loads((golden / "golden-tokens.json").read_text(encoding="utf-8")):
        assert words.decode(case["ids"]) == case["text"]


@pytest.mark.parametrize("name", SPECIALS)
@given(before=texts, after=texts)
def test_names_of_special_tokens_in_users_text_are_plain_text(words, name, before, after):
    ids = words.encode(before + name + after)
    assert words.specials.isdisjoint(ids)
    assert words.decode(ids) == unicodedata.normalize("NFC", before + name + after)


def test_encoding_with_specials_leaves_no_trace_in_the_next_encoding(words):
    assert words.encode(MASK, special=True) == [words.mask]
    assert words.mask not in words.encode(MASK)


def test_threads_may_share_a_tokenizer(words):
    """Some encode names of special tokens as text, others as tokens, at the same time."""
    text = "a<|mask|>b<|im_end|>" * 50
    plain, special = words.encode(text), words.encode(text, special=True)

    def encode(i: int) -> bool:
        return words.encode(text, special=i % 2 == 0) == (plain if i % 2 else special)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(encode, range(400)))
    assert words.decode(plain) == words.decode(special) == text
    assert len(special) == 4 * 50 < len(plain)


@given(st.lists(st.sampled_from(SPECIALS) | texts, max_size=6))
def test_special_tokens_are_found_wherever_they_stand_in_a_text(words, parts):
    ids = [i for part in parts for i in ([words.special(part)] if part in SPECIALS else words.encode(part))]
    text = "".join(parts)
    assert words.decode(words.encode(text, special=True)) == words.decode(ids) or "<|" in "".join(
        part for part in parts if part not in SPECIALS
    )
    assert [i for i in words.encode(text, special=True) if i in words.specials] == [
        i for i in ids if i in words.specials
    ]


def test_a_vocabulary_without_special_tokens_encodes_all_the_same():
    plain = Tokenizer(build(models.BPE({"a": 0, "b": 1}, []), {}), DREAM)
    assert plain.encode("ab", special=True) == plain.encode("ab") == [0, 1]


@given(texts)
def test_decoding_gives_back_the_text_in_nfc(words, text):
    assert words.decode(words.encode(text)) == unicodedata.normalize("NFC", text)


@given(st.lists(st.integers(-3, 600), max_size=20))
def test_a_text_is_the_sum_of_its_pieces_and_unknown_ids_are_empty(words, ids):
    pieces = [words.piece(i) for i in ids]
    assert words.decode(ids) == b"".join(pieces).decode("utf-8", "replace")
    assert [p == b"" for p in pieces] == [not 0 <= i < words.vocab_size for i in ids]


def test_a_piece_may_be_half_a_character(words):
    ids = words.encode("日")
    assert len(ids) > 1
    assert b"".join(words.piece(i) for i in ids) == "日".encode()
    assert words.decode(ids[:1]) == "\N{REPLACEMENT CHARACTER}"


@given(texts, texts)
def test_chat_is_the_published_template_and_specials_in_it_are_not_the_users(words, query, prefill):
    ids = words.chat(query, prefill=prefill)
    text = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n{query}\n<|im_end|>\n<|im_start|>assistant\n{prefill}"
    )
    assert ids == words.encode(text, special=True)


@pytest.mark.parametrize("name", SPECIALS)
def test_a_query_cannot_leave_its_turn(words, name):
    plain, hostile = words.chat("x"), words.chat(f"x{name}y", prefill=name)
    counts = [[ids.count(i) for i in sorted(words.specials)] for ids in (plain, hostile)]
    assert counts[0] == counts[1]


def test_special_ids_are_looked_up_by_name(words):
    added = {"<|endoftext|>": 480, "<|im_end|>": 482, "<|dlm_pad|>": 489}
    assert (words.mask, words.pad, words.ends, words.vocab_size) == (488, 489, frozenset(added.values()), 490)
    assert words.special("<|im_start|>") == 481
    with pytest.raises(BadCheckpoint, match=r"lacks the token <\|expand\|>"):
        words.special("<|expand|>")


def renamed(folder, old: str, new: str | None) -> None:
    """An added token gets another name, or (the last one) goes."""
    names = json.loads((folder / "added_tokens.json").read_text())
    number = names.pop(old)
    (folder / "added_tokens.json").write_text(json.dumps(names | ({new: number} if new else {})))


def test_without_a_pad_token_end_of_text_pads_and_ends(folder):
    renamed(folder, "<|dlm_pad|>", None)
    words = read(folder)
    assert words.pad == 480
    assert words.ends == {480, 482}


def test_a_checkpoint_answers_turns_if_it_has_a_template_or_the_pad_token(folder):
    assert read(folder).instruct
    renamed(folder, "<|dlm_pad|>", "<|other|>")
    assert not read(folder).instruct
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages[-1].content }}"}')
    assert read(folder).instruct


def test_added_tokens_may_stand_in_the_tokenizers_settings_alone(folder, golden):
    (folder / "added_tokens.json").unlink()
    text = "a<|mask|>b<|dlm_pad|>"
    assert read(folder).encode(text, special=True) == read(golden).encode(text, special=True)


@pytest.fixture
def full(folder, words) -> Path:
    """A checkpoint with tokenizer.json alone, as the published ones and transformers 5 write it."""
    values = json.loads(words.bpe.to_str())
    values["pre_tokenizer"]["pretokenizers"][1]["trim_offsets"] = False
    values["model"]["merges"] = [" ".join(pair) for pair in values["model"]["merges"]]
    (folder / "tokenizer.json").write_text(json.dumps(values))
    for name in ("vocab.json", "merges.txt", "added_tokens.json"):
        (folder / name).unlink()
    edited(folder / "tokenizer_config.json", added_tokens_decoder=None)
    return folder / "tokenizer.json"


def edited(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_tokenizer_json_alone_gives_the_same_ids(full, golden, words):
    read_alone = read(full.parent)
    for case in json.loads((golden / "golden-tokens.json").read_text(encoding="utf-8")):
        assert read_alone.encode(case["text"], special=True) == case["ids"]
    assert read_alone.specials == words.specials
    assert special_tokens(full.parent) == special_tokens(golden)
    assert read_alone.instruct is words.instruct


def test_merges_may_be_pairs(full, words):
    model = json.loads(full.read_text())["model"]
    edited(full, model=model | {"merges": [merge.split(" ") for merge in model["merges"]]})
    assert read(full.parent).encode("def f(x):\n") == words.encode("def f(x):\n")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"normalizer": {"type": "Lowercase"}}, "changes text (normalizer)"),
        ({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Strip"}]}}, "(normalizer)"),
        ({"model": {"type": "Unigram", "vocab": {}, "merges": []}}, "no byte-level BPE but 'Unigram'"),
        ({"model": {"type": "BPE", "vocab": {}, "merges": [], "dropout": 0.1}}, "changes text (dropout)"),
        ({"pre_tokenizer": {"type": "Magic"}}, "holds no tokenizer"),
        ({"model": {"type": "BPE", "vocab": {}, "merges": []}}, "no byte-level vocabulary"),
        ({"model": []}, "holds no tokenizer"),
        ({"model": None}, "holds no tokenizer"),
        ({"added_tokens": [{"id": 1}]}, "lists no added tokens"),
        ({"added_tokens": []}, "lacks <|mask|>"),
    ],
)
def test_a_tokenizer_json_of_another_kind_is_refused(full, changes, told):
    edited(full, **changes)
    with pytest.raises(BadCheckpoint, match=re.escape(told)) as caught:
        read(full.parent)
    assert str(full.parent) in caught.value.message


def test_a_chat_template_may_be_a_file_of_its_own(folder):
    added = json.loads((folder / "added_tokens.json").read_text())
    (folder / "added_tokens.json").write_text(json.dumps({name.replace("dlm_", "my_"): i for name, i in added.items()}))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert not read(folder).instruct
    (folder / "chat_template.jinja").write_text("{{ messages[-1].content }}")
    assert read(folder).instruct


def test_fences_are_the_ids_whose_bytes_begin_with_a_closing_fence():
    pieces = ["```", "```Ċ", "Ġ```", "``", "````"]
    words = Tokenizer(build(models.BPE({piece: i for i, piece in enumerate(pieces)}, []), {}), DREAM)
    assert words.fences == {0, 1, 4}
    assert words.piece(1) == b"```\n"


def test_blanks_are_the_ids_whose_text_begins_with_white_space(words):
    """Behind a blank that belongs to the hole the first one does not count."""
    plain, behind = (set(words.blanks(behind_blank=value)) for value in (False, True))
    assert plain == {
        i for i in range(words.vocab_size) if words.piece(i)[:1] in {b" ", b"\t", b"\n", b"\r", b"\v", b"\f"}
    }
    assert behind == {i for i in range(words.vocab_size) if words.piece(i)[1:2].strip() != words.piece(i)[1:2]}
    (letter,), (blank,) = words.encode("x"), words.encode(" ")
    assert blank in plain
    assert not {letter, blank} & behind
    assert not words.specials & plain


def test_added_tokens_that_do_not_follow_the_vocabulary_are_refused():
    with pytest.raises(ValueError, match=r"<\|mask\|> does not follow"):
        build(models.BPE({"a": 0}, []), {MASK: 7})


def test_a_tokenizer_of_our_own_can_be_built(words):
    tokenizer = build(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]), {MASK: 3})
    assert isinstance(tokenizer, tokenizers.Tokenizer)
    assert Tokenizer(tokenizer, DREAM).encode("abba") == [2, 1, 0]


DAMAGES = {
    "vocab.json": [None, "[]", "{", "{}", '{"a": 0}', '{"日": "x"}', "\xff"],
    "merges.txt": [None, "a b c\n", "zz\n", "q zz\n", "日 本\n"],
    "tokenizer_config.json": [None, "7", "nope"],
    "added_tokens.json": ["[1]", '{"<|mask|>": "x"}', '{"<|mask|>": null}', '{"<|mask|>": 9000}', "{}"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in DAMAGES.items() for text in texts])
def test_damage_is_one_line_that_names_the_place(folder, name, text):
    """tokenizer_config.json too: without it base and instruct look alike, so a download that lacks it is not whole."""
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(text.encode("latin-1", "xmlcharrefreplace"))
    with pytest.raises(BadCheckpoint) as caught:
        read(folder)
    assert str(folder) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    if text is None:
        assert name in caught.value.message


@pytest.mark.parametrize("decoder", [None, [], {"1": {}}, {"x": {"content": "<|mask|>"}}, {"480": "<|mask|>"}])
def test_settings_that_list_no_added_tokens_are_refused(folder, decoder):
    (folder / "added_tokens.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    with pytest.raises(BadCheckpoint, match=r"tokenizer_config\.json lists no added tokens|do not f|lacks"):
        read(folder)


def test_a_vocabulary_without_the_mask_token_is_refused(folder):
    renamed(folder, MASK, "<|mdm_mask|>")
    with pytest.raises(BadCheckpoint, match=r"lacks <\|mask\|>"):
        read(folder)


@pytest.mark.parametrize("byte", ["q", "Ġ", "ÿ"])
def test_a_vocabulary_that_lacks_one_byte_is_refused(folder, byte):
    """It would lose users' text without a word. Everything in it is bytes."""
    path = folder / "vocab.json"
    vocab = json.loads(path.read_text(encoding="utf-8"))
    with pytest.raises(BadCheckpoint, match="no byte-level vocabulary"):
        check_alphabet(path, {name: i for name, i in vocab.items() if name != byte})
    check_alphabet(path, vocab)


@pytest.mark.parametrize("foreign", ["€", "a€", "日"])
def test_a_vocabulary_with_one_foreign_character_is_refused(folder, foreign):
    """Every byte is in it."""
    path = folder / "vocab.json"
    vocab = json.loads(path.read_text(encoding="utf-8"))
    with pytest.raises(BadCheckpoint, match="no byte-level vocabulary"):
        check_alphabet(path, vocab | {foreign: 999})
    path.write_text(json.dumps(vocab | {foreign: len(vocab)}))
    with pytest.raises(BadCheckpoint, match=r"vocab\.json is no byte-level vocabulary"):
        read(folder)


def test_the_byte_alphabet_is_a_bijection():
    characters = module.byte_characters()
    assert sorted(characters) == list(range(256))
    assert len(set(characters.values())) == 256
    assert (characters[ord("a")], characters[ord(" ")], characters[ord("\n")]) == ("a", "Ġ", "Ċ")


def test_the_checkpoints_own_template_makes_the_chat(folder):
    """What a user writes in it stays plain text, and the answer may begin with anything."""
    template = "{% for m in messages %}<|im_start|>{{ m.role }}:{{ m.content }}<|im_end|>{% endfor %}<|im_start|>me:"
    (folder / "chat_template.jinja").write_text(template)
    words = read(folder)
    ids = words.chat("x<|im_end|>", prefill="y<|mask|>")
    system = "<|im_start|>system:You are a helpful assistant.<|im_end|>"
    assert words.decode(ids) == f"{system}<|im_start|>user:x<|im_end|>\n<|im_end|><|im_start|>me:y<|mask|>"
    assert [i for i in ids if i in words.specials] == [words.special(n) for n in ("<|im_start|>", "<|im_end|>") * 2] + [
        words.special("<|im_start|>")
    ]


def test_a_tokenizer_json_has_special_tokens_that_stand_for_no_text_of_a_user(golden_of):
    words = read(golden_of("llada"), families.read(golden_of("llada"))[1])
    assert words.mask == 505
    assert words.encode("<|eot_id|>", special=True) == [503]
    assert words.specials.isdisjoint(words.encode("a <|eot_id|> b<role>"))
    assert words.decode(words.encode("a <|eot_id|> é\n")) == "a <|eot_id|> é\n"
    assert (words.padding, words.ends) == ({500}, {500, 503})


def test_a_mask_that_no_file_names_has_the_id_of_the_table_and_is_never_text(golden_of, tmp_path):
    """Tokens that follow the last id may be listed beside tokenizer.json."""
    folder = shutil.copytree(golden_of("blockwise"), tmp_path / "it")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text((folder / name).read_text().replace("<[MASK▁TOKEN]>", "<[reserved▁5]>"))
    (folder / "added_tokens.json").write_text('{"<[more]>": 489}')
    words = read(folder, families.read(folder)[1])
    assert words.mask == 5 in words.specials
    assert words.encode("<[more]>", special=True) == [489]
