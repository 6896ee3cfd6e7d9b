"""A hub on loopback with the golden checkpoint on it, and what tests of pulling share."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def _importable(name: str, path: Path) -> ModuleType:
    """The module in `path`, which tests can import by `name`: test folders are no packages."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


loopback = _importable("loopback_hub", Path(__file__).parents[1] / "hub.py")
pulling = _importable("pulling", Path(__file__).parent / "pulling.py")
adapters = _importable("adapters", Path(__file__).parent / "adapters.py")


@pytest.fixture
def published(golden, tmp_path) -> Path:
    """The golden checkpoint as its makers publish it: with code, a pickle and a card beside it."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name in pulling.PUBLISHED:
        shutil.copyfile(golden / name, folder / name)
    for name in (pulling.CODE, pulling.PICKLE, pulling.CARD):
        (folder / name).write_text("never fetched")
    (folder / "nested").mkdir()
    (folder / "nested" / "config.json").write_text("{}")
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DIFFU_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def hub(published, home, tmp_path, monkeypatch) -> Iterator[Any]:
    """The hub, and the client in this process turned to it."""
    import huggingface_hub
    from huggingface_hub import constants

    from diffucli.model import download

    huggingface_hub.close_session()  # another test's, whose proxies are others
    with loopback.Hub() as serving:
        serving.repositories[pulling.NAME] = loopback.Repository(published)
        monkeypatch.setattr(constants, "ENDPOINT", serving.address)
        template = serving.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
        monkeypatch.setattr(download, "WAITS", (0.01, 0.01, 0.01))
        monkeypatch.setattr(download, "LOOK_WAITS", (0.01, 0.01, 0.01))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
        yield serving
        huggingface_hub.close_session()
