"""Writes random texts and checksums of what the Python package `tokenizers` makes of them: texts.py FILE SEED COUNT.

The texts are the hard strings of scripts/tokenizer, cut, joined and changed at random, and characters of any kind. Package
tokenizer's TestDifferential reads the file, by SCRY_TOKENIZER_TEXTS.
"""

import json
import pathlib
import random
import sys

from expectations import NAMES, ROOT, attempt, checksum, load, packed
from hard_strings import hard_strings


def texts(rng, count):
    hard = hard_strings()
    likely = [chr(c) for c in range(0x30000) if not 0xD800 <= c < 0xE000]

    def piece():
        s = rng.choice(hard)
        at = rng.randrange(len(s) + 1)
        return s[at:at + rng.randint(1, 60)]

    for _ in range(count):
        s = "".join(rng.choice((piece, piece, piece, lambda: rng.choice(likely), lambda: " "))() for _ in range(rng.randint(1, 8)))
        for _ in range(rng.choice((0, 0, 1, 3))):  # something else in its middle
            at = rng.randrange(len(s) + 1)
            s = s[:at] + rng.choice(likely) * rng.choice((1, 1, 2, 30)) + s[at + rng.randint(0, 3):]
        yield s


def main(path, seed, count):
    rng = random.Random(int(seed))
    strings = list(texts(rng, int(count)))
    out = {"texts": strings, "sums": {}}
    e5 = ROOT / "models" / "sentiment" / "tokenizer.json"
    for name in NAMES:
        if name == "e5" and not e5.exists():
            continue
        t = load(name, e5)
        t.no_truncation()
        t.no_padding()
        out["sums"][name] = packed([attempt(lambda: checksum(t.encode(s))) for s in strings])
    pathlib.Path(path).write_text(json.dumps(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
