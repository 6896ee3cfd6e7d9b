"""Measures the tokenizer on code, in MB per second of CPU time.

    python docs/scripts/tokenizer.py [CHECKPOINT FOLDER]

The default folder has the small golden vocabulary.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from diffucli.model.tokenizer import read

ROOT = Path(__file__).parents[2]
TIMES = 5


def main() -> None:
    """Prints one JSON object: the best of five runs over the source of this project."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests" / "data" / "tiny-dream"
    tokenizer = read(folder)
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py"))]
    size, seconds, ids = sum(len(text.encode()) for text in texts), [], []
    for _ in range(TIMES):
        begun = time.process_time()
        ids = [tokenizer.encode(text) for text in texts]
        seconds.append(time.process_time() - begun)
    tokenizer.piece(0)  # the first call makes the table of pieces
    begun = time.process_time()
    for tokens in ids:
        tokenizer.decode(tokens)
    decoding = time.process_time() - begun
    print(
        json.dumps(
            {
                "vocabulary": tokenizer.vocab_size,
                "bytes": size,
                "encode_mb_s": round(size / min(seconds) / 1e6, 2),
                "decode_mb_s": round(size / decoding / 1e6, 2),
                "bytes_a_token": round(size / sum(map(len, ids)), 2),
            }
        )
    )


if __name__ == "__main__":
    main()
