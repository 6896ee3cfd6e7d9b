"""What is left, and what the next command makes of it, if a write, undo or redo is killed before any file operation.

A script: it prints the number of points for each pair of commands, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))
import killing

from diffucli.edit import patch
from diffucli.edit.patch import Change
from diffucli.edit.undo import UndoStore
from diffucli.edit.writes import read_write

if TYPE_CHECKING:
    from collections.abc import Callable

OLD, NEW = b"the old text of the file\n" * 3, b"what is new\n" * 4


class Scene:
    """A folder with files as a command finds them, and the undo store beside it.

    names: of the files that it writes, all in one command; of those in `new` none is there before. Those in `linked`
    have a second name. Another file, other.py, was written before and must never change.
    """

    def __init__(self, folder: Path, names: str, *, new: str = "", linked: str = "") -> None:
        self.store, self.folder = UndoStore(folder / "state"), folder / "work"
        self.files = {name: self.folder / name for name in names}
        self.old = {name: None if name in new else OLD + name.encode() for name in names}
        self.new = {name: NEW + name.encode() for name in names}
        self.linked = linked

    def prepare(self) -> None:
        self.folder.mkdir()
        (self.folder / "other.py").write_bytes(b"0")
        patch.create(self.folder / "other.py", b"1", store=self.store)
        for name, file in self.files.items():
            if (old := self.old[name]) is not None:
                file.write_bytes(old)
                file.chmod(0o640)
            if name in self.linked:
                os.link(file, self.folder / f"{name}.link")

    def write(self) -> None:
        changes = [Change.of_path(file, self.new[name]) for name, file in self.files.items()]
        patch.write_all(changes, store=self.store)

    def undo(self) -> None:
        self.store.undo(self.store.last(below=self.folder))

    def redo(self) -> None:
        self.store.redo(self.store.last(below=self.folder, redo=True))

    def entry(self):
        """The entry of the files as it lies on the disk, None if there is none."""
        found = [read_write(file) for file in (self.store.root / "entries").glob("*.json")]
        ours = [write for write in found if write is not None and write.files[0].path.name != "other.py"]
        assert len(ours) < 2
        return ours[0] if ours else None

    def contents(self) -> dict[str, bytes | None]:
        assert (self.folder / "other.py").read_bytes() == b"1", "another file was touched"
        return {name: patch.content(file) for name, file in self.files.items()}

    def check_whole(self) -> None:
        for name, content in self.contents().items():
            if name not in self.linked:
                assert content in {self.old[name], self.new[name]}, "a file is torn"
            else:
                assert content is not None
                assert patch.is_mixture(content, self.old[name] or b"", self.new[name])
                assert self.files[name].samefile(self.folder / f"{name}.link")

    def check_tidy(self) -> None:
        names = {path.name for path in self.folder.iterdir()}
        assert names <= {"other.py", *self.files, *(f"{name}.link" for name in self.linked)}, "junk"
        named = set().union(*(write.digests for write in self.store.writes()))
        assert {path.name for path in (self.store.root / "objects").iterdir()} == named, "junk"
        assert all(path.suffix == ".json" for path in (self.store.root / "entries").iterdir()), "junk"

    def check_agreement(self) -> None:
        """What the list says is what the files hold."""
        write = next((write for write in self.store.writes() if write.files[0].path.name != "other.py"), None)
        contents = self.contents()
        if write is None:
            assert contents == self.old, "there is no entry of a write that happened"
            return
        said = {"written": self.new, "undone": self.old}
        for file in write.files:
            name = file.path.name
            if file.state == "torn":
                assert contents[name] not in {self.old[name], self.new[name]}
            else:
                assert contents[name] == said[file.state][name], "the entry says what the file does not hold"


def after_list(scene: Scene, doing: str) -> None:
    scene.store.writes()
    if doing == "write" and scene.contents() == scene.old:
        assert scene.entry() is None, "there is an entry of a write that did not happen"


def after_undo(scene: Scene, doing: str) -> None:
    entry = scene.entry()
    if entry is None or (not entry.doing and not entry.holding("written")):  # as if it had not begun; or done
        assert scene.contents() == scene.old
        return
    scene.undo()
    assert scene.contents() == scene.old
    assert doing != "write" or not entry.doing or all(file.state == "written" for file in entry.files)


def after_redo(scene: Scene, doing: str) -> None:
    entry = scene.entry()
    if doing == "write" and (entry is None or entry.doing):  # only what was once written can be written again
        return
    assert entry is not None
    if entry.doing or entry.holding("undone"):
        scene.redo()
    assert scene.contents() == scene.new
    mode = 0o644 if doing == "write" else 0o711
    assert all(file.stat().st_mode & 0o777 == mode for name, file in scene.files.items() if scene.old[name] is None)


SCENES = {
    "fill": {"names": "a"},
    "gen": {"names": "a", "new": "a"},
    "linked": {"names": "a", "linked": "a"},
    "several": {"names": "abc", "new": "b", "linked": "c"},
}
NEXT = {"list": after_list, "undo": after_undo, "redo": after_redo}


def count(scene: str, doing: str, then: Callable[[Scene, str], None], stop: Callable[[], None]) -> int:
    """How many points there are; each leaves what it should. AssertionError: one does not."""

    def of(folder: Path) -> Scene:
        return Scene(folder, **SCENES[scene])

    def prepare(folder: Path) -> None:
        made = of(folder)
        made.prepare()
        if doing != "write":
            made.write()
            for name in SCENES[scene].get("new", ""):
                made.files[name].chmod(0o711)
        if doing == "redo":
            made.undo()

    def act(folder: Path) -> None:
        getattr(of(folder), doing)()

    number = 0
    for folder in killing.points(act, prepare, stop=stop):
        number += 1
        found = of(folder)
        found.check_whole()
        then(found, doing)
        found.check_agreement()
        found.check_tidy()
    return number


if __name__ == "__main__":
    os.umask(0o022)
    os.fsync = lambda _descriptor: None
    result = {
        f"{scene}: {stop.__name__} at {doing}, then {name}": count(scene, doing, then, stop)
        for stop in (killing.kill, killing.interrupt)
        for scene in sys.argv[1:] or SCENES
        for doing in ("write", "undo", "redo")
        for name, then in NEXT.items()
        if stop is killing.kill or name == "undo"
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
