"""A name, an alias or an address in any form is one checkpoint, and what is none is told without asking the hub."""

from __future__ import annotations

import shutil

import pytest
from pulling import ALIAS, NAME, pulled

from diffucli.errors import ModelError, UsageError
from diffucli.model import names, registry, store
from diffucli.model.names import Origin, origin
from diffucli.model.offer import offer
from diffucli.model.pull import is_done


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.mark.parametrize("known", names.KNOWN, ids=lambda known: known.name)
def test_every_alias_and_its_repository_are_one_name_in_any_case(known):
    for name in (known.name, known.name.upper(), known.repository, known.repository.upper()):
        assert names.short_name(name) == known.name
        assert origin(name) == Origin(known.name, known.repository)


@pytest.mark.parametrize(
    "address",
    [
        "https://huggingface.co/org/x",
        "http://www.huggingface.co/org/x/",
        "HTTPS://HuggingFace.co/org/x#readme",
        "huggingface.co/org/x",
        "hf.co/org/x/tree/main",
        "https://huggingface.co/org/x/blob/main/model.safetensors",
        "https://huggingface.co/org/x?library=transformers",
        "https://huggingface.co/org/x/discussions/1",
        "https://huggingface.co/org/x.git",
        "https://me:hf_mine@huggingface.co/org/x",
        "git@hf.co:org/x.git",
        "hf://org/x",
        "hf://models/org/x",
        "  org/x ",
    ],
)
def test_an_address_is_its_repository(address):
    assert origin(address) == Origin("org/x", "org/x")


@pytest.mark.parametrize(
    ("address", "revision"),
    [
        ("https://huggingface.co/org/x/tree/v1.0", "v1.0"),
        ("huggingface.co/org/x/resolve/v1/config.json?download=true", "v1"),
        ("https://huggingface.co/org/x/commit/c0ffee", "c0ffee"),
        ("https://huggingface.co/org/x/tree/refs%2Fpr%2F5", "refs/pr/5"),
        ("https://huggingface.co/org/x/tree/refs/pr/5/sub", "refs/pr/5"),
        ("org/x@v1.0", "v1.0"),
        ("hf://org/x@refs/pr/5", "refs/pr/5"),
    ],
)
def test_an_address_may_have_a_revision(address, revision):
    assert origin(address) == Origin("org/x", "org/x", revision=revision)


def test_an_alias_may_have_a_revision():
    assert origin("DiffuCoder@v1") == Origin(ALIAS, NAME, revision="v1")


def test_the_mirror_is_a_hub_too(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://Mirror.example/hub/")
    assert origin("https://mirror.example/hub/org/x/tree/v1") == Origin("org/x", "org/x", revision="v1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://huggingface.co/datasets/org/x", "no model but one of the hub's datasets"),
        ("hf.co/spaces/org/x", "no model but one of the hub's spaces"),
        ("https://github.com/org/x", "no address of a hub that diffu knows"),
        ("https://notahf.co/org/x", "no address of a hub that diffu knows"),
        ("https://hf.co.evil.example/org/x", "no address of a hub that diffu knows"),
        ("https://huggingface.co/models?search=dream", "no model called"),
        ("https://huggingface.co/", "no model called"),
        ("hf.co/org/x:Q4_K_M", "no model called"),
        ("org/x@", "no model called"),
        ("org/../x", "no model called"),
        ("MINI", "part of diffu"),
    ],
)
def test_what_names_no_model_is_told(text, told):
    with pytest.raises(ModelError, match=told) as caught:
        origin(text)
    assert caught.value.hint


def test_a_folder_is_meant_before_an_address_or_another_case(tmp_path):
    for name in ("DIFFUCODER", "x@v1"):
        (tmp_path / name).mkdir()
    assert origin("x@v1").folder == tmp_path / "x@v1"
    with pytest.raises(UsageError, match="no free name"):
        origin("DIFFUCODER")
    assert registry.find("DIFFUCODER").folder.name == "DIFFUCODER"


def test_the_revision_of_an_address_is_pulled_and_another_is_refused(hub):
    hub.repositories[NAME].tags = ("v1",)
    address = f"https://huggingface.co/{NAME}/tree/v1"
    assert offer(address).listing.commit == hub.repositories[NAME].commit
    assert hub.requests[-1].path == f"/api/models/{NAME}/revision/v1"
    with pytest.raises(UsageError, match="is at v1, --revision is v2"):
        offer(address, revision="v2")


def test_a_repository_in_another_case_is_the_one_that_is_here(hub, golden):
    hub.repositories["Org/Small"] = hub.repositories[NAME]
    hub.renamed["org/small"] = "Org/Small"  # the hub leads to its own spelling
    pulled("org/small")
    assert registry.find("ORG/small").name == "Org/Small"
    assert is_done(offer("org/SMALL@" + hub.repositories[NAME].commit))
    assert [record.name for record in store.records()] == ["Org/Small"]
    assert registry.use("https://hf.co/org/small").name == "Org/Small"
    assert registry.remove("org/SMALL") > 0


def test_names_that_differ_in_case_alone_are_each_found_by_their_own(golden, tmp_path):
    for name in ("Small", "small"):
        shutil.copytree(golden, tmp_path / "of" / name)
        pulled(str(tmp_path / "of" / name))
    assert [registry.find(name).name for name in ("Small", "small")] == ["Small", "small"]


def test_what_is_known_can_be_reckoned_with():
    for known in names.KNOWN:
        billions = known.size / names.PUBLISHED_BYTES / 1e9
        assert 0.4 < billions < 0.6 or 7.5 < billions < 8.5  # as their cards say: 0.5 B, 7 B, 8 B
        assert known.licence
        assert known.purpose
