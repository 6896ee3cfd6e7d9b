"""A small hub on 127.0.0.1: checkpoint folders in the protocol that huggingface_hub's client speaks, and its faults.

Large files are redirected to a second port, as to the hub's content network, which must never be sent a token.
By hand: `python tests/hub.py FOLDER org/name` serves a folder and says its address.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import ssl
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGE = (".safetensors", ".bin", ".gguf")
BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one answer.

    cut: bytes after which the connection breaks. short: bytes that are all there is. flip: one bit is wrong.
    plain: ranges are ignored. slow: seconds between two blocks. page: a login page answers, with status 200.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    short: int | None = None
    flip: bool = False
    plain: bool = False
    slow: float = 0.0
    page: bool = False


PAGE = b"<!DOCTYPE html><title>Welcome to the hotel</title>" * 40


@dataclass(frozen=True, slots=True)
class Request:
    """A request that came in. port: "hub" or "network"."""

    port: str
    method: str
    path: str
    token: str
    range: str


@dataclass(slots=True)
class Repository:
    """A folder as a repository. token: who has it may read a gated or private one. parameters: numbers by dtype."""

    folder: Path
    card: dict[str, Any] = field(default_factory=lambda: {"license": "apache-2.0"})
    token: str = ""
    gated: bool = False
    private: bool = False
    tags: tuple[str, ...] = ()
    parameters: dict[str, int] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, Path]:
        return {str(p.relative_to(self.folder)): p for p in sorted(self.folder.rglob("*")) if p.is_file()}

    @property
    def commit(self) -> str:
        return hashlib.sha1("".join(name + etag(path) for name, path in self.files.items()).encode()).hexdigest()

    def info(self, name: str) -> dict[str, Any]:
        siblings = [_sibling(file, path) for file, path in self.files.items()]
        weights = {"safetensors": {"parameters": self.parameters, "total": sum(self.parameters.values())}}
        described = {"id": name, "modelId": name, "sha": self.commit, "private": self.private, "cardData": self.card}
        described |= weights if self.parameters else {}
        return described | {"gated": "manual" if self.gated else False, "tags": [], "siblings": siblings}


def _sibling(name: str, path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    found: dict[str, Any] = {"rfilename": name, "size": size, "blobId": etag(path)[:40]}
    if name.endswith(LARGE):
        found["lfs"] = {"size": size, "sha256": etag(path), "pointerSize": 130}
    return found


def etag(path: Path) -> str:
    """SHA-256 of a large file, git's SHA-1 of a small one."""
    return _digest(path, path.stat().st_size, path.stat().st_mtime_ns)


@cache
def _digest(path: Path, size: int, _changed: int) -> str:
    digest = hashlib.sha256() if path.name.endswith(LARGE) else hashlib.sha1(b"blob %d\0" % size)
    with path.open("rb") as content:
        while block := content.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


class Hub:
    """The two servers, what they serve, and what came in. faults: file name, or "api" → faults of its next answers.

    It is a proxy too, for any host. renamed: old → new name of a repository. prefix: the path at which a mirror has the
    hub. password: what a proxy asks for, "user:password" in base 64. tls: files of a certificate and its key.
    """

    def __init__(self, *, tls: tuple[Path, Path] | None = None) -> None:
        self.tls = tls
        self.prefix = self.password = ""
        self.renamed: dict[str, str] = {}
        self.repositories: dict[str, Repository] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.requests: list[Request] = []
        self.sent = 0
        self.servers = [self._serve(port) for port in ("hub", "network")]

    def _serve(self, port: str) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"hub": self, "port": port})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    @property
    def address(self) -> str:
        return f"http{'s' * bool(self.tls)}://127.0.0.1:{self.servers[0].server_port}{self.prefix}"

    @property
    def network(self) -> str:
        return f"http{'s' * bool(self.tls)}://127.0.0.1:{self.servers[1].server_port}"

    def asked(self, name: str) -> list[Request]:
        """The requests for the content of a file."""
        return [r for r in self.requests if r.path.endswith("/" + name) and r.method == "GET"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]
    port: ClassVar[str]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        asked = urlsplit(self.path)  # a proxy is asked for a whole address
        port = "network" if asked.netloc and self.hub.network.endswith(asked.netloc) else self.port
        path = unquote(asked.path).removeprefix(self.hub.prefix)
        self.hub.requests.append(Request(port, self.command, path, token, self.headers.get("Range", "")))
        try:
            if self.hub.password and self.headers.get("Proxy-Authorization") != f"Basic {self.hub.password}":
                self._send(407, b"", {"Proxy-Authenticate": "Basic"})
            elif old := next((old for old in self.hub.renamed if f"/{old}/" in f"{path}/"), None):
                self._send(307, b"", {"Location": self.hub.prefix + path.replace(old, self.hub.renamed[old])})
            elif path.startswith("/api/models/"):
                self._api(path.removeprefix("/api/models/"), token)
            elif port == "network":
                self._content(path)
            else:
                self._resolve(path, token)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_HEAD = do_GET  # noqa: N815 — the base class's name

    def log_message(self, *_: object) -> None:
        pass

    def _api(self, rest: str, token: str) -> None:
        name, _, revision = rest.partition("/revision/")
        if self._faulty("api") or (found := self._repository(name, token)) is None:
            return
        if self._known(found, revision or "main"):
            self._send(200, json.dumps(found.info(name)).encode(), {"Content-Type": "application/json"})

    def _resolve(self, path: str, token: str) -> None:
        name, _, rest = path.removeprefix("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        if (found := self._repository(name, token)) is None or not self._known(found, revision):
            return
        if found.gated and token != found.token:
            self._refuse(403 if token else 401, "GatedRepo", f"Access to model {name} is restricted.")
        elif file not in found.files:
            self._refuse(404, "EntryNotFound", "Entry not found")
        elif file.endswith(LARGE):
            digest = etag(found.files[file])
            headers = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(found.files[file].stat().st_size)}
            where = {"Location": f"{self.hub.network}/{name}/{digest}/{file}", "X-Repo-Commit": found.commit}
            self._send(302, b"", headers | where)
        else:
            headers = {"ETag": f'"{etag(found.files[file])}"', "X-Repo-Commit": found.commit}
            self._body(file, found.files[file], headers)

    def _content(self, path: str) -> None:
        owner, name, digest, file = path.removeprefix("/").split("/", 3)
        content = self.hub.repositories[f"{owner}/{name}"].files[file]
        self._body(file, content, {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"})

    def _body(self, file: str, path: Path, headers: dict[str, str]) -> None:
        """The content or a range of it, with the file's next fault."""
        fault, start = self._next(file), 0
        if fault.status or fault.page:
            self._fail(fault)
            return
        size = path.stat().st_size if fault.short is None else fault.short
        asked = self.headers.get("Range", "")
        if asked and not fault.plain:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if start >= size:
                self._send(416, b"", {"Content-Range": f"bytes */{size}"})
                return
            headers = headers | {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
        self._head(206 if "Content-Range" in headers else 200, size - start, headers)
        if self.command != "HEAD":
            self._stream(path, start, size, fault)

    def _stream(self, path: Path, start: int, stop: int, fault: Fault) -> None:
        end = stop if fault.cut is None else min(stop, start + fault.cut)
        with path.open("rb") as content:
            content.seek(start)
            while start < end and (block := content.read(min(BLOCK, end - start))):
                start += len(block)
                self.wfile.write(block[:-1] + bytes([block[-1] ^ 1]) if fault.flip and start == stop else block)
                self.hub.sent += len(block)
                time.sleep(fault.slow)
        self.close_connection = self.close_connection or end < stop

    def _repository(self, name: str, token: str) -> Repository | None:
        found = self.hub.repositories.get(name)
        valid = {r.token for r in self.hub.repositories.values() if r.token} | {"hf_other"}
        if token and token not in valid:
            self._refuse(401, "", "Invalid credentials in Authorization header")
        elif found is None or (found.private and token != found.token):
            self._refuse(404 if token else 401, "RepoNotFound", "Repository not found")
            return None
        return found if not token or token in valid else None

    def _known(self, found: Repository, revision: str) -> bool:
        if revision in {"main", found.commit, *found.tags}:
            return True
        self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return False

    def _faulty(self, name: str) -> bool:
        fault = self._next(name)
        if fault.status or fault.page:
            self._fail(fault)
        elif fault.short is not None:
            self._send(200, b"{}", {})
        return bool(fault.status or fault.page or fault.short is not None)

    def _fail(self, fault: Fault) -> None:
        if fault.page:
            self._send(200, PAGE, {"Content-Type": "text/html"})
        else:
            self._send(fault.status, b"", fault.headers)

    def _next(self, name: str) -> Fault:
        waiting = self.hub.faults[name]
        return waiting.pop(0) if waiting else Fault()

    def _refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._head(status, len(body), headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a checkpoint folder as the hub does.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("name", help="org/name")
    given = parser.parse_args()
    with Hub() as hub:
        hub.repositories[given.name] = Repository(given.folder)
        print(f"HF_ENDPOINT={hub.address}", flush=True)  # noqa: T201 — a program of its own
        threading.Event().wait()


if __name__ == "__main__":
    main()
