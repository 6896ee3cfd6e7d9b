"""Jobs: what to fill in which file, and what became of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from diffucli.edit import source
from diffucli.errors import UsageError
from diffucli.tasks.jobs import Filled, Wanted, job_between, jobs_of


def read(text: str, name: str | None = "a.py"):
    path = None if name is None else Path(name)
    return source.from_bytes(text.encode(), path), path


def filled(text: str, new: str, name: str | None = "a.py") -> Filled:
    """A job whose result is `new`."""
    result: Any = SimpleNamespace(text=new)
    return Filled(jobs_of([read(text, name)], Wanted(("1",)))[0], result)


def test_files_without_anything_to_fill_are_left_out_or_refused():
    plain, holes = read("a = 1\n"), read("b = ???\n", "b.py")
    assert [job.name for job in jobs_of([plain, holes], Wanted(lenient=True))] == ["b.py"]
    with pytest.raises(UsageError, match="none of the 1 files holds what to fill"):
        jobs_of([plain], Wanted(lenient=True))
    with pytest.raises(UsageError, match=r"^a\.py: there is no"):
        jobs_of([plain], Wanted())
    with pytest.raises(UsageError, match=r"^<stdin>: there is no"):
        jobs_of([read("a = 1\n", None)], Wanted())


def test_regions_of_single_files_are_added_to_those_of_all():
    wanted = Wanted(("1",), own={Path("b.py"): ("3",)})
    jobs = jobs_of([read("a = 1\nb\nc\n"), read("a = 1\nb\nc\n", "b.py"), read("a = 1\n", None)], wanted)
    assert [[region.start for region in job.targets.regions] for job in jobs] == [[0], [0, 8], [0]]


def test_a_length_bounds_what_has_none_of_its_own():
    (job,) = jobs_of([read("a = ???\nb = ???5\n")], Wanted(length=(2, 9)))
    assert [(region.low, region.high) for region in job.targets.regions] == [(2, 9), (5, 5)]
    (job,) = jobs_of([read("a = ???\n")], Wanted())
    assert (job.targets.regions[0].low, job.targets.regions[0].high) == (None, None)


def test_the_language_is_that_of_the_file_unless_one_is_named():
    assert jobs_of([read("let a = ???;\n", "a.js")], Wanted())[0].language.name == "javascript"
    assert jobs_of([read("a = ???\n", "a.js")], Wanted(language="python"))[0].language.name == "python"


def test_holes_that_are_legal_code_count_only_if_all_do():
    (job,) = jobs_of([read("a = '???'\nb = ???\n")], Wanted())
    assert len(job.targets.regions) == 1
    (job,) = jobs_of([read("a = '???'\nb = ???\n")], Wanted(all_holes=True))
    assert len(job.targets.regions) == 2


def test_a_job_that_gives_the_file_back_has_changed_nothing():
    assert not filled("a = 1\n", "a = 1\n").changed
    assert filled("a = 1\n", "a = 2\n").changed


def test_the_new_content_has_the_encoding_of_the_old():
    raw = b"# coding: latin-1\na = 1\n"
    (job,) = jobs_of([(source.from_bytes(raw, Path("a.py")), Path("a.py"))], Wanted(("2",)))
    result: Any = SimpleNamespace(text="# coding: latin-1\na = 'é'\n")
    assert Filled(job, result).new == "# coding: latin-1\na = 'é'\n".encode("latin-1")
    result.text = "# coding: latin-1\na = '→'\n"
    with pytest.raises(UsageError, match="cannot be written in"):
        Filled(job, result).new  # noqa: B018 — a property


def test_a_patch_names_the_real_file_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    for name in ("here/below.py", "above.py"):
        (tmp_path / name).write_text("a = 1\n")
    (tmp_path / "here" / "link.py").symlink_to("below.py")
    monkeypatch.chdir(tmp_path / "here")
    for name, shown in (("link.py", "below.py"), ("../above.py", "../above.py")):
        patch = filled("a = 1\n", "a = 2\n", name).diff().decode()
        assert patch == f"--- a/{shown}\n+++ b/{shown}\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"


def test_a_hole_between_two_texts_may_be_anywhere_in_a_line():
    """And `???` in the texts is what it is; a coding comment says nothing of a text that was in no file."""
    before, after = "# coding: latin-1\nä = '???'\nx = ab", "cd + ???\n"
    job = job_between(before, after, Wanted(length=(1, 9)))
    (region,) = job.targets.regions
    assert job.source.text == before + "???" + after
    assert (region.start, region.stop, region.low, region.high) == (len(before), len(before) + 3, 1, 9)
    assert job.targets.is_hole(region)
    assert job.targets.plain == before + "___" + after
    assert job.language.name == "python"


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_is_no_text_has_no_hole(text):
    with pytest.raises(UsageError):
        job_between(text, "", Wanted())
