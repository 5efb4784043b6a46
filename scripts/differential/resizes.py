"""Writes random resizes of seeded noise and Pillow's pixels: resizes.py FILE SEED COUNT.

The file has the layout of pixel/testdata/resize.json; TestResizeEqualsPillow reads it, by SCRY_PIXEL_RESIZES.
"""

import hashlib
import json
import pathlib
import random
import sys

import numpy as np
from PIL import Image

from make_testdata import noise

FILTERS = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


def main(path, seed, count):
    rng = random.Random(int(seed))
    cases = []
    for _ in range(int(count)):
        (w, h), to = ((rng.randint(1, rng.choice((8, 64, 400))), rng.randint(1, rng.choice((8, 64, 400)))) for _ in range(2))
        name, number = rng.choice(FILTERS), rng.getrandbits(32)
        im = Image.fromarray(np.frombuffer(bytes(noise(number, 3 * w * h)), dtype=np.uint8).reshape(h, w, 3))
        cases.append({"seed": number, "from": [w, h], "to": list(to), "filter": name,
                      "sha256": hashlib.sha256(im.resize(to, Image.Resampling[name.upper()]).tobytes()).hexdigest()})
    pathlib.Path(path).write_text(json.dumps(cases))


if __name__ == "__main__":
    main(*sys.argv[1:])
