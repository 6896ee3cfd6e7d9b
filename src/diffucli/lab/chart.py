"""Charts drawn with matplotlib, which is optional. Equal figures give equal files, so that charts can be committed.

Does not know what is drawn.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from diffucli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes

WIDTH = 7.0  # inches


def require_matplotlib(remedy: str) -> None:
    """Raises UsageError if matplotlib is not installed; to be called before anything is measured or trained.

    remedy: how to do without the chart, such as "leave out --plot".
    """
    if find_spec("matplotlib") is None:
        raise UsageError("the picture needs matplotlib", hint=f"pip install 'diffucli[train]', or {remedy}")


@contextmanager
def chart(path: Path, *, x: str, y: str, height: float) -> Iterator[Axes]:
    """Yields axes with the labels `x` and `y`, and saves the chart to `path` (.svg or .png) at the end.

    height: in inches.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "diffucli", "svg.fonttype": "none", "axes.spines.top": False}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot(xlabel=x, ylabel=y)
        yield axes
        axes.grid(visible=True, alpha=0.3)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
