"""Run generated Python in a sandbox, and commands of the user with limits. docs/security.md says what is kept out.

Knows nothing of models or problems.
"""

from diffucli.sandbox.command import Ended, ShellCommands
from diffucli.sandbox.confinement import DESCRIPTIONS, Confinement
from diffucli.sandbox.run import Outcome, run_tests, strongest
from diffucli.sandbox.scratch import scratch

__all__ = ["DESCRIPTIONS", "Confinement", "Ended", "Outcome", "ShellCommands", "run_tests", "scratch", "strongest"]
