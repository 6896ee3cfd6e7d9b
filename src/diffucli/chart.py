"""Charts by matplotlib, which is optional: the same figures give the same file, so that it can be kept in a repository.

Knows nothing of what is drawn.
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


def require_matplotlib(without: str) -> None:
    """UsageError where matplotlib is not installed; to be asked before anything is measured or trained.

    without: the flag that does without the chart, and how it is used: "leave out --plot".
    """
    if find_spec("matplotlib") is None:
        raise UsageError("the picture needs matplotlib", hint=f"pip install 'diffucli[train]', or {without}")


@contextmanager
def chart(path: Path, *, x: str, y: str, height: float) -> Iterator[Axes]:
    """Axes labelled `x` and `y` to draw on; what is drawn is in `path`, .svg or .png, at the end. height: inches."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "diffucli", "svg.fonttype": "none", "axes.spines.top": False}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot(xlabel=x, ylabel=y)
        yield axes
        axes.grid(visible=True, alpha=0.3)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
