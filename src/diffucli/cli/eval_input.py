"""What `diffu eval` is told: which problems are solved, and what is written besides the table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffucli.cli import options as flag
from diffucli.cli import outlets, streams
from diffucli.errors import UsageError
from diffucli.eval.suites import Suite, of_groups, problems, some

if TYPE_CHECKING:
    from diffucli.cli.outlets import Outlet
    from diffucli.eval.problems import Problem

SUITE_HELP = (
    "Problems to solve: mini, humaneval, humaneval+, mbpp, mbpp+, infill-single, infill-multi, infill-span, or a FILE "
    "of such problems."
)
DATA_HELP = "The file of the suite's problems, where no package or variable names it."
GROUP_HELP = "Only groups with TEXT in their names, such as repair. Can be repeated."
RECORDS_HELP = "Write each answer with its judgement to FILE, a JSON object a line."
FOLDER_HELP = "Write samples, report and chart into this folder; the same command goes on from there."
ONLY_HELP = "Write the samples into the folder of -o and judge none."


@dataclass(frozen=True, slots=True)
class ProblemInput:
    """Which problems are solved."""

    suite: Annotated[str, typer.Option("--suite", metavar="NAME|FILE", help=SUITE_HELP)] = "mini"
    data: Annotated[Path | None, typer.Option("--data", metavar="FILE", help=DATA_HELP)] = None
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Most problems of a group. (default: all)")
    ] = None
    group: Annotated[list[str] | None, typer.Option("--group", metavar="TEXT", help=GROUP_HELP)] = None
    lengths: Annotated[
        bool, typer.Option("--lengths", help="Holes only: at their true length, at fixed lengths, and by default.")
    ] = False

    def problems(self) -> list[Problem]:
        """The problems. UsageError: there are none."""
        from diffucli.eval.lengths import holes_of

        found = self._all()
        chosen = of_groups(found, self.group) if self.group else found
        if not self.lengths:
            return chosen
        if not (holes := holes_of(chosen)):
            raise UsageError("--lengths is for holes, and these groups have none", hint='add --group "everyday hole"')
        return [*holes]

    def _all(self) -> list[Problem]:
        from diffucli import files
        from diffucli.eval import published

        if self.suite == Suite.mini:
            if self.data:
                raise UsageError("the suite mini has no file", hint="leave --data out, or name another --suite")
            return problems(Suite.mini, limit=self.limit)
        if suite := published.SUITES.get(self.suite):
            return some(published.read(suite.path(self.data), group=suite.name, form=suite.form), self.limit)
        if not files.exists(Path(self.suite)):
            known = ", ".join([Suite.mini, *published.SUITES])
            raise UsageError(f"there is no suite {self.suite!r}", hint=f"name one of {known}, or a file")
        return some(published.read(Path(self.suite), group=Path(self.suite).name), self.limit)


@dataclass(frozen=True, slots=True)
class EvalOutput:
    """What is written besides the table."""

    folder: Annotated[Path | None, flag.output("-o", "--output", metavar="FOLDER", help=FOLDER_HELP)] = None
    records: Annotated[Path | None, typer.Option("--records", metavar="FILE", parser=flag.file, help=RECORDS_HELP)] = (
        None
    )
    samples_only: Annotated[bool, typer.Option("--samples-only", metavar=flag.FLAG, help=ONLY_HELP)] = False

    def check(self) -> Outlet | None:
        """The stream that the records go to, if they do. UsageError, WriteFailed: something cannot be written."""
        from diffucli.cli.destination import require_target

        if self.samples_only and self.folder is None:
            raise UsageError("--samples-only has no folder for the samples", hint="add -o FOLDER")
        if self.folder is not None:
            if flag.unless_stdout(self.folder) is None:
                raise UsageError(f"{self.folder} is stdout and no folder", hint="name a folder with -o")
            with streams.as_write_failed(str(self.folder)):
                self.folder.mkdir(parents=True, exist_ok=True)
        if self.records is None:
            return None
        outlet = outlets.opened(self.records)
        if not outlet:
            require_target(self.records)
        return outlet
