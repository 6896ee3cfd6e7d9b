"""Names and files of ours, whoever wrote them, end a command by its own exit codes, soon and in little memory.

The suite runs a sample. `python tests/cli/test_fuzz.py 2000` runs as many cases and prints the figures.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import shutil
import struct
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from diffucli.cli.app import run
from diffucli.edit import patch
from diffucli.edit.patch import Change
from diffucli.edit.undo import UndoStore, default_root
from diffucli.model import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOLDEN = Path(__file__).parents[1] / "data" / "tiny-dream"
CODES = {0, 1, 2, 3, 4, 5}
SECONDS, BYTES = 5.0, 10**9
SAMPLE = 70
DEEP: Any = json.loads("[" * 500 + "]" * 500)
VALUES: list[Any] = [
    *(
        None,
        True,
        -1,
        0,
        1,
        2**31,
        10**30,
        1e308,
        float("nan"),
        float("inf"),
        -float("inf"),
        "",
        "\0",
        "\ud800",
        "x" * 300,
    ),
    *("../x", "/", "a\nb", "\x1b]0;x\x07", "9" * 5000, [], {}, [[]], {"a": {}}, DEEP, ["x"] * 1000, {"\ud800": 1}, "²"),
]
PARTS = (
    "a",
    "..",
    ".",
    "~",
    "~nobody",
    "loop",
    "pipe",
    "folder",
    "file.py",
    "x" * 300,
    "\udcff",
    "\n",
    " ",
    "-",
    "%s",
    "\\",
)
ABSOLUTE = ("/dev/zero", "/dev/null", "/dev/full", "/proc/self/mem", "/proc/self/fd/0", "/", "/nowhere")
SMALL = (
    "config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "tokenizer_config.json",
    "generation_config.json",
)
INDEX, SHARD = "model.safetensors.index.json", "model-00001-of-00002.safetensors"


@dataclass(frozen=True)
class Outcome:
    """What a case did: its command, exit code and seconds."""

    argv: list[str]
    code: int
    seconds: float


def value_changed(draw: random.Random, value: Any) -> Any:
    """JSON in which one part is another value, is gone, or has another name."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        others = {name: old for name, old in value.items() if name != key}
        way = draw.randrange(6)
        if way == 0:
            return others
        if way == 1:
            return others | {draw.choice(["\0", "\ud800", "x" * 300, "../x", "\n"]): value[key]}
        return value | {key: value_changed(draw, value[key])}
    if isinstance(value, list) and value and draw.random() < 0.7:
        at = draw.randrange(len(value))
        return [*value[:at], value_changed(draw, value[at]), *value[at + 1 :]]
    return draw.choice(VALUES)


def bytes_changed(draw: random.Random, content: bytes) -> bytes:
    """Content with a wrong bit, cut, torn apart, or replaced."""
    at = draw.randrange(len(content) + 1)
    ways: list[Callable[[], bytes]] = [
        lambda: content[:at],
        lambda: content[:at] + draw.randbytes(draw.randrange(1, 9)) + content[at:],
        lambda: content[: at - 1] + bytes([content[at - 1] ^ 1 << draw.randrange(8)]) + content[at:] if at else b"",
        lambda: content[at:] + content[:at],
        lambda: draw.choice([b"[" * 200_000, b'{"a":' * 200_000, b"\xff\xfe", b"null", b"\0" * 100, b"{}" * 1000]),
        lambda: b"\xef\xbb\xbf" + content,
    ]
    return draw.choice(ways)()


def json_changed(draw: random.Random, content: bytes) -> bytes:
    if draw.random() < 0.3:
        return bytes_changed(draw, content)
    return json.dumps(value_changed(draw, json.loads(content))).encode()


def shard_changed(draw: random.Random, content: bytes) -> bytes:
    """A safetensors file with another header, or another length of it."""
    (length,) = struct.unpack("<Q", content[:8])
    header, tensors = json.loads(content[8 : 8 + length]), content[8 + length :]
    if draw.random() < 0.2:
        return struct.pack("<Q", draw.choice([0, 1, length - 1, length + 1, 10**8, 2**63, 2**64 - 1])) + content[8:]
    changed = json_changed(draw, json.dumps(header).encode())
    return struct.pack("<Q", len(changed)) + changed + tensors


def odd_file(draw: random.Random, path: Path, change: Callable[[random.Random, bytes], bytes]) -> None:
    """Makes `path` another file, or none, or what is no file at all."""
    content = path.read_bytes()
    way = draw.random()
    if way < 0.1:
        path.unlink()
        kind = draw.randrange(5)
        if kind == 0:
            os.mkfifo(path)
        elif kind == 1:
            path.symlink_to(path.name)
        elif kind == 2:
            path.mkdir()
        elif kind == 3:
            with path.open("wb") as file:
                file.truncate(2**40)
        return
    path.write_bytes(change(draw, content))


def name(draw: random.Random) -> str:
    if draw.random() < 0.1:
        return draw.choice(ABSOLUTE)
    return "/".join(draw.choice(PARTS) for _ in range(draw.randrange(1, 4))) + draw.choice(
        ["", ".py", ":1", "::f", "/"]
    )


class Case:
    """One case in an empty folder: what is there, and the command that meets it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.draw, self.folder = random.Random(seed), folder
        self.environment = {"DIFFU_HOME": str(folder / "home"), "DIFFU_STATE": str(folder / "state")}
        self.environment |= {"DIFFU_MODEL": "mini", "HF_HUB_OFFLINE": "1"}
        (folder / "home").mkdir()
        kinds = (self.names, self.names, self.entries, self.settings, self.records, *[self.checkpoint] * 4)
        self.argv = kinds[seed % len(kinds)]()

    def names(self) -> list[str]:
        (self.folder / "loop").symlink_to("loop")
        os.mkfifo(self.folder / "pipe")
        (self.folder / "folder").mkdir()
        (self.folder / "file.py").write_text("x = 1\n")
        given = name(self.draw)
        if self.draw.random() < 0.2:
            self.environment[self.draw.choice(["DIFFU_HOME", "DIFFU_STATE", "DIFFU_MODEL"])] = given
            return self.draw.choice([["undo", "--list"], ["model", "list"], ["model", "path"]])
        commands = [
            "check",
            "fill -r 7 --check",
            "gen '' -o",
            "gen '' -c",
            "gen '' -f",
            "undo",
            "model show",
            "model rm -y",
        ]
        commands += ["model path", "model use", "model pull -y", "gen -m", "check --stdin-filename", "fill file.py -r"]
        return [*self.draw.choice(commands).replace("''", "").split(" "), given]

    def entries(self) -> list[str]:
        with environment(self.environment):
            for number in range(2):
                change = Change.of_path(self.folder / "a.py", f"x = {number}\n".encode())
                patch.write_all([change], store=UndoStore(default_root()))
        files = sorted(path for path in (self.folder / "state").rglob("*") if path.is_file())
        odd_file(self.draw, self.draw.choice([path for path in files if path.suffix == ".json"] or files), json_changed)
        return self.draw.choice([["undo", "--list"], ["undo"], ["undo", "--redo"], ["undo", "--list", "--json"]])

    def settings(self) -> list[str]:
        path = self.folder / "home" / self.draw.choice(["config.json", "config.toml"])
        is_json = path.suffix == ".json"
        path.write_text('{"model": "mini", "other": [1]}' if is_json else 'model = "mini"\ntemp = 0.5  # warm\n')
        odd_file(self.draw, path, json_changed if is_json else bytes_changed)
        del self.environment["DIFFU_MODEL"]
        configs = [
            ["config", "list"],
            ["config", "set", "fps", "9"],
            ["config", "unset", "temp"],
            ["config", "get", "temp"],
        ]
        return self.draw.choice([["model", "list"], ["model", "path"], ["model", "use", "mini"], ["gen", ""], *configs])

    def records(self) -> list[str]:
        folder = self.folder / "home" / "models" / "some"
        shutil.copytree(GOLDEN, folder)
        record = store.Record("some", "org/some", "0" * 40, "none", "mit", "", "2026", {"config.json": (1, "0" * 40)})
        (folder / store.RECORD).write_text(json.dumps({"schema": store.SCHEMA, **_plain(record)}))
        odd_file(self.draw, folder / store.RECORD, json_changed)
        commands = ["model list", "model show some", "model path some", "model rm some -y", "model pull org/some -y"]
        return self.draw.choice(commands).split()

    def checkpoint(self) -> list[str]:
        folder = self.folder / "ckpt"
        shutil.copytree(GOLDEN, folder)
        which = self.draw.choice([*SMALL, INDEX, INDEX, SHARD, SHARD])
        change = shard_changed if which == SHARD else bytes_changed if which == "merges.txt" else json_changed
        odd_file(self.draw, folder / which, change)
        commands = ["model show", "gen x -q --length 2 --verify off -m", "model pull -y", "model use"]
        return [*self.draw.choice(commands).split(), str(folder)]

    def outcome(self) -> Outcome:
        begun = time.perf_counter()
        with environment(self.environment), silence():
            code = run(self.argv)
        return Outcome(self.argv, code, time.perf_counter() - begun)


def _plain(record: store.Record) -> dict[str, Any]:
    return {key: getattr(record, key) for key in store.Record.__slots__}


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def silence() -> Iterator[None]:
    """stdin is empty, and nobody sees what is said."""
    before = sys.stdin, sys.stdout, sys.stderr
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        sys.stdin, sys.stdout, sys.stderr = nothing, *(io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
        try:
            yield
        finally:
            sys.stdin, sys.stdout, sys.stderr = before


@contextmanager
def inside(folder: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


@pytest.mark.skipif(os.name != "posix", reason="named pipes are POSIX's")
@pytest.mark.parametrize("seed", range(SAMPLE))
def test_no_input_is_an_internal_error(seed, tmp_path):
    (tmp_path / "case").mkdir()
    with inside(tmp_path / "case") as folder:
        outcome = Case(seed, folder).outcome()
    assert outcome.code in CODES, outcome


def ended(seed: int) -> Outcome:
    """How a case ends, in a folder of its own."""
    with tempfile.TemporaryDirectory() as scratch, inside(Path(scratch)) as folder:
        return Case(seed, folder).outcome()


def main(count: int, first: int = 0) -> int:
    """Runs cases and prints how they ended; the exit code says whether all of them did as they should.

    A slow case is run twice: the machine may be busy, and the first case that needs a library imports it.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    codes: Counter[int] = Counter()
    slowest, bad = 0.0, 0
    for seed in range(first, first + count):
        outcome = ended(seed)
        if outcome.seconds > SECONDS:
            outcome = ended(seed)
        codes[outcome.code] += 1
        slowest = max(slowest, outcome.seconds)
        if outcome.code not in CODES or outcome.seconds > SECONDS:
            bad += 1
            print(seed, ascii(outcome)[:300], flush=True)  # noqa: T201 — a program of its own
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{count} cases, exit codes {dict(codes)}, slowest {slowest:.2f} s, peak {peak / 1e6:.0f} MB")  # noqa: T201
    return int(bool(bad) or peak > BYTES)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
