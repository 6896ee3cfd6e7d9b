"""Which model runs when none is named: a small file of settings that `diffu model use` writes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import platformdirs

from diffucli.errors import UsageError
from diffucli.model import store

KEY = "model"


def chosen() -> str | None:
    """The name or folder that was chosen; None where nothing is. UsageError: the settings cannot be read."""
    name = _settings().get(KEY)
    return name if isinstance(name, str) else None


def choose(name: str | None) -> None:
    """Stores which model runs when none is named; None: the embedded one. UsageError, ModelError: not written."""
    path = settings_path()
    kept = {key: value for key, value in _settings().items() if key != KEY}
    with store.writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        store.swap_json(path, kept | ({KEY: name} if name else {}))


def settings_path() -> Path:
    """The file of settings: $DIFFU_HOME/config.json, else in the user's config folder."""
    home = os.environ.get("DIFFU_HOME")
    base = Path(home).expanduser().absolute() if home else Path(platformdirs.user_config_dir("diffu", appauthor=False))
    return base / "config.json"


def _settings() -> dict[str, object]:
    path = settings_path()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path} cannot be read ({exc})", hint="mend it or delete it") from exc
    if not isinstance(values, dict):
        raise UsageError(f"{path} holds no JSON object", hint="mend it or delete it")
    return values
