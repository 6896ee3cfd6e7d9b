"""The hub: lists repositories and streams files from any position, through the session of huggingface_hub's client.

The client reads HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE; its telemetry is off. Files are streamed here, since
the client's own downloads, from release 1.18 on, start over after an interruption. No answer is read without a limit.
"""

from __future__ import annotations

import io
import logging
import os
import re
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from diffucli import files
from diffucli.errors import DiffuError, ModelError, UsageError
from diffucli.model.checkpoint import one_line
from diffucli.units import format_bytes

logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # its errors are told in our words
try:
    with redirect_stdout(io.StringIO()):  # the client prints which of its modules it could not import
        from huggingface_hub import constants, get_session, get_token, try_to_load_from_cache
        from huggingface_hub.errors import OfflineModeIsEnabled
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
except ValueError as exc:  # the client reads its settings when it is imported
    given = sorted(name for name in os.environ if name.startswith("HF_") and name != "HF_TOKEN")
    given = [name for name in given if repr(os.environ[name]) in str(exc)] or given
    raise UsageError(
        f"the hub's client does not take its settings ({one_line(exc)})", hint=f"correct or unset {', '.join(given)}"
    ) from exc

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

constants.HF_HUB_DISABLE_TELEMETRY = True
SHA256_DIGITS = 64  # hexadecimal; a shorter digest is git's SHA-1 of a blob
PULL_AGAIN = "pull again: it goes on where it stopped"
PARTIAL = HTTPStatus.PARTIAL_CONTENT
RETRIED = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
PROXY_FORM = "it is like http://user:password@host:8080, with # as %23, / as %2F and @ as %40 in a password"
PROXIES = ("all_proxy", "http_proxy", "https_proxy")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_FILE = re.compile(r"[\w. +-]{1,200}(?:/[\w. +-]{1,200})*", re.ASCII)  # any other name is of no file of a checkpoint
_NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Remote:
    """A file of a repository. size: bytes. digest: SHA-256 of its content, git's SHA-1 of it as a blob, or ""."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds at a commit. licence: by the model card; "" if it names none.

    repository: as the hub calls it, which may have been renamed. base: the repository that the model card says it was
    made from, or "". dtypes: of its tensors, as far as the hub says them.
    """

    repository: str
    commit: str
    licence: str
    licence_link: str
    files: tuple[Remote, ...]
    base: str = ""
    dtypes: tuple[str, ...] = ()


class Unreachable(ModelError):
    """There is no connection to the hub, or it must not be asked."""


class Transient(Exception):
    """A failed request that may succeed later. error: to raise after the last try. after: seconds the hub asks for."""

    def __init__(self, error: ModelError, after: float = 0.0) -> None:
        super().__init__(error.message)
        self.error, self.after = error, after


def look(repository: str, revision: str | None) -> Listing:
    """The files of `repository` at `revision` (None: the newest), with the commit.

    Files whose names no file of a checkpoint has are left out. Raises ModelError, Transient, and UsageError if the
    client's settings cannot be used.
    """
    path = f"/api/models/{repository}" + (f"/revision/{quote(revision, safe='')}" if revision is not None else "")
    about = _About(repository, revision)
    with _answer(f"{path}?blobs=true", {}, about, timeout=constants.HF_HUB_ETAG_TIMEOUT) as response:
        info = files.parse_json(_limited(response))
        if not _COMMIT.fullmatch(str(info.get("sha"))):
            raise ValueError("it names no commit")
        name = str(info.get("id"))
        name = name if _NAME.fullmatch(name) else repository
        siblings = [each for each in info.get("siblings") or [] if _FILE.fullmatch(str(each["rfilename"]))]
        card = info["cardData"] if isinstance(info.get("cardData"), dict) else {}
        licence, link = _licence(card, name, [each["rfilename"] for each in siblings])
        remotes = tuple(map(_remote, siblings))
        return Listing(name, str(info["sha"]), licence, link, remotes, _base(card), _dtypes(info.get("safetensors")))


def settings() -> str:
    """How the hub is reached, in words; it is not asked. Raises UsageError if that cannot work."""
    _session()
    token = "with a token" if "authorization" in _headers() else "without a token"
    ways = [f"through {', '.join(names)}"] if (names := _proxies()) else []
    offline = ["HF_HUB_OFFLINE is set"] if constants.HF_HUB_OFFLINE else []
    return ", ".join([constants.ENDPOINT, token, *ways, *offline])


def stream(listing: Listing, name: str, start: int) -> Iterator[tuple[int, int | None, bytes]]:
    """The bytes of a file from `start` on as (position, bytes in the whole file if the server says it, bytes).

    They begin at 0 if the server supports no ranges. Raises ModelError, or Transient if a later request may continue.
    """
    path = f"/{listing.repository}/resolve/{quote(listing.commit, safe='')}/{quote(name)}"
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    about = _About(listing.repository, listing.commit, name)
    with _answer(path, headers, about, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT) as response:
        position = _position(response.headers.get("Content-Range")) if response.status_code == PARTIAL else 0
        if position not in {0, start}:
            raise ValueError("the answer is another range than the one requested")
        length = response.headers.get("Content-Length")
        total = position + int(length) if length and "Content-Encoding" not in response.headers else None
        for chunk in response.iter_bytes():
            yield position, total, chunk
            position += len(chunk)


def cached(listing: Listing, name: str) -> Path | None:
    """The file in the hub client's own cache (HF_HOME), if another program downloaded it. Raises OSError."""
    found = try_to_load_from_cache(listing.repository, name, revision=listing.commit)
    return files.real(Path(found)) if isinstance(found, str) else None


def _limited(response: Any) -> bytes:
    """The body of an answer. Raises ValueError if it is longer than any list of files."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > files.MAX_JSON_BYTES:
            raise ValueError(f"it sends more than {format_bytes(files.MAX_JSON_BYTES)} as a list of files")
    return bytes(body)


def _position(content_range: str | None) -> int:
    """The first position of a Content-Range such as `bytes 10-19/20`."""
    return int((content_range or "").removeprefix("bytes").strip().partition("-")[0])


def _remote(sibling: Mapping[str, Any]) -> Remote:
    lfs = sibling.get("lfs")
    size, digest = (lfs["size"], lfs["sha256"]) if lfs else (sibling.get("size") or 0, sibling.get("blobId") or "")
    if type(size) is not int or size < 0:
        raise ValueError(f"{size!r} is no size of a file")
    return Remote(str(sibling["rfilename"]), size, str(digest))


def _licence(card: Mapping[str, Any], repository: str, names: list[str]) -> tuple[str, str]:
    """The name and address of the licence, by the model card."""
    name = card.get("license") or ""
    name = ", ".join(map(str, name)) if isinstance(name, list) else str(name)
    if name in {"", "other"}:
        name = str(card.get("license_name") or name)
    page = f"{constants.ENDPOINT}/{repository}"
    link = str(card.get("license_link") or ("LICENSE" if "LICENSE" in names else ""))
    if link and "://" not in link:
        link = f"{page}/blob/main/{link}"
    return name, link or page


def _base(card: Mapping[str, Any]) -> str:
    """The repository that a model was made from, by its card; "" if it names none, or several."""
    base = card.get("base_model")
    base = base[0] if isinstance(base, list) and len(base) == 1 else base
    return base if isinstance(base, str) and _NAME.fullmatch(base) else ""


def _dtypes(weights: object) -> tuple[str, ...]:
    """The dtypes in what the hub says of a repository's safetensors: {"parameters": {"BF16": 7615616512}}."""
    counts = weights.get("parameters") if isinstance(weights, dict) else None
    return tuple(map(str, counts)) if isinstance(counts, dict) else ()


# requests


@dataclass(frozen=True, slots=True)
class _About:
    """What a request asks for, as errors name it."""

    repository: str
    revision: str | None
    file: str = ""


@contextmanager
def _answer(path: str, headers: dict[str, str], about: _About, *, timeout: float) -> Iterator[Any]:
    """The answer to GET `path` of the hub, whose body is not read yet; redirects are followed.

    In place of any error of the client's, there and inside, raises ModelError or Transient, and UsageError if its
    settings cannot be used.
    """
    session, own = _session(), _headers()
    with (
        _translated(about),
        session.stream("GET", constants.ENDPOINT + path, headers=own | headers, timeout=timeout) as r,
    ):
        if r.status_code >= HTTPStatus.BAD_REQUEST:
            raise _refusal(r, about)
        if "text/html" in r.headers.get("Content-Type", ""):
            raise ValueError(f"a web page at {r.url.host} answers")
        yield r


def _session() -> Any:
    """The client's session. Raises UsageError if the proxy or the certificates that the environment names are unusable.

    What the proxy's address is must not be told: it may hold a password.
    """
    if not re.match(r"https?://[^/]", constants.ENDPOINT):
        hint = "it begins with https://; or unset it"
        raise UsageError(f"HF_ENDPOINT is no address: {constants.ENDPOINT!r}", hint=hint)
    named = ", ".join(_proxies()) or "the system's settings"
    try:
        return get_session()
    except ImportError as exc:
        hint = "pip install socksio, or set HTTPS_PROXY to an HTTP proxy"
        raise UsageError(f"a SOCKS proxy ({named}) needs the package socksio", hint=hint) from exc
    except OSError as exc:
        place = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or "the system"
        hint = "SSL_CERT_FILE names a file of certificates in PEM form"
        raise UsageError(f"the certificates in {place} cannot be read ({one_line(exc)})", hint=hint) from exc
    except Exception as exc:
        raise UsageError(f"the proxy's address ({named}) cannot be used", hint=PROXY_FORM) from exc


def _headers() -> dict[str, str]:
    """The client's headers, with the token. Raises UsageError if that cannot be read or sent."""
    try:
        headers = build_hf_headers(library_name="diffu")
    except NotADirectoryError:  # as where HOME is /dev/null
        headers = build_hf_headers(library_name="diffu", token=False)
    except OSError as exc:
        message = f"the token in {constants.HF_TOKEN_PATH} cannot be read ({one_line(exc)})"
        raise UsageError(message, hint="correct or unset HF_HOME and HF_TOKEN_PATH") from exc
    if not (token := headers.get("authorization", "")).isascii() or not token.isprintable():
        raise UsageError("the hub's token holds a character that no token has", hint="set HF_TOKEN anew, or unset it")
    return headers


def _proxies() -> list[str]:
    """The variables that name a proxy."""
    return sorted(name for name, value in os.environ.items() if name.lower() in PROXIES and value)


@contextmanager
def _translated(about: _About) -> Iterator[None]:
    """Raises ModelError or Transient in place of any error that the client raises inside."""
    try:
        yield
    except (DiffuError, Transient):
        raise
    except OfflineModeIsEnabled as exc:
        hint = "unset it, or pull a folder that holds the checkpoint"
        raise Unreachable(f"HF_HUB_OFFLINE is set, so the hub is not asked for {about.repository}", hint=hint) from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:  # such as the answer of a login page or a proxy
        raise ModelError(
            f"{constants.ENDPOINT} does not answer as the hub does ({one_line(exc)})",
            hint="check HF_ENDPOINT; a login page or a proxy may stand in between",
        ) from exc
    except Exception as exc:  # errors of httpx, under one of several package names
        raise _no_connection(exc) from exc


def _no_connection(exc: Exception) -> Unreachable | Transient:
    """The error for a request that got no answer. Another try does not help where a certificate is not trusted."""
    told, checked = one_line(exc), _checked()
    if "CERTIFICATE_VERIFY_FAILED" in told:
        message = f"{constants.ENDPOINT} shows a certificate that is not trusted here ({told})"
        return Unreachable(
            message, hint="if your network has an authority of its own, set SSL_CERT_FILE to its certificate"
        )
    if told.startswith("407"):
        message, hint = _refused(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, "", _About("", None))
        return Unreachable(message, hint=hint)
    message = f"no connection to {constants.ENDPOINT} ({told})"
    return Transient(Unreachable(message, hint=f"check {checked}, then {PULL_AGAIN}"))


def _checked() -> str:
    """What to check where there is no connection."""
    names = ["the network", *_proxies(), *(["HF_ENDPOINT"] if "HF_ENDPOINT" in os.environ else [])]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _refusal(response: Any, about: _About) -> ModelError | Transient:
    """The error for a request that was refused. The hub names what is wrong in a header, so no body is read."""
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    hub = urlsplit(constants.ENDPOINT)
    if (response.url.host, response.url.port) != (hub.hostname, hub.port) and not code:
        message = (
            f"{response.url.host}, where the hub has its files, answers {status} for {about.file or about.repository}"
        )
        return Transient(ModelError(message, hint=f"check the clock and the network, then {PULL_AGAIN}"))
    message, hint = _refused(status, code, about)
    error = ModelError(message, hint=hint)
    if status in RETRIED or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Transient(error, _seconds(response.headers.get("Retry-After")))
    return error


def _refused(status: int, code: str, about: _About) -> tuple[str, str]:
    """The message and the hint for a refusal by the hub. code: its name of the error, "" if it gives none."""
    repository, page, has_token = about.repository, f"{constants.ENDPOINT}/{about.repository}", bool(get_token())
    if code == "GatedRepo" and has_token:
        message, hint = f"{repository} is gated and your token has no access to it", f"ask for access at {page}"
    elif code == "GatedRepo":
        message = f"{repository} is gated: its terms must be accepted on the hub"
        hint = f"accept them at {page}, then set HF_TOKEN"
    elif code == "RevisionNotFound":
        message, hint = f"{repository} has no revision {about.revision!r}", "leave --revision out for the newest"
    elif code == "EntryNotFound":
        message, hint = f"{repository} lacks {about.file} at {about.revision}", "pull again, for the newest revision"
    elif status == HTTPStatus.UNAUTHORIZED and has_token:
        message, hint = "the hub does not accept your token", "set HF_TOKEN to a valid one, or unset it"
    elif code == "RepoNotFound" or status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND}:
        message = f"there is no repository {repository} at {constants.ENDPOINT}, or it is private"
        hint = "check the name; set HF_TOKEN for a private one"
    elif status == HTTPStatus.FORBIDDEN:
        message, hint = f"the hub forbids access to {repository}", f"ask for access at {page}, and set HF_TOKEN"
    elif status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        message, hint = "the proxy wants a name and a password (407)", f"check {_checked()}; {PROXY_FORM}"
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        message, hint = "the hub asks for fewer requests (429)", f"wait some minutes, set HF_TOKEN, {PULL_AGAIN}"
    else:
        message, hint = f"the hub answers {status} for {about.file or repository}", f"wait, then {PULL_AGAIN}"
    return message, hint


def _seconds(retry_after: str | None) -> float:
    """The seconds that a Retry-After asks for; 0 if it is a date, or nothing that can be read."""
    return float(retry_after) if retry_after and re.fullmatch(r"\s*[0-9]{1,9}\s*", retry_after) else 0.0
