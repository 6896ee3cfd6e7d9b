"""Renders a checkpoint's chat template, which is a program in Jinja by whoever made the checkpoint.

It runs in Jinja's sandbox, as transformers does it, in a child process with limits of time, memory and output. This
file is that process's program, and imports nothing of diffu so that the child starts quickly.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from typing import Any

SECONDS = 5.0  # for one rendering, the start of the process included
MEMORY, LENGTH = 2**30, 200_000  # bytes of the process; characters of the text


class Failed(Exception):
    """What kept a template from being rendered, in words."""


def render(template: str, turns: list[dict[str, str]], tokens: dict[str, str]) -> str:
    """The text of a chat with these `turns` ("role", "content") up to the assistant's answer. Raises Failed.

    tokens: what the template may name, such as "bos_token".
    """
    values = {**tokens, "messages": turns, "add_generation_prompt": True}
    try:
        child = subprocess.run(  # noqa: S603 — our own program
            [sys.executable, "-P", __file__],
            input=json.dumps([template, values]).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired as exc:
        raise Failed(f"it was stopped after {SECONDS:g} s") from exc
    except (OSError, subprocess.SubprocessError) as exc:
        raise Failed(f"it takes more than {MEMORY // 2**20} MiB, or cannot be run") from exc
    text, error = json.loads(child.stdout)
    if error:
        raise Failed(error)
    return str(text)


def rendered(template: str, values: dict[str, Any]) -> str:
    """The text of a template with these `values`. Raises whatever the template does."""
    from datetime import UTC, datetime

    from jinja2.exceptions import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now(UTC).strftime(form)
    text = ""
    for part in environment.from_string(template).generate(**values):
        text += part
        if len(text) > LENGTH:
            raise TemplateError(f"it writes more than {LENGTH} characters")
    return text


def main() -> None:
    """Reads [template, values] as JSON from stdin, and writes [text, error]."""
    with suppress(ImportError, ValueError, OSError):  # no such limit on this system
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    text, error = "", ""
    try:
        text = rendered(*json.load(sys.stdin))
    except Exception as exc:  # noqa: BLE001 — a template can raise anything
        error = " ".join(str(exc).split())[:LENGTH] or type(exc).__name__
    json.dump([text, error[:200]], sys.stdout)


if __name__ == "__main__":
    main()
