"""What is left of a model, and what the next command makes of it, if an installation or a removal is killed anywhere.

A script: it prints the number of points of each, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import killing

from diffucli.errors import ModelError
from diffucli.model import store

NAME = "org/small"
OLD, NEW = (store.Record(NAME, NAME, revision, "none", "mit", "", "2026-11-26") for revision in ("old", "new"))
FILES = ("config.json", "model-1.safetensors", "model-2.safetensors")


def model(record: store.Record) -> dict[str, str]:
    return {file: f"{record.revision} {file}" for file in FILES}


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != store.RECORD}


def staged(record: store.Record) -> Path:
    folder = store.staging_dir(NAME)
    folder.mkdir(parents=True)
    for file, text in model(record).items():
        (folder / file).write_text(text)
    return folder


def prepare(folder: Path, kind: str) -> None:
    """The store with a folder of the user's own, and what a command finds."""
    os.environ["DIFFU_HOME"] = str(folder / "home")
    mine = store.root() / "mine"
    mine.mkdir(parents=True)
    (mine / "mine.txt").write_text("mine")
    if kind != "install":
        installed = store.install(staged(OLD), OLD)
        for file, text in model(OLD).items():  # now they are younger than the record, and deleted before it
            (installed / file).unlink()
            (installed / file).write_text(text)
    if "linked" in kind:
        store.model_dir(NAME).rename(folder / "elsewhere")
        store.model_dir(NAME).symlink_to(folder / "elsewhere")
    if "install" in kind:
        staged(NEW)
    if "downloads" in kind:
        downloads = store.download_dir(NAME)
        downloads.mkdir(parents=True)
        (downloads / "model.part").write_text("x")
        store.swap_json(store.note_path(downloads), {"model": ""})


def act(folder: Path, kind: str) -> None:
    os.environ["DIFFU_HOME"] = str(folder / "home")
    if "install" in kind:
        store.install(store.staging_dir(NAME), NEW)
    else:
        store.remove(NAME, linked="all" in kind)


def check(folder: Path, kind: str) -> None:
    """The list has one whole model or none, and the same command again comes to its end."""
    os.environ["DIFFU_HOME"] = str(folder / "home")
    listed = store.records()
    before, after = () if kind == "install" else (OLD,), (NEW,) if "install" in kind else ()
    assert listed in (before, after), listed
    for record in listed:
        assert content(store.model_dir(NAME)) == model(record), "a model is in parts"
    assert not os.path.lexists(store.replaced_dir(NAME)), "junk"
    is_linked = "linked" in kind
    if is_linked and "all" not in kind:
        assert content(folder / "elsewhere") == model(OLD), "what a link leads to was touched"
    if "install" in kind:
        if listed != (NEW,):
            assert content(store.staging_dir(NAME)).items() >= model(NEW).items(), "what was staged is lost"
            act(folder, kind)
        assert content(store.model_dir(NAME)) == model(NEW), "junk"
    else:
        store.remove(NAME)
        assert not store.records()
    names = {path.name for path in store.root().rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert names == {"mine.txt"} | ({*FILES, store.RECORD} if "install" in kind else set()), "junk"
    assert content(store.root() / "mine") == {"mine.txt": "mine"}
    for use in (store.require_ours, store.remove):
        with suppress(ModelError):
            use("mine")
    assert content(store.root() / "mine") == {"mine.txt": "mine"}


if __name__ == "__main__":
    os.fsync = lambda _descriptor: None
    result = {}
    for stop in (killing.kill, killing.interrupt):
        for kind in (
            "install",
            "install again",
            "install, linked",
            "remove",
            "remove, downloads",
            "remove, linked, all",
        ):
            name = f"{stop.__name__} at {kind}"
            result[name] = 0
            for folder in killing.points(partial(act, kind=kind), partial(prepare, kind=kind), stop=stop):
                result[name] += 1
                check(folder, kind)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
