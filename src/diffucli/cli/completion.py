"""`diffu completion`: the script by which a shell asks, and the answer. Typer has both; `complete` has the words."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Annotated, Any, Literal

import typer

from diffucli.cli import options as flag
from diffucli.cli import streams

EXAMPLES = flag.examples("source <(diffu completion bash)", "diffu completion fish | source")
VARIABLE = "_DIFFU_COMPLETE"  # set by a shell's script: complete_bash


def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish", "powershell"], typer.Argument(help="The shell that is to complete.")
    ],
) -> None:
    """Print the script that lets a shell complete commands, flags, models, languages, presets and symbols.

    `diffu --install-completion` writes it where the shell that you are in looks for it.
    """
    from typer._completion_shared import get_completion_script

    script = get_completion_script(prog_name="diffu", complete_var=VARIABLE, shell=shell)
    streams.put(f"{script}\n".encode())


def answer(command: Any, instruction: str) -> int:
    """Prints what the shell that set `instruction` asks for. The exit code."""
    from typer._click.shell_completion import get_completion_class

    os.environ["COLUMNS"] = "10000"  # else typer breaks a long help, and its second line is taken for a word
    with suppress(Exception):  # a traceback would land in the line that is being typed
        cut = _whole_words() if instruction == "complete_bash" else 0
        kind = get_completion_class(instruction.removeprefix("complete_"))
        assert kind is not None
        lines = kind(command, {}, "diffu", VARIABLE).complete().split("\n")
        streams.put("".join(f"{line[cut:]}\n" for line in lines).encode())
    return 0


def _whole_words() -> int:
    """Puts the words together that bash takes apart at `:` and `=`. How much of the last one bash has let go of."""
    words: list[str] = []
    glued = False
    for word in os.environ["COMP_WORDS"].split("\n")[: int(os.environ["COMP_CWORD"]) + 1]:
        parts = bool(word) and not word.strip(":=")
        if words and word and (glued or (parts and (word == "=" or not words[-1].startswith("-")))):
            words[-1] += word
        else:
            words.append(word)
        glued = parts
    os.environ |= {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    return words[-1].rfind(":") + 1
