"""The hub through huggingface_hub's client: lists repositories and streams files from any position.

The client reads HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE; its telemetry is off. Files are streamed here, since
the client's own downloads, from release 1.18 on, start over after an interruption.
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffucli import files
from diffucli.errors import DiffuError, ModelError, UsageError
from diffucli.model.checkpoint import one_line

logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # its errors are told in our words
try:
    from huggingface_hub import HfApi, constants, get_session, get_token, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]
except ValueError as exc:  # the client reads its settings when it is imported
    raise UsageError(
        f"the hub's client does not take its settings ({one_line(exc)})", hint="correct or unset HF_ENDPOINT"
    ) from exc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingface_hub.hf_api import ModelInfo, RepoSibling

constants.HF_HUB_DISABLE_TELEMETRY = True
SHA256_DIGITS = 64  # hexadecimal; a shorter digest is git's SHA-1 of a blob
PULL_AGAIN = "pull again: it goes on where it stopped"
PARTIAL = HTTPStatus.PARTIAL_CONTENT
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_FILE = re.compile(r"[\w. +-]{1,200}(?:/[\w. +-]{1,200})*", re.ASCII)  # any other name is of no file of a checkpoint
RETRIED = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True, slots=True)
class Remote:
    """A file of a repository. size: bytes. digest: SHA-256 of its content, git's SHA-1 of it as a blob, or ""."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds at a commit. licence: by the model card; "" if it names none."""

    repository: str
    commit: str
    licence: str
    licence_link: str
    files: tuple[Remote, ...]


class Transient(Exception):
    """A failed request that may succeed later. error: to raise after the last try. after: seconds the hub asks for."""

    def __init__(self, error: ModelError, after: float = 0.0) -> None:
        super().__init__(error.message)
        self.error, self.after = error, after


def look(repository: str, revision: str | None) -> Listing:
    """The files of `repository` at `revision` (None: the newest), with the commit. Raises ModelError, Transient.

    Files whose names no file of a checkpoint has are left out.
    """
    with _translated(repository, revision):
        info = HfApi().model_info(
            repository, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
        if not _COMMIT.fullmatch(str(info.sha)):
            raise ValueError("it names no commit")
        licence, link = _licence(info, repository)
        named = [sibling for sibling in info.siblings or [] if _FILE.fullmatch(str(sibling.rfilename))]
        return Listing(repository, str(info.sha), licence, link, tuple(map(_remote, named)))


def stream(listing: Listing, name: str, start: int) -> Iterator[tuple[int, bytes]]:
    """The bytes of a file from `start` on as (position, bytes); from 0 on if the server supports no ranges.

    Raises ModelError, or Transient if a later request may continue.
    """
    url = hf_hub_url(listing.repository, name, revision=listing.commit, endpoint=HfApi().endpoint)
    headers = build_hf_headers(library_name="diffu") | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with (
        _translated(listing.repository, listing.commit, name),
        get_session().stream("GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT) as response,
    ):
        hf_raise_for_status(response)
        position = _position(response.headers.get("Content-Range")) if response.status_code == PARTIAL else 0
        if position not in {0, start}:
            raise ValueError("the answer is another range than the one requested")
        for chunk in response.iter_bytes():
            yield position, chunk
            position += len(chunk)


def cached(listing: Listing, name: str) -> Path | None:
    """The file in the hub client's own cache (HF_HOME), if another program downloaded it."""
    found = try_to_load_from_cache(listing.repository, name, revision=listing.commit)
    return files.real(Path(found)) if isinstance(found, str) else None


def _position(content_range: str | None) -> int:
    """The first position of a Content-Range such as `bytes 10-19/20`."""
    return int((content_range or "").removeprefix("bytes").strip().partition("-")[0])


def _remote(sibling: RepoSibling) -> Remote:
    size, digest = (sibling.lfs.size, sibling.lfs.sha256) if sibling.lfs else (sibling.size or 0, sibling.blob_id or "")
    if type(size) is not int or size < 0:
        raise ValueError(f"{size!r} is no size of a file")
    return Remote(str(sibling.rfilename), size, str(digest))


def _licence(info: ModelInfo, repository: str) -> tuple[str, str]:
    """The name and address of the licence, by the model card."""
    card: dict[str, Any] = vars(info.card_data) if info.card_data else {}
    name = card.get("license") or ""
    name = ", ".join(map(str, name)) if isinstance(name, list) else str(name)
    if name in {"", "other"}:
        name = str(card.get("license_name") or name)
    page = f"{HfApi().endpoint}/{repository}"
    link = str(card.get("license_link") or "")
    if not link and any(sibling.rfilename == "LICENSE" for sibling in info.siblings or []):
        link = "LICENSE"
    if link and "://" not in link:
        link = f"{page}/blob/main/{link}"
    return name, link or page


@contextmanager
def _translated(repository: str, revision: str | None, name: str = "") -> Iterator[None]:
    """Raises ModelError or Transient in place of any error that the client raises inside."""
    try:
        yield
    except DiffuError:
        raise
    except OfflineModeIsEnabled as exc:
        hint = "unset it, or pull a folder that holds the checkpoint"
        raise ModelError(f"HF_HUB_OFFLINE is set, so the hub is not asked for {repository}", hint=hint) from exc
    except HfHubHTTPError as exc:
        error = _refusal(exc, repository, revision, name)
        status = exc.response.status_code
        if status in RETRIED or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Transient(error, _seconds(exc.response.headers.get("Retry-After"))) from exc
        raise error from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:  # such as the answer of a login page or a proxy
        raise ModelError(
            f"{HfApi().endpoint} does not answer as the hub does ({one_line(exc)})",
            hint="check HF_ENDPOINT; a login page or a proxy may stand in between",
        ) from exc
    except Exception as exc:  # errors of httpx, under one of several package names
        error = ModelError(
            f"no connection to {HfApi().endpoint} ({one_line(exc)})",
            hint=f"check the network, the proxy and HF_ENDPOINT, then {PULL_AGAIN}",
        )
        raise Transient(error) from exc


def _refusal(exc: HfHubHTTPError, repository: str, revision: str | None, name: str) -> ModelError:
    """The error for a request that the hub refused."""
    status, page, token = exc.response.status_code, f"{HfApi().endpoint}/{repository}", get_token()
    if isinstance(exc, GatedRepoError) and token:
        message, hint = f"{repository} is gated and your token has no access to it", f"ask for access at {page}"
    elif isinstance(exc, GatedRepoError):
        message = f"{repository} is gated: its terms must be accepted on the hub"
        hint = f"accept them at {page}, then set HF_TOKEN"
    elif isinstance(exc, RevisionNotFoundError):
        message, hint = f"{repository} has no revision {revision!r}", "leave --revision out for the newest"
    elif isinstance(exc, EntryNotFoundError):
        message, hint = f"{repository} lacks {name} at {revision}", "pull again, for the newest revision"
    elif status == HTTPStatus.UNAUTHORIZED and token:
        message, hint = "the hub does not accept your token", "set HF_TOKEN to a valid one, or unset it"
    elif isinstance(exc, RepositoryNotFoundError) or status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND}:
        message = f"there is no repository {repository} at {HfApi().endpoint}, or it is private"
        hint = "check the name; set HF_TOKEN for a private one"
    elif status == HTTPStatus.FORBIDDEN:
        message, hint = f"the hub forbids access to {repository}", f"ask for access at {page}, and set HF_TOKEN"
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        message, hint = "the hub asks for fewer requests (429)", f"wait some minutes, set HF_TOKEN, {PULL_AGAIN}"
    else:
        message, hint = f"the hub answers {status} for {name or repository}", f"wait, then {PULL_AGAIN}"
    return ModelError(message, hint=hint)


def _seconds(retry_after: str | None) -> float:
    """The seconds that a Retry-After asks for; 0 if it is a date, or nothing that can be read."""
    return float(retry_after) if retry_after and re.fullmatch(r"\s*[0-9]{1,9}\s*", retry_after) else 0.0
