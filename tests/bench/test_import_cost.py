"""What the command line loads before it has to: nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

WATCH = """
import sys
from diffucli.cli.app import run
code = run(sys.argv[1:])
sys.stderr.write("\\n".join(sys.modules))
sys.exit(code)
"""
HEAVY = {"torch", "transformers", "tree_sitter", "tokenizers", "safetensors", "accelerate", "bitsandbytes", "numpy"}


def loaded(*argv: str) -> set[str]:
    """The names of all modules in a child process that ran `diffu argv…`."""
    done = subprocess.run([sys.executable, "-c", WATCH, *argv], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "argv", [["--help"], ["gen", "--help"], ["fill", "--help"], ["--version"], ["undo", "--list"], ["model", "--help"]]
)
def test_what_needs_no_model_loads_none_and_no_grammar(argv):
    modules = loaded(*argv)
    assert not {name for name in modules if name.partition(".")[0] in HEAVY}
    lexers = {name for name in modules if name.startswith("pygments.lexers.")} - {"pygments.lexers._mapping"}
    assert not lexers


def test_importing_the_entry_point_loads_not_even_typer():
    code = "import sys, diffucli.cli; sys.exit('typer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
