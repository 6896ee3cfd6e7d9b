"""Which of the known checkpoints suits a device: what doctor recommends, and the next step up from mini.

Imports no torch of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffucli.model import memory
from diffucli.model.names import FIRST_CHOICE, LAPTOP, PULL, WORKSTATION, known
from diffucli.units import format_bytes

if TYPE_CHECKING:
    from diffucli.model.config import Quantization
    from diffucli.model.memory import Plan
    from diffucli.model.names import Known

# Seconds of an answer of 60 tokens in a canvas of 128 on two cores, by the bytes of a number: docs/benchmarks.md.
LAPTOP_SECONDS = {2: 10, 4: 22}


def pulled_form(known: Known) -> Quantization:
    """The form in which `diffu model pull` installs a checkpoint by default."""
    return "nf4" if memory.has_bitsandbytes() and known.config.is_large else "none"


def planned(known: Known, device: str) -> Plan:
    """The memory that a checkpoint takes on `device` in the form in which it is pulled."""
    return memory.plan(known.config, quant=pulled_form(known), device=device)


def recommended(device: str) -> Known | None:
    """The checkpoint to pull for `device`: a large one on a GPU that has room for it, else the one for laptops.

    None if there is no room for that either.
    """
    names = (LAPTOP,) if device == "cpu" else (WORKSTATION, LAPTOP)
    return next((one for name in names if planned(one := known(name), device).fits), None)


def invitation(device: str) -> str:
    """What to pull after mini, in words."""
    if device != "cpu":
        return f"{PULL.format(FIRST_CHOICE)} brings a 7B model"
    laptop = known(LAPTOP)
    seconds = LAPTOP_SECONDS[planned(laptop, device).width]
    size = f"{laptop.config.parameters / 1e9:.1f} B, {format_bytes(laptop.size)} to fetch"
    return f"{PULL.format(LAPTOP)} brings a larger one ({size}, about {seconds} s an answer on two cores)"
