"""The sandbox's own process: what `start.py` runs under `python -I -S`. It imports nothing else of ours."""

WORK = "/sandbox"  # of a confined program: the only folder that can be written, a file system in memory
WORK_BYTES = 64 * 2**20
