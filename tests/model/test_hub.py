"""What the hub refuses is one line with a remedy, its licences are known, and the token goes to the hub alone.

The real client talks to a hub on loopback, tests/hub.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import loopback_hub as loopback
import pulling
import pytest
from huggingface_hub import constants
from loopback_hub import Fault
from pulling import (
    ALIAS,
    NAME,
    pulled,
    refused,
)

from diffucli.errors import ModelError
from diffucli.model import hub as client
from diffucli.model.pull import offer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("card", "licence", "link"),
    [
        ({"license": "apple-amlr"}, "apple-amlr", ""),
        ({"license": "other", "license_name": "own", "license_link": "LICENSE.md"}, "own", "/blob/main/LICENSE.md"),
        ({"license": "other", "license_link": "https://example.org/l"}, "other", "https://example.org/l"),
        ({"license": ["mit", "apache-2.0"]}, "mit, apache-2.0", ""),
        ({}, "", ""),
    ],
)
def test_the_licence_is_known_before_anything_is_fetched(hub, card, licence, link):
    hub.repositories[NAME].card = card
    listing = offer(ALIAS).listing
    assert listing is not None
    assert listing.licence == licence
    assert listing.licence_link == (link if "://" in link else f"{hub.address}/{NAME}{link}")
    assert [(request.method, request.path) for request in hub.requests] == [("GET", f"/api/models/{NAME}")]


def test_the_token_goes_to_the_hub_and_never_to_its_content_network(hub, monkeypatch):
    hub.repositories[NAME].token, hub.repositories[NAME].private = "hf_mine", True
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    pulled()
    assert {request.token for request in hub.requests if request.port == "hub"} == {"hf_mine"}
    assert {request.token for request in hub.requests if request.port == "network"} == {""}


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([Fault(status=429)] * 4, "429"),
        ([Fault(status=500)] * 4, "answers 500"),
        ([Fault(status=503)] * 4, "answers 503"),
        ([Fault(status=403)], "forbids"),
        ([Fault(short=1)], "does not answer as the hub does"),
    ],
)
def test_refusals_of_the_hub_are_one_line_with_a_remedy(hub, faults, told):
    hub.faults["api"] = faults
    assert told in refused(ModelError)


def test_an_unknown_repository_is_told(hub):
    assert "there is no repository org/none" in refused(ModelError, "org/none")


def test_an_unknown_revision_is_told(hub):
    assert "no revision 'v9'" in refused(ModelError, revision="v9")


def test_a_gated_repository_tells_what_to_do(hub, monkeypatch):
    hub.repositories[NAME].gated, hub.repositories[NAME].token = True, "hf_mine"
    told = refused(ModelError)
    assert "gated" in told
    assert "HF_TOKEN" in told
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert "your token has no access" in refused(ModelError)
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    assert pulled()


def test_a_wrong_token_is_told(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "does not accept your token" in refused(ModelError)


def test_a_private_repository_without_token_is_told(hub):
    hub.repositories[NAME].private, hub.repositories[NAME].token = True, "hf_mine"
    assert "or it is private" in refused(ModelError)


def test_no_network_is_told(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "no connection to http://127.0.0.1:9" in refused(ModelError)


def test_offline_is_told(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refused(ModelError)


@pytest.mark.parametrize(
    "name", ["config.json\0", "\ud800.json", None, 7, "a" * 300 + ".json", "\x1b]0;x.json", "a\nb.json"]
)
def test_a_name_that_no_file_of_a_checkpoint_has_is_left_out(hub, monkeypatch, name):
    siblings = loopback._sibling

    def odd(file: str, path: Path) -> dict[str, Any]:
        return siblings(file, path) | ({"rfilename": name} if file == pulling.CARD else {})

    monkeypatch.setattr(loopback, "_sibling", odd)
    assert name not in {file.name for file in offer(ALIAS).listing.files}
    assert pulled()


@pytest.mark.parametrize("size", [-1, "7", 1.5, True])
def test_a_size_that_is_none_is_no_answer_of_the_hub(hub, monkeypatch, size):
    siblings = loopback._sibling
    monkeypatch.setattr(loopback, "_sibling", lambda *file: siblings(*file) | {"size": size, "lfs": None})
    assert "does not answer as the hub does" in refused(ModelError)


@pytest.mark.parametrize("commit", [None, "", "main", "../x", "\x1b[2J", 7])
def test_a_commit_that_is_none_is_no_answer_of_the_hub(hub, monkeypatch, commit):
    info = loopback.Repository.info
    monkeypatch.setattr(loopback.Repository, "info", lambda *a: info(*a) | {"sha": commit})
    assert "it names no commit" in refused(ModelError)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("²", 0.0), ("-1", 0.0), ("", 0.0), ("9" * 400, 0.0)])
def test_a_time_to_wait_that_is_no_number_is_none(header, seconds):
    assert client._seconds(header) == seconds


def test_an_address_that_is_none_is_told(tmp_path):
    environment = {**os.environ, "HF_ENDPOINT": "http://[bad", "DIFFU_HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "diffucli", "model", "pull", "org/name"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    said = "diffu: the hub's client does not take its settings (Invalid IPv6 URL) (correct or unset HF_ENDPOINT)\n"
    assert (done.returncode, done.stderr) == (2, said)
