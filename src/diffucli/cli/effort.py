"""How much is done for a text: a group of flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from diffucli.cli import options as flag
from diffucli.errors import UsageError

if TYPE_CHECKING:
    from diffucli.tasks.engine import Effort
    from diffucli.tasks.trial import Project

effort = partial(typer.Option, rich_help_panel="Effort")
Pick = Literal["auto", "all", "first"]
CANDIDATES_HELP = "Texts to choose from, written together; the first one is written as without -n."
PICK_HELP = "The best candidate (auto), the one of the first seed (first), or all of them, as JSON lines or as files."
REPAIR_HELP = "Rounds of repair without progress before a faulty text is left as it is; 0 switches it off."
TEST_HELP = "Command that judges each candidate in a copy of the project; {} stands for the file."

Rounds = Annotated[int, effort("--repair", envvar="DIFFU_REPAIR", metavar="N", min=0, max=12, help=REPAIR_HELP)]


@dataclass(frozen=True, slots=True)
class Trying:
    """How much is done for a text."""

    candidates: Annotated[
        int, effort("-n", "--candidates", envvar="DIFFU_CANDIDATES", metavar="K", min=1, max=32, help=CANDIDATES_HELP)
    ] = 1
    pick: Annotated[Pick, effort("--pick", help=PICK_HELP)] = "auto"
    repair: Rounds = 2
    test: Annotated[str | None, effort("--test", envvar="DIFFU_TEST", metavar="CMD", help=TEST_HELP)] = None
    test_seconds: Annotated[
        float,
        effort(
            "--test-seconds",
            envvar="DIFFU_TEST_SECONDS",
            metavar="N",
            min=0.1,
            max=86_400,
            help="Time limit of --test.",
        ),
    ] = 60.0

    @property
    def is_all(self) -> bool:
        """Whether every candidate is wanted."""
        return self.pick == "all"

    @property
    def several(self) -> int:
        """How many candidates are wanted, if it is all of them, else 0."""
        return self.candidates if self.is_all else 0

    def project(self, file: Path | None, name: str) -> Project | None:
        """What --test copies for `file`, or for a text that is to be called `name`. UsageError: it is too large."""
        if self.test is None:
            return None
        if not self.test.strip():
            raise UsageError("--test names no command", hint='such as --test "pytest -q"')
        from diffucli.tasks.trial import Project

        return Project.alone(name) if file is None else Project.of(file)

    def effort(
        self,
        project: Project | None,
        verify: flag.Verify,
        *,
        encode: Callable[[str], bytes] = str.encode,
        others: Mapping[Path, bytes] | None = None,
    ) -> Effort:
        """The effort for one text. encode, others: as `Trial` has them."""
        from diffucli.tasks.engine import Effort
        from diffucli.tasks.trial import Trial

        trial = None
        if project is not None and self.test is not None:
            trial = Trial(self.test, project, self.test_seconds, verify != "warn", encode, others or {})
        return Effort(self.candidates, self.repair, "first" if self.pick == "first" else "best", trial)
