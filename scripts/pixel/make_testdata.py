"""Makes pixel/testdata: pictures of all kinds and what Pillow makes of them.

    python scripts/pixel/make_testdata.py pixel/testdata

needs Pillow 13.0.0, numpy and scikit-image (for its pictures). The result
depends on the versions of the libraries inside Pillow's wheel, so the files
are committed and rebuilt only on purpose.

    pictures/*      the inputs
    pictures.json   for each: size, orientation, sha256 of the RGB pixels
    resize.json     sha256 of Image.resize on seeded noise
"""

import hashlib
import io
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from skimage import data

import jpeg_encoder

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
# Sizes from and to: up, down, one axis only, odd, thin, equal, huge ratios.
SIZES = [
    ((1, 1), (1, 1)), ((1, 1), (7, 5)), ((2, 3), (1, 1)), ((7, 5), (1, 1)), ((5, 7), (5, 7)),
    ((16, 16), (8, 8)), ((16, 16), (32, 32)), ((17, 13), (16, 12)), ((17, 13), (18, 14)), ((31, 29), (10, 9)),
    ((64, 48), (64, 24)), ((64, 48), (32, 48)), ((64, 48), (224, 48)), ((64, 48), (64, 99)),
    ((100, 75), (33, 25)), ((100, 75), (77, 101)), ((128, 1), (16, 4)), ((1, 128), (4, 16)), ((200, 3), (3, 200)),
    ((320, 240), (224, 224)), ((320, 240), (256, 192)), ((333, 251), (224, 168)), ((500, 375), (64, 64)),
    ((640, 480), (299, 299)), ((1000, 10), (10, 10)), ((10, 1000), (10, 10)), ((3000, 2), (7, 3)),
    ((67, 101), (48, 40)), ((101, 67), (48, 40)), ((100, 200), (50, 125)), ((100, 200), (50, 50)),
    ((100, 200), (51, 101)), ((60, 90), (70, 89)), ((60, 90), (70, 91)), ((40, 500), (39, 64)),
]


def noise(seed, n):
    """n bytes of the splitmix64 generator, little-endian."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, -(-n // 8) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return np.frombuffer(z.astype("<u8").tobytes()[:n], dtype=np.uint8)


def saved(im, format, **options):
    out = io.BytesIO()
    im.save(out, format, **options)
    return out.getvalue()


def exif(orientation):
    e = Image.Exif()
    e[0x0112] = orientation
    return e.tobytes()


def adobe(transform):
    return jpeg_encoder.segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform))


def png(width, height, depth, color_type, rows, chunks=(), interlaced=False):
    """A PNG file of rows of packed samples; Pillow does not write all kinds."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    raw = b"".join(b"\0" + bytes(row) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunk(k, b) for k, b in chunks)
            + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def adam7(a):
    """The rows of an interlaced picture, one pass after the other."""
    for x, y, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        for row in a[y::dy, x::dx]:
            if len(row):
                yield row.tobytes()


def gif(screen, frames, palette=None, trailer=b";"):
    """A GIF file; frames are (x, y, w, h, flags, body) with ready image data."""
    flags = 0x80 | (len(palette) // 3).bit_length() - 2 if palette else 0
    out = b"GIF89a" + struct.pack("<HHBBB", *screen, flags, 0, 0) + (palette or b"")
    for control, x, y, w, h, flags, body in frames:
        out += control + b"," + struct.pack("<HHHHB", x, y, w, h, flags) + body
    return out + trailer


def gif_pixels(indices):
    """Image data of 7-bit pixels, with a clear code often enough that codes stay 8 bits."""
    codes = []
    for i, v in enumerate(indices):
        if i % 100 == 0:
            codes.append(128)
        codes.append(int(v))
    codes.append(129)
    out = bytes([7])
    for i in range(0, len(codes), 255):
        block = bytes(codes[i:i + 255])
        out += bytes([len(block)]) + block
    return out + b"\0"


def jpegs(astronaut, coffee, chelsea):
    yield "baseline-420.jpg", saved(coffee, "JPEG", quality=85)
    yield "baseline-444.jpg", saved(astronaut, "JPEG", quality=90, subsampling=0)
    yield "baseline-422.jpg", saved(chelsea, "JPEG", quality=85, subsampling=1)
    yield "progressive-420.jpg", saved(chelsea, "JPEG", quality=85, progressive=True)
    yield "progressive-444.jpg", saved(coffee, "JPEG", quality=75, progressive=True, subsampling=0)
    yield "progressive-gray.jpg", saved(coffee.convert("L"), "JPEG", quality=75, progressive=True)
    yield "gray.jpg", saved(astronaut.convert("L"), "JPEG", quality=85)
    yield "restart.jpg", saved(astronaut, "JPEG", quality=70, restart_marker_blocks=3, optimize=True)
    yield "low-quality.jpg", saved(astronaut, "JPEG", quality=10)
    yield "rgb.jpg", saved(chelsea, "JPEG", quality=85, keep_rgb=True)
    inks = coffee.convert("CMYK")
    inks = Image.merge("CMYK", inks.split()[:3] + (coffee.convert("L").point(lambda v: 90 - v // 3),))
    cmyk = saved(inks, "JPEG", quality=85)
    yield "cmyk.jpg", cmyk
    at = cmyk.index(b"\xff\xee\x00\x0eAdobe")
    yield "cmyk-no-marker.jpg", cmyk[:at] + cmyk[at + 16:]
    yield "ycck.jpg", cmyk[:at + 15] + b"\x02" + cmyk[at + 16:]
    for orientation in range(1, 9):
        yield f"exif-{orientation}.jpg", saved(
            chelsea.resize((101, 67)), "JPEG", quality=80, exif=exif(orientation))
    for w, h in [(1, 1), (2, 2), (3, 3), (5, 1), (1, 9), (17, 16), (16, 17), (33, 31)]:
        yield f"tiny-{w}x{h}.jpg", saved(chelsea.crop((70, 50, 70 + w, 50 + h)), "JPEG", quality=90)
    ycc = [np.asarray(p) for p in coffee.resize((151, 101)).convert("YCbCr").split()]
    for name, luma in [("440", (1, 2)), ("411", (4, 1)), ("410", (4, 2)), ("420", (2, 2))]:
        yield f"own-{name}.jpg", jpeg_encoder.encode(ycc, [luma, (1, 1), (1, 1)], (151, 101))
    k = 255 - np.asarray(coffee.resize((151, 101)).convert("L")) // 4
    yield "own-ycck-420.jpg", jpeg_encoder.encode(
        ycc + [k], [(2, 2), (1, 1), (1, 1), (2, 2)], (151, 101), markers=adobe(2))
    rgb = [np.asarray(p) for p in coffee.resize((151, 101)).split()]
    yield "own-rgb-ids.jpg", jpeg_encoder.encode(rgb, [(1, 1)] * 3, (151, 101), ids=list(b"RGB"))


def pngs(astronaut, coffee, chelsea):
    small = coffee.resize((90, 61))
    alpha = Image.linear_gradient("L").resize(small.size)
    rgba = small.copy()
    rgba.putalpha(alpha)
    yield "rgb.png", saved(small, "PNG")
    yield "rgba.png", saved(rgba, "PNG")
    yield "gray.png", saved(small.convert("L"), "PNG")
    yield "gray-alpha.png", saved(rgba.convert("LA"), "PNG")
    yield "palette.png", saved(small.quantize(200), "PNG")
    yield "palette-16.png", saved(small.quantize(13), "PNG")
    yield "palette-transparent.png", saved(small.quantize(100), "PNG", transparency=bytes(range(100)))
    yield "bilevel.png", saved(small.convert("1"), "PNG")
    yield "rgb-transparent.png", saved(small, "PNG", transparency=small.getpixel((3, 3)))
    yield "gray-transparent.png", saved(small.convert("L"), "PNG", transparency=small.convert("L").getpixel((3, 3)))
    yield "exif-6.png", saved(small, "PNG", exif=exif(6))
    w, h = small.size
    wide = (np.asarray(small).astype(">u2") * 257) ^ 0x5A
    yield "rgb-16.png", png(w, h, 16, 2, [r.astype(">u2").tobytes() for r in wide])
    wide_alpha = np.dstack([wide, np.full((h, w), 0x1234)]).astype(">u2")
    yield "rgba-16.png", png(w, h, 16, 6, [r.tobytes() for r in wide_alpha])
    yield "gray-16.png", png(w, h, 16, 0, [r.astype(">u2").tobytes() for r in wide[:, :, 1]])
    yield "gray-alpha-16.png", png(w, h, 16, 4, [r.tobytes() for r in wide_alpha[:, :, 1::2]])
    two_bits = (np.asarray(small.convert("L")) >> 6)[:, :88].reshape(h, 22, 4)
    yield "gray-2.png", png(88, h, 2, 0, list((two_bits @ [64, 16, 4, 1]).astype(np.uint8)))
    yield "interlaced.png", png(w, h, 8, 2, adam7(np.asarray(small)), interlaced=True)
    yield "interlaced-tiny.png", png(3, 2, 8, 2, adam7(np.asarray(small)[:2, :3]), interlaced=True)


def webps(astronaut, coffee, chelsea):
    small = chelsea.resize((121, 83))
    alpha = Image.radial_gradient("L").resize(small.size)
    rgba = small.copy()
    rgba.putalpha(alpha)
    yield "lossy.webp", saved(astronaut, "WEBP", quality=80)
    yield "lossy-odd.webp", saved(small, "WEBP", quality=60)
    yield "lossy-even.webp", saved(small.resize((120, 82)), "WEBP", quality=95, method=6)
    yield "lossy-alpha.webp", saved(rgba, "WEBP", quality=80)
    yield "lossless.webp", saved(small, "WEBP", lossless=True)
    yield "lossless-alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True)
    yield "lossless-palette.webp", saved(small.quantize(7).convert("RGB"), "WEBP", lossless=True)
    yield "exif-8.webp", saved(small, "WEBP", quality=80, exif=exif(8))
    for w, h in [(1, 1), (2, 1), (1, 2), (3, 3)]:
        yield f"tiny-{w}x{h}.webp", saved(small.crop((30, 30, 30 + w, 30 + h)), "WEBP", quality=90)
    turned = [small.rotate(a) for a in (0, 90, 180)]
    yield "animated.webp", saved(turned[0], "WEBP", save_all=True, append_images=turned[1:], quality=70)
    # A first frame that covers a part of the canvas only.
    frame = saved(small.crop((0, 0, 50, 41)), "WEBP", quality=80)[12:]
    place = b"".join(struct.pack("<I", v)[:3] for v in (10, 6, 49, 40, 100)) + b"\0"
    chunks = (b"VP8X" + struct.pack("<II", 10, 2) + b"".join(struct.pack("<I", v)[:3] for v in (120, 82))
              + b"ANIM" + struct.pack("<IIH", 6, 0xFF102030, 0)
              + b"ANMF" + struct.pack("<I", len(place) + len(frame)) + place + frame)
    yield "animated-offset.webp", b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def gifs(astronaut, coffee, chelsea):
    small = astronaut.resize((75, 64)).quantize(128)
    yield "plain.gif", saved(small, "GIF", interlace=0)
    yield "interlaced.gif", saved(small, "GIF", interlace=1)
    yield "transparent.gif", saved(small, "GIF", transparency=int(np.asarray(small)[10, 10]))
    turned = [small.rotate(a) for a in (0, 90, 180)]
    yield "animated.gif", saved(turned[0], "GIF", save_all=True, append_images=turned[1:])
    palette = bytes(small.getpalette()[:384])
    body = gif_pixels(np.asarray(small)[:30, :40].ravel())
    yield "offset.gif", gif((75, 64), [(b"", 9, 5, 40, 30, 0, body)], palette)
    control = b"!\xf9\x04\x01\0\0\x21\0"
    yield "offset-transparent.gif", gif((75, 64), [(control, 9, 5, 40, 30, 0, body)], palette)
    yield "offset-outside.gif", gif((20, 20), [(b"", 9, 5, 40, 30, 0, body)], palette)
    yield "local-palette.gif", gif((40, 30), [(b"", 0, 0, 40, 30, 0x86, palette[::-1] + body)], palette)
    yield "no-palette.gif", gif((40, 30), [(b"", 0, 0, 40, 30, 0, body)])
    yield "short-palette.gif", gif((40, 30), [(b"", 0, 0, 40, 30, 0, body)], palette[:96])


def pillow(body):
    """What Pillow shows, and the EXIF orientation that it applied."""
    im = Image.open(io.BytesIO(body))
    im.load()
    orientation = im.getexif().get(0x0112, 1)
    if im.mode == "I;16":  # convert("RGB") would clip; the package takes the high byte
        return Image.fromarray((np.asarray(im) >> 8).astype(np.uint8)).convert("RGB"), orientation
    return ImageOps.exif_transpose(im.convert("RGB") if im.mode != "CMYK" else im).convert("RGB"), orientation


def main(target):
    def picture(array, size):
        return Image.fromarray(array).convert("RGB").resize(size, Image.Resampling.LANCZOS)

    sources = (
        picture(data.astronaut(), (120, 120)), picture(data.coffee(), (138, 92)), picture(data.chelsea(), (137, 91)))
    (target / "pictures").mkdir(parents=True, exist_ok=True)
    for old in (target / "pictures").iterdir():
        old.unlink()
    index = []
    for kinds in (jpegs, pngs, webps, gifs):
        for name, body in kinds(*sources):
            (target / "pictures" / name).write_bytes(body)
            im, orientation = pillow(body)
            index.append({
                "name": name, "width": im.width, "height": im.height, "orientation": orientation,
                "sha256": hashlib.sha256(im.tobytes()).hexdigest(),
            })
    (target / "pictures.json").write_text("[\n" + ",\n".join(json.dumps(e) for e in index) + "\n]\n")

    cases = []
    for seed, ((w, h), (to_w, to_h)) in enumerate(SIZES):
        im = Image.frombytes("RGB", (w, h), noise(seed, 3 * w * h).tobytes())
        for name, resample in FILTERS.items():
            cases.append({
                "seed": seed, "from": [w, h], "to": [to_w, to_h], "filter": name,
                "sha256": hashlib.sha256(im.resize((to_w, to_h), resample).tobytes()).hexdigest(),
            })
    (target / "resize.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
