"""Writes pixel/testdata/looks.json: opacity and quality of the committed pictures, by Pillow and NumPy.

    python scripts/pixel/make_looks.py

alpha: the digest of the opacities that Image.convert("RGBA") has; absent where all pixels are opaque. quality: as the
comments of scry.imageanalysis.v1.Quality say.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

DATA = Path(__file__).resolve().parents[2] / "pixel/testdata"


def quality(im):
    luma = np.asarray(im.convert("L"), np.float64)
    small = im
    if max(im.size) > 512:
        scale = 512 / max(im.size)
        small = im.resize([max(1, int(np.floor(side * scale + 0.5))) for side in im.size], Image.Resampling.BILINEAR)
    s = np.asarray(small.convert("L"), np.float64)
    sharpness = 0.0
    if min(s.shape) >= 3:
        edges = s[:-2, 1:-1] + s[2:, 1:-1] + s[1:-1, :-2] + s[1:-1, 2:] - 4 * s[1:-1, 1:-1]
        sharpness = float(edges.var())
    return {"sharpness": sharpness, "brightness": float(luma.mean() / 255), "contrast": float(luma.std() / 255),
            "underexposed": float((luma <= 5).mean()), "overexposed": float((luma >= 250).mean()),
            "megapixels": im.width * im.height / 1e6}


def looks(path):
    with Image.open(path) as im:
        im = ImageOps.exif_transpose(im)
        out = {"name": path.name}
        # 16 bits of grey are clipped by Pillow, where package pixel takes the high byte.
        if not im.mode.startswith("I"):
            out["quality"] = quality(im.convert("RGB"))
        alpha = im.convert("RGBA").getchannel("A").tobytes()
        if min(alpha) < 255:
            out["alpha"] = hashlib.sha256(alpha).hexdigest()
        return out


if __name__ == "__main__":
    found = [looks(path) for path in sorted((DATA / "pictures").iterdir())]
    (DATA / "looks.json").write_text("[\n" + ",\n".join(json.dumps(x) for x in found) + "\n]\n")
