"""A trial judges new text in a copy of its project, and leaves the project as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffucli.errors import UsageError
from diffucli.tasks import trial
from diffucli.tasks.trial import Project, Trial


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A repository with a file, a test, a virtual environment and a cache; the user is in its folder `sub`."""
    root = tmp_path / "project"
    for folder in (".git", "sub", "venv/lib", "__pycache__"):
        (root / folder).mkdir(parents=True)
    for name in (".git/HEAD", "venv/pyvenv.cfg", "venv/lib/big", "__pycache__/a.pyc", "run.sh"):
        (root / name).write_text("")
    (root / "sub" / "a.txt").write_text("old")
    (root / "link.txt").symlink_to("sub/a.txt")
    monkeypatch.chdir(root / "sub")
    return root


def test_a_project_is_its_repository_without_history_environments_and_caches(project):
    found = Project.of(Path("a.txt"))
    assert (found.root, found.place, found.start) == (project.resolve(), Path("sub/a.txt"), Path("sub"))
    assert {str(file) for file in found.files} == {"run.sh", "sub/a.txt", "link.txt"}


def test_without_a_repository_it_is_the_folder(project):
    (project / ".git" / "HEAD").unlink()
    (project / ".git").rmdir()
    found = Project.of(Path("a.txt"))
    assert (found.root, found.place, found.start) == (project.resolve() / "sub", Path("a.txt"), Path())


def test_each_text_is_judged_in_a_copy_of_its_own_where_the_user_is(project):
    judge = Trial("grep -q good {} && test -f ../run.sh && ! test -e seen && touch seen", Project.of(Path("a.txt")))
    verdicts = judge(["good", "bad", "good too"])
    assert [one.passed for one in verdicts] == [True, False, True]
    assert [one.refused for one in verdicts] == [False, True, False]
    assert verdicts[1].reason == "exit status 1"
    assert (project / "sub" / "a.txt").read_text() == "old"
    assert not (project / "sub" / "seen").exists()


def test_a_link_to_the_file_is_a_link_in_the_copy(project):
    (verdict,) = Trial("cat link.txt ../link.txt", Project.of(Path("../link.txt")))(["new"])
    assert verdict.output.endswith("new")
    assert (project / "sub" / "a.txt").read_text() == "old"


def test_a_failure_that_is_not_required_to_pass_is_not_refused():
    (verdict,) = Trial("echo no; exit 2", Project.alone("a b.py"), required=False)(["x"])
    assert (verdict.passed, verdict.refused, verdict.output) == (False, False, "no\n")


def test_the_file_is_quoted_for_the_shell():
    (verdict,) = Trial("cat {}", Project.alone("a b.py"))(["x = 1\n"])
    assert verdict.output == "x = 1\n"


def test_a_test_that_takes_too_long_has_failed():
    (verdict,) = Trial("sleep 30", Project.alone("a.py"), seconds=0.2)(["x"])
    assert (verdict.passed, verdict.reason) == (False, "stopped after 0.2 s")


def test_other_new_contents_are_in_the_copy_too(project):
    judge = Trial("cat {} ../other.txt", Project.of(Path("a.txt")), others={Path("other.txt"): b"!"})
    assert judge(["new"])[0].output == "new!"


def test_a_project_that_is_too_large_is_refused(project, monkeypatch):
    monkeypatch.setattr(trial, "MAX_BYTES", 2)
    with pytest.raises(UsageError, match="too much to copy for --test"):
        Project.of(Path("a.txt"))
