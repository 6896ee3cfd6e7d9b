"""The live view of a run: its canvas on the terminal while it is written, or as a picture.

Knows events and bytes, never a tensor.
"""

from diffucli.ui.frame import Frame, View
from diffucli.ui.live import pull, show
from diffucli.ui.picture import picture
from diffucli.ui.terminal import size_of, wants_live

__all__ = ["Frame", "View", "picture", "pull", "show", "size_of", "wants_live"]
