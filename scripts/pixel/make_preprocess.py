"""Makes pixel/testdata/preprocess.json: what image processors of transformers show a model.

    python scripts/pixel/make_preprocess.py pixel/testdata

needs transformers 5.23.0 (no torch), Pillow 13.0.0 and numpy. Each case holds the
settings in the package's words and the sha256 of the cropped pixels as RGB
rows; the pictures are seeded noise. The settings marked torchvision repeat the
arithmetic of torchvision.transforms (Resize, CenterCrop) on Pillow.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from transformers import CLIPImageProcessorPil, ConvNextImageProcessorPil, ViTImageProcessorPil

from make_testdata import noise

RAW = dict(do_rescale=False, do_normalize=False)
SIZES = [(320, 240), (240, 321), (333, 100), (97, 301), (64, 64), (31, 18), (225, 224)]


def pixels(processor, im):
    chw = processor(im, return_tensors="np")["pixel_values"][0]
    return chw.transpose(1, 2, 0).astype(np.uint8)


def clip(edge, crop):
    p = CLIPImageProcessorPil(size={"shortest_edge": edge}, crop_size=crop, **RAW)
    settings = {"resize": "shortest", "width": edge, "filter": "bicubic", "crop": [crop, crop], "crop_floor": True}
    return f"CLIP {edge} {crop}", settings, lambda im: pixels(p, im)


def vit(size):
    p = ViTImageProcessorPil(size={"height": size, "width": size}, **RAW)
    settings = {"resize": "stretch", "width": size, "height": size, "filter": "bilinear"}
    return f"ViT {size}", settings, lambda im: pixels(p, im)


def convnext(size, pct):
    p = ConvNextImageProcessorPil(size={"shortest_edge": size}, crop_pct=pct, resample=Image.Resampling.BICUBIC, **RAW)
    edge = int(size / pct)
    settings = {"resize": "shortest", "width": edge, "filter": "bicubic", "crop": [size, size], "crop_floor": True}
    return f"ConvNeXT {size} {pct}", settings, lambda im: pixels(p, im)


def torchvision(edge, crop, max_edge=None):
    def show(im):
        w, h = im.size
        short, long = min(w, h), max(w, h)
        new_short, new_long = edge, int(edge * long / short)
        if max_edge and new_long > max_edge:
            new_short, new_long = int(max_edge * new_short / new_long), max_edge
        im = im.resize((new_short, new_long) if w <= h else (new_long, new_short), Image.Resampling.LANCZOS)
        if crop is None:
            return np.asarray(im)
        w, h = im.size
        if crop > w or crop > h:
            left, top = max(crop - w, 0) // 2, max(crop - h, 0) // 2
            im = im.crop((-left, -top, max(w, crop) - left, max(h, crop) - top))
            w, h = im.size
        left, top = int(round((w - crop) / 2.0)), int(round((h - crop) / 2.0))
        return np.asarray(im.crop((left, top, left + crop, top + crop)))

    settings = {"resize": "shortest", "width": edge, "filter": "lanczos", "crop_floor": False}
    if crop:
        settings["crop"] = [crop, crop]
    if max_edge:
        settings["max_edge"] = max_edge
    return f"torchvision {edge} {crop} {max_edge}", settings, show


def letterbox(width, height):
    settings = {"resize": "letterbox", "width": width, "height": height, "filter": "bilinear", "pad": [1, 2, 3]}
    return (f"ImageOps.pad {width} {height}", settings,
            lambda im: np.asarray(ImageOps.pad(im, (width, height), Image.Resampling.BILINEAR, color=(1, 2, 3))))


def main(target):
    cases = []
    for name, settings, show in (
        clip(64, 64), clip(75, 64), clip(40, 64), vit(48), convnext(64, 0.875), convnext(56, 0.95),
        torchvision(75, 64), torchvision(40, 65), torchvision(40, None), torchvision(40, None, 60), letterbox(64, 64), letterbox(61, 40),
    ):
        for seed, (w, h) in enumerate(SIZES):
            out = show(Image.frombytes("RGB", (w, h), noise(seed, 3 * w * h).tobytes()))
            cases.append({
                "name": name, **settings, "seed": seed, "from": [w, h], "to": [out.shape[1], out.shape[0]],
                "sha256": hashlib.sha256(np.ascontiguousarray(out).tobytes()).hexdigest(),
            })
    (target / "preprocess.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
