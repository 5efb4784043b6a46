"""Makes random pictures and Pillow's pixels, to compare package pixel on.

    python scripts/pixel/random_pictures.py DIR [SEED [COUNT]]
    SCRY_PIXEL_PICTURES=DIR go test ./pixel -run TestDecodeAgainstPillow

The folder has the layout of pixel/testdata. Needs what make_testdata.py needs.
"""

import hashlib
import io
import json
import random
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import jpeg_encoder
from make_testdata import adobe, exif, pillow, saved


def picture(rng, sources):
    """A part of a photograph, noise, or saturated blocks."""
    w, h = rng.randint(1, 400), rng.randint(1, 300)
    kind = rng.random()
    if kind < 0.15:
        return Image.fromarray(np.frombuffer(rng.randbytes(3 * w * h), dtype=np.uint8).reshape(h, w, 3))
    if kind < 0.25:
        blocks = np.frombuffer(rng.randbytes(3 * w * h), dtype=np.uint8).reshape(h, w, 3) % 2 * 255
        return Image.fromarray(blocks.repeat(8, 0).repeat(8, 1)[:h, :w])
    im = rng.choice(sources)
    x, y = rng.randint(0, im.width - 1), rng.randint(0, im.height - 1)
    return im.crop((x, y, min(im.width, x + w), min(im.height, y + h)))


def jpeg(rng, im):
    options = {
        "quality": rng.choice([5, 20, 50, 75, 85, 90, 95, 100]), "progressive": rng.random() < 0.4,
        "optimize": rng.random() < 0.3, "exif": exif(rng.choice([1, 1, 1, 3, 6])),
    }
    if rng.random() < 0.2:
        options["restart_marker_blocks"] = rng.randint(1, 20)
    mode = rng.choice(["RGB"] * 8 + ["L", "CMYK"])
    if mode == "RGB":
        options["subsampling"] = rng.choice([0, 1, 2])
    return saved(im.convert(mode), "JPEG", **options)


def rare_jpeg(rng, im):
    """Any sampling factors, any channel names, any Adobe marker."""
    im = im.crop((0, 0, min(im.width, 70), min(im.height, 70)))
    planes = [np.asarray(p) for p in im.convert("YCbCr").split()]
    if rng.random() < 0.3:
        planes.append(np.asarray(im.convert("L")))
    sampling = [(9, 9)]
    while sum(h * v for h, v in sampling) > 10:
        sampling = [(rng.choice([1, 2, 4]), rng.choice([1, 2, 4])) for _ in planes]
    return jpeg_encoder.encode(
        planes, sampling, im.size, quant=rng.choice([1, 3, 8, 30]),
        markers=rng.choice([b"", adobe(0), adobe(1), adobe(2)]),
        ids=rng.choice([[1, 2, 3, 4], [0, 1, 2, 3], list(b"RGBA")])[:len(planes)])


def png(rng, im):
    mode = rng.choice(["RGB", "RGBA", "L", "LA", "P", "1"])
    return saved(im.quantize(rng.randint(2, 256)) if mode == "P" else im.convert(mode), "PNG")


def gif(rng, im):
    return saved(im.quantize(rng.randint(2, 256)), "GIF", interlace=rng.randint(0, 1))


def webp(rng, im):
    if rng.random() < 0.3:
        im = im.copy()
        im.putalpha(im.convert("L"))
    return saved(im, "WEBP", lossless=rng.random() < 0.4, quality=rng.randint(0, 100), method=rng.randint(0, 6),
                 exact=rng.random() < 0.5)


def main(target, seed=1, count=300):
    rng = random.Random(int(seed))
    sources = [Image.fromarray(a).convert("RGB") for a in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())]
    (target / "pictures").mkdir(parents=True, exist_ok=True)
    index = []
    while len(index) < int(count):
        make = rng.choice([jpeg] * 4 + [rare_jpeg, png, gif, webp, webp])
        try:
            body = make(rng, picture(rng, sources))
            im, orientation = pillow(body)
        except OSError:  # Pillow's JPEG encoder cannot write, or read, every combination
            continue
        name = f"{len(index):05d}-{make.__name__}"
        (target / "pictures" / name).write_bytes(body)
        index.append({"name": name, "width": im.width, "height": im.height, "orientation": orientation,
                      "sha256": hashlib.sha256(im.tobytes()).hexdigest()})
    (target / "pictures.json").write_text(json.dumps(index, indent=0) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
