"""Compares a function with the canonical solution on inputs, as EvalPlus 0.3.1 does. Runs inside the sandbox.

The sandbox has Python's library alone, so this imports nothing else, and is sent there as text.
"""

from __future__ import annotations

import json
import math
import signal
import time
from copy import deepcopy

TYPE_CHECKING = False  # importing typing would cost as much as the rest of the start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

RTOL, FLOAT_ATOL = 1e-7, 1e-6
SHORTEST, FACTOR = (
    1.0,
    4.0,
)  # seconds that an input may take at least; as a multiple of what the canonical solution took


def require_equal(function: Callable[..., Any], order: str) -> None:
    """AssertionError, or whatever the function raises: it does not do as the canonical solution does.

    order: JSON of the task (dataset, task_id, entry_point, canonical, inputs, atol).
    """
    task = json.loads(order)
    canonical: dict[str, Any] = {}
    exec(task["canonical"], canonical)  # noqa: S102 — in the sandbox
    reference = canonical[task["entry_point"]]
    inputs = [arguments(task["dataset"], task["task_id"], each) for each in task["inputs"]]
    expected = [_timed(reference, deepcopy(each)) for each in inputs]
    oracle, atol = ORACLES.get((task["dataset"], task["entry_point"]), equal), task["atol"]
    for given, (wanted, seconds) in zip(inputs, expected, strict=True):
        with _Alarm(max(SHORTEST, FACTOR * seconds)):
            out = function(*given)
        is_equal = oracle(given, out, wanted, atol)
        if oracle is polynomial_root:
            assert is_equal
            continue
        if atol == 0 and is_floats(wanted):
            atol = FLOAT_ATOL  # for all inputs that follow, too
        assert is_equal or (atol != 0 and type(out) is type(wanted) and is_close(out, wanted, atol))


def equal(_given: Any, out: Any, wanted: Any, _atol: float) -> bool:
    """Whether an output is the wanted one."""
    return bool(out == wanted)


def polynomial_root(given: Any, out: Any, _wanted: Any, atol: float) -> bool:
    """Whether a polynomial is nearly zero at `out`; HumanEval/32 has many roots."""
    return bool(abs(sum(factor * math.pow(out, power) for power, factor in enumerate(given[0]))) <= atol)


def equal_sets(_given: Any, out: Any, wanted: Any, _atol: float) -> bool:
    """Whether two lists have the same members."""
    return set(out) == set(wanted)


def both_something(_given: Any, out: Any, wanted: Any, _atol: float) -> bool:
    """Whether both are None, or neither is: what these functions return cannot be compared."""
    return bool(out == (wanted is not None)) if isinstance(out, bool) else (wanted is not None) == (out is not None)


def pyramid(given: Any, out: Any, wanted: Any, atol: float) -> bool:
    """Whether it is the surface of a square pyramid, by its height."""
    edge, height = given
    surface = round(edge**2 + 2 * edge * math.sqrt((edge / 2) ** 2 + height**2))
    return bool(out == wanted or abs(out - surface) <= atol)


def digit_distance(given: Any, out: Any, wanted: Any, _atol: float) -> bool:
    """Whether it is the sum of the distances of digits, the shorter number filled up with zeros."""
    first, second = map(str, given)
    size = max(len(first), len(second))
    pairs = zip(first.zfill(size), second.zfill(size), strict=True)
    return bool(out == wanted or out == sum(abs(int(a) - int(b)) for a, b in pairs))


_SETS = (
    "similar_elements find_char_long common_in_nested_lists extract_singly larg_nnum intersection_array "
    "find_dissimilar Diff"
)
# Who judges an output where more than one is right.
ORACLES: dict[tuple[str, str], Callable[[Any, Any, Any, float], bool]] = {
    ("humaneval", "find_zero"): polynomial_root,
    ("mbpp", "are_equivalent"): lambda *_: True,
    ("mbpp", "sum_div"): lambda _given, out, wanted, _atol: bool(out in (wanted, 0)),
    ("mbpp", "surface_Area"): pyramid,
    ("mbpp", "digit_distance_nums"): digit_distance,
    **{("mbpp", name): equal_sets for name in _SETS.split()},
    **{("mbpp", name): both_something for name in ("check_str", "text_match_three", "text_starta_endb")},
}


def is_floats(value: Any) -> bool:
    """Whether it is a float, or a list or tuple of floats."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(each, float) for each in value)
    return isinstance(value, float)


def is_close(out: Any, wanted: Any, atol: float) -> bool:
    """As numpy.allclose has it, for numbers and lists of numbers. TypeError: they are something else."""
    if isinstance(wanted, (list, tuple)):
        return len(out) == len(wanted) and all(is_close(a, b, atol) for a, b in zip(out, wanted, strict=True))
    return bool(out == wanted or (math.isfinite(abs(wanted)) and abs(out - wanted) <= atol + RTOL * abs(wanted)))


def arguments(dataset: str, task_id: str, given: list[Any]) -> list[Any]:
    """The arguments that the JSON `given` stands for, which has neither tuples, sets nor complex numbers."""
    number = task_id.rpartition("/")[2]
    return _FORM_OF.get(number, list)(given) if dataset == "mbpp" else given


def _as_tuples(value: Any) -> Any:
    """Lists as tuples, all the way down."""
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _lists_within(value: Any) -> Any:
    """A list whose lists are tuples."""
    return [tuple(each) if isinstance(each, list) else each for each in value]


# Tasks of MBPP, by their numbers, and what is made of their arguments.
_FORMS: list[tuple[str, Callable[[list[Any]], list[Any]]]] = [
    (
        "2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 809",
        lambda given: [tuple(each) for each in given],
    ),
    (
        "63 64 70 94 120 237 272 299 400 409 417 438 473 614 780",
        lambda given: [[tuple(each) for each in several] for several in given],
    ),
    ("75 413 444 753", lambda given: [[tuple(each) for each in given[0]], given[1]]),
    ("106 750", lambda given: [given[0], tuple(given[1])]),
    ("115", lambda given: [[set(each) if isinstance(each, list) and each else {} for each in given[0]]]),
    ("124", lambda given: [float(given[0]), complex(given[1])]),
    ("252", lambda given: [complex(given[0])]),
    ("250 307 405 446 617 720 763 808", lambda given: [tuple(given[0]), *given[1:]]),
    ("259 401 445", lambda given: [tuple(tuple(each) for each in several) for several in given]),
    ("278", lambda given: [_lists_within(given[0])]),
    ("722", lambda given: [{key: tuple(value) for key, value in given[0].items()}, *given[1:]]),
    ("580 615 791", lambda given: [_as_tuples(each) for each in given]),
]
_FORM_OF = {number: form for numbers, form in _FORMS for number in numbers.split()}


def _timed(function: Callable[..., Any], given: list[Any]) -> tuple[Any, float]:
    begun = time.monotonic()
    return function(*given), time.monotonic() - begun


class _Alarm:
    """Raises TimeoutError within if it takes longer than some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, _number: int, _frame: object) -> None:
        raise TimeoutError(f"{self.seconds:.1f} s")
