"""What the hub refuses is one line with a remedy, its licences are known, and the token goes to the hub alone.

The real client talks to a hub on loopback, tests/hub.py.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import huggingface_hub
import loopback_hub as loopback
import pulling
import pytest
from huggingface_hub import constants
from loopback_hub import Fault
from pulling import (
    ALIAS,
    FIRST,
    NAME,
    pulled,
    refused,
)

from diffucli import files
from diffucli.errors import BadCheckpoint, ModelError, UsageError
from diffucli.model import hub as client
from diffucli.model import registry
from diffucli.model.offer import offer

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
        ("no card", "", ""),
        ({"base_model": {"x": 1}}, "", ""),
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
        ([Fault(short=1)], "does not answer as the hub does (it names no commit)"),
        ([Fault(page=True)], "does not answer as the hub does (a web page at 127.0.0.1 answers)"),
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


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("HF_ENDPOINT", "http://[bad", "Invalid IPv6 URL"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "10s", "invalid literal for int() with base 10: '10s'"),
    ],
)
def test_a_setting_that_the_client_does_not_take_is_told_and_nothing_else(tmp_path, variable, value, reason):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = kept | {variable: value, "DIFFU_HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "diffucli", "model", "pull", "org/name"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    said = f"diffu: the hub's client does not take its settings ({reason}) (correct or unset {variable})\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


# networks that stand in between


@pytest.mark.parametrize("address", ["127.0.0.1:80", "", "https:///x", "ftp://hub"])
def test_an_address_of_the_hub_that_is_none_is_told_at_once(hub, monkeypatch, address):
    monkeypatch.setattr(constants, "ENDPOINT", address)
    assert f"HF_ENDPOINT is no address: {address!r}" in refused(UsageError)


def test_a_mirror_may_have_a_path(hub, monkeypatch):
    hub.prefix = "/mirrors/hub"
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    assert pulled()


def test_a_renamed_repository_is_found_and_pulled_by_its_old_name(hub):
    hub.renamed["apple/Old"] = NAME
    assert offer("apple/Old").listing.repository == NAME
    pulled("apple/Old")
    assert registry.find("apple/Old").record.source == "apple/Old"


def test_a_list_of_files_without_end_is_not_read_to_it(hub, monkeypatch):
    monkeypatch.setattr(files, "MAX_JSON_BYTES", 1000)
    assert "it sends more than 1.0 kB as a list of files" in refused(ModelError)


@pytest.mark.parametrize("name", ["config.json", FIRST])
def test_a_login_page_in_place_of_a_file_costs_nothing_of_what_is_here(hub, name):
    hub.faults[FIRST] = [Fault(cut=200_000)] + [Fault(page=True)] * (name == FIRST)
    hub.faults["config.json"] = [Fault(page=True)] * (name == "config.json")
    assert "a web page at 127.0.0.1 answers" in refused(ModelError)
    pulled()
    assert hub.sent == offer(ALIAS).total, "every byte is sent once"


def test_another_file_in_place_of_the_rest_costs_nothing_of_what_is_here(hub):
    hub.faults[FIRST] = [Fault(cut=200_000), *[Fault(plain=True, short=1000)] * 4]
    assert f"{FIRST} is truncated: the hub sends 1000 of" in refused(BadCheckpoint)
    pulled()
    asked = [request.range for request in hub.asked(FIRST) if request.port == "network"]
    assert asked[-1] == "bytes=200000-"


@pytest.mark.parametrize("status", [400, 403, 404])
def test_an_address_of_a_file_that_has_expired_is_asked_for_anew(hub, status):
    hub.faults[FIRST] = [Fault(status=status)]
    pulled()
    assert [request.port for request in hub.asked(FIRST)] == ["hub", "network"] * 2


def test_a_server_of_files_that_goes_on_refusing_is_named(hub):
    hub.faults[FIRST] = [Fault(status=403)] * 9
    assert f"127.0.0.1, where the hub has its files, answers 403 for {FIRST}" in refused(ModelError)


def test_a_proxy_is_used_with_its_password_which_is_never_told(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("NO_PROXY", "")
    hub.password = base64.b64encode(b"me:geheim").decode()
    for password in ("", ":wrong"):
        monkeypatch.setenv("HTTP_PROXY", hub.address.replace("//", f"//me{password}@"))
        told = refused(ModelError)
        assert "the proxy wants a name and a password (407)" in told
        assert "HTTP_PROXY" in told
        assert "wrong" not in told
        huggingface_hub.close_session()
    monkeypatch.setenv("HTTP_PROXY", hub.address.replace("//", "//me:geheim@"))
    assert pulled()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "foo://x", "http://u:pa#ss@proxy:80"])
def test_a_proxy_that_cannot_be_used_is_told_at_once_without_its_password(hub, monkeypatch, proxy):
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setitem(sys.modules, "socksio", None)
    told = refused(UsageError)
    assert "ALL_PROXY" in told
    assert "pa#ss" not in told
    assert ("socksio" in told) is proxy.startswith("socks")
    assert not hub.requests


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl, to make a certificate")
def test_a_network_with_an_authority_of_its_own_is_told_and_can_be_trusted(hub, published, tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=corp", "-days", "9"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    with loopback.Hub(tls=(certificate, key)) as serving:
        serving.repositories[NAME] = loopback.Repository(published)
        monkeypatch.setattr(constants, "ENDPOINT", serving.address)
        told = refused(ModelError)
        assert "shows a certificate that is not trusted here" in told
        assert "set SSL_CERT_FILE" in told
        huggingface_hub.close_session()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert pulled()
        huggingface_hub.close_session()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_named(hub, tmp_path, monkeypatch, content):
    if content:
        (tmp_path / "ca.pem").write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert f"the certificates in {tmp_path / 'ca.pem'} cannot be read" in refused(UsageError)


def test_the_token_is_read_from_its_file_and_what_is_none_is_told(hub, tmp_path, monkeypatch):
    hub.repositories[NAME].token, hub.repositories[NAME].private = "hf_mine", True
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path))
    assert f"the token in {tmp_path} cannot be read (Is a directory)" in refused(UsageError)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    (tmp_path / "token").write_text("hf_mïne\n")
    assert "holds a character that no token has" in refused(UsageError)
    (tmp_path / "token").write_text("hf_mine\n")
    assert pulled()


def test_a_home_that_is_no_folder_has_no_token(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/dev/null/.cache/huggingface/token")
    assert pulled()
