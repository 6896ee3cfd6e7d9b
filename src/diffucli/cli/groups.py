"""Groups of flags: a command may take a dataclass whose fields are flags, such as `options.Choice`.

Typer reads flags from a function's signature; here a group in it is spread into its fields, and put together again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """`command` as typer wants it: a parameter that is a group of flags gives way to one parameter for each flag.

    The command itself is called with the groups it was written for.
    """
    groups: dict[str, type[DataclassInstance]] = {}
    flat: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
        if isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation):
            groups[name] = parameter.annotation
            flat += _flags(parameter.annotation)
        else:
            flat.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    def called(**flags: object) -> None:
        made = {
            name: group(**{flag.name: flags.pop(flag.name) for flag in _flags(group)}) for name, group in groups.items()
        }
        command(**flags, **made)

    called.__doc__ = command.__doc__
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    called.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    return called


def _flags(group: type[DataclassInstance]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in fields(group)
    ]
