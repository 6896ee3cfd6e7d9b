"""The model room: checkpoint folders, networks, vocabularies, names."""

import logging
import sys

# The package `kernels`, where a user has it, lets bitsandbytes and transformers fetch code from a hub and run it.
sys.modules["kernels"] = None  # type: ignore[assignment]
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of that as it is imported
