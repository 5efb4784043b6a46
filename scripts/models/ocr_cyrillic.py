"""Trains models/ocr/cyrillic.npz: the layers that read Cyrillic letters on what PP-OCRv6 has seen of a line.

    python3 -m venv /tmp/ocr; /tmp/ocr/bin/pip install numpy==2.4.6 Pillow==13.0.0 onnx==1.23.2 onnxruntime==1.31.1 jax==0.10.2 optax==0.2.8 fonttools matplotlib
    .venv/bin/python scripts/models/ocr.py --out models/ocr
    /tmp/ocr/bin/python scripts/models/ocr_cyrillic.py --work /tmp/cyrillic

The network stays as it is. Lines are drawn here: words of Home Assistant's Russian and English translations (PyPI, Apache-2.0) and of
Django's Russian ones (BSD-3-Clause), numbers, prices, dates, addresses and random letters, in free typefaces (npm @expo-google-fonts/*:
SIL Open Font License 1.1; Roboto Slab Apache-2.0, Ubuntu under the Ubuntu Font Licence), in all sizes and colours, blurred, noisy, turned
a little, cut as the detector would, packed as JPEG; one in six stands on its head, of which nothing is to be read. What the network makes of them is kept under --work; on it a small reader is trained
with CTC (Graves et al., 2006). Six typefaces and a tenth of the words are never trained on, nor is any word that measure_ocr.py draws.

Letters that look alike in both alphabets, such as А and A, are one character here; words are spelled by what else is in them, in
imageanalysis/spelling.go. Accents of Latin letters are not learnt: the network's own alphabet has them.
"""

import argparse
import hashlib
import io
import json
import math
import multiprocessing
import os
import random
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import measure_ocr

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "setup"))
from wheels import SetupError, Wheel, fetch

MODEL = Path(__file__).resolve().parents[2] / "models/ocr"
WHEELS = [
    Wheel("homeassistant", "2026.2.3", "8167820cac4b8defe895fd2c36ac23402a445d1fe6028e8cde24caabb935282c"),
    Wheel("django", "5.2.8", "37e687f7bd73ddf043e2b6b97cfe02fcbb11f2dbb3adccc6a2b18c6daa054d7f"),
]
FONTS = """alegreya-0.4.2 amatic-sc-0.4.2 arimo-0.4.3 bitter-0.4.2 caveat-0.4.2 comfortaa-0.4.2 cormorant-0.4.2 dela-gothic-one-0.4.1
eb-garamond-0.4.3 exo-2-0.4.2 fira-code-0.4.1 fira-sans-0.4.1 geologica-0.4.2 golos-text-0.4.2 ibm-plex-sans-0.4.1 ibm-plex-serif-0.4.1
inter-0.4.2 jost-0.4.2 jura-0.4.2 literata-0.4.3 lobster-0.4.1 lora-0.4.2 m-plus-rounded-1c-0.4.4 manrope-0.4.2 marck-script-0.4.1
merriweather-0.4.2 montserrat-0.4.2 montserrat-alternates-0.4.1 noto-sans-0.4.2 noto-serif-0.4.2 nunito-0.4.2 onest-0.4.2 open-sans-0.4.2
oswald-0.4.2 pacifico-0.4.1 playfair-display-0.4.2 pt-mono-0.4.1 pt-sans-0.4.1 pt-sans-narrow-0.4.1 pt-serif-0.4.1 raleway-0.4.2
roboto-0.4.3 roboto-condensed-0.4.2 roboto-mono-0.4.2 roboto-slab-0.4.2 rubik-0.4.2 rubik-mono-one-0.4.1 russo-one-0.4.1
shantell-sans-0.4.1 source-sans-3-0.4.1 source-serif-4-0.4.1 spectral-0.4.1 tenor-sans-0.4.1 ubuntu-0.4.1 unbounded-0.4.1""".split()
FONTS_SHA256 = "35701720b9967c14415645867059515d164af29eea25f737b547ee6b505b74bd"  # of their packages' digests
HELD_OUT = ("Arimo", "Comfortaa", "Lora", "PTSerif", "RobotoSlab", "Rubik_")
FANCY = ("AmaticSC", "Caveat", "DelaGothicOne", "Lobster", "MarckScript", "Pacifico", "RubikMonoOne", "RussoOne", "ShantellSans", "Unbounded")
ONLY_CAPITALS = ("AmaticSC", "RubikMonoOne")

LOWER = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
RUSSIAN = LOWER + LOWER.upper()
LATIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
ALIKE = dict(zip("ABCEHKMOPTXaceopxy", "АВСЕНКМОРТХасеорху"))  # as in imageanalysis/spelling.go
SIGNS = "0123456789.,!?:;-–—()[]«»“”„\"'’/\\%№₽$€£@#&*+=<>_|°•…©®™×~ "
ALPHABET = RUSSIAN + "".join(c for c in LATIN if c not in ALIKE) + SIGNS
NUMBER_OF = {c: k for k, c in enumerate(ALPHABET, 1)}
NUMBER_OF |= {a: NUMBER_OF[b] for a, b in ALIKE.items()}
ACCENTED = dict(zip("aceinouyszAEOUCl", ["àáâãäåă", "çćč", "èéêëę", "ìíîï", "ñń", "òóôõöø", "ùúûü", "ý", "š", "žźż", "ÀÁÂÄÅ", "ÉÈ", "ÖØÓ", "ÜÚ", "ÇČ", "ł"]))

SEEN = ["p2o.pd_op.transpose.8.0", "p2o.pd_op.pool2d.1.0"]  # as in ocr.py
WIDTH, ALONG = 88, 5
LINES, SHARDS, TURNED, MEASURED = 2000, 5, 2, 1500
EPOCHS, BATCH, RATE = 8, 64, 3e-3


# Sources.

def fetch_all(work):
    for wheel in WHEELS:
        if not list(work.glob(f"{wheel.name}-*.whl")):
            # pip refuses packages for newer Pythons, also to those that only unpack them.
            os.environ["PIP_IGNORE_REQUIRES_PYTHON"] = "1"
            fetch(wheel, work)
    packed = [work / f"expo-google-fonts-{name}.tgz" for name in FONTS]
    for path in packed:
        if not path.is_file():
            package = re.sub(r"-(?=\d+\.\d+\.\d+$)", "@", path.stem.removeprefix("expo-google-fonts-"))
            subprocess.run(["npm", "pack", "--silent", f"@expo-google-fonts/{package}"], cwd=work, stdout=subprocess.DEVNULL, check=True)
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in packed)).hexdigest()
    if digest != FONTS_SHA256:
        raise SetupError(f"the typefaces have sha256 {digest}, pinned is {FONTS_SHA256}")
    (work / "fonts").mkdir(exist_ok=True)
    for path in packed:
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".ttf") and not re.search("_[12]00", member.name):
                    (work / "fonts" / Path(member.name).name).write_bytes(tar.extractfile(member).read())


def typefaces(work, held_out):
    """The files of each typeface, but for the thinnest."""
    out = {}
    for path in sorted((work / "fonts").glob("*.ttf")):
        if path.name.startswith(HELD_OUT) == held_out:
            out.setdefault(path.name.split("_")[0], []).append(path)
    return out


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)


def words(work, held_out):
    """Russian and English words."""
    seen = {"ru": set(), "en": set()}
    with zipfile.ZipFile(next(work.glob("homeassistant-*.whl"))) as wheel:
        for name in wheel.namelist():
            if match := re.search(r"translations/(ru|en)\.json$", name):
                for text in strings(json.loads(wheel.read(name))):
                    seen[match[1]].update(re.findall("[а-яё]+" if match[1] == "ru" else "[a-z]+", text.lower()))
    with zipfile.ZipFile(next(work.glob("django-*.whl"))) as wheel:
        for name in wheel.namelist():
            if re.search(r"locale/ru/.*\.po$", name):
                seen["ru"].update(re.findall("[а-яё]+", wheel.read(name).decode().lower()))
    measured = set(re.findall(r"\w+", " ".join(word for drawn, *_ in measure_ocr.SETS.values() for word in drawn).lower()))
    return tuple(sorted(w for w in seen[code] - measured if len(w) < most and (hashlib.sha256(w.encode()).digest()[0] < 26) == held_out)
                 for code, most in (("ru", 99), ("en", 16)))


# What is written.

def number(rng):
    def n(digits):
        return "".join(rng.choice("0123456789") for _ in range(digits))

    kind = rng.randrange(11)
    if kind == 0:
        return n(rng.randint(1, 6))
    if kind == 1:
        return f"{rng.randint(1, 999)} {n(3)} ₽" if rng.random() < 0.5 else f"{n(rng.randint(2, 4))} руб."
    if kind == 2:
        return f"{rng.randint(1, 31):02}.{rng.randint(1, 12):02}.20{n(2)}"
    if kind == 3:
        return f"{rng.choice(['+7', '8'])} ({n(3)}) {n(3)}-{n(2)}-{n(2)}"
    if kind == 4:
        return f"-{rng.randint(1, 99)}%" if rng.random() < 0.5 else f"{rng.randint(1, 100)}%"
    if kind == 5:
        return f"{rng.randint(0, 23)}:{n(2)}" + (f"–{rng.randint(0, 23)}:{n(2)}" if rng.random() < 0.5 else "")
    if kind == 6:
        return f"№ {n(rng.randint(1, 4))}" if rng.random() < 0.5 else f"№{n(rng.randint(1, 4))}"
    if kind == 7:
        return f"{rng.choice('$€£')}{rng.randint(1, 999)}" + (f".{n(2)}" if rng.random() < 0.5 else "")
    if kind == 8:
        return f"{rng.randint(1, 99)},{n(rng.randint(1, 2))} {rng.choice(['кг', 'г', 'л', 'мл', 'м', 'см', 'мм', 'км', 'шт.', '°C'])}"
    if kind == 9:
        return f"{rng.randint(2, 99)}×{rng.randint(2, 99)}"
    return rng.choice(["©", "®", "•", "*", "#"]) + n(rng.randint(1, 4))


def address(rng, english):
    def w():
        return rng.choice(english)

    return rng.choice([lambda: f"www.{w()}.ru", lambda: f"{w()}-{w()}.com", lambda: f"https://{w()}.ru/{w()}",
                       lambda: f"{w()}@{w()}.ru", lambda: f"@{w()}_{w()}", lambda: f"#{w()}"])()


def cased(word, mode):
    return (word, word.capitalize(), word.upper())[mode]


def line(rng, russian, english):
    """What is written, and what is to be read."""
    kind = rng.random()
    mode = rng.choices((0, 1, 2), (5, 3, 3))[0]
    if kind < 0.06:  # letters that are rare in words
        letters = rng.choice([RUSSIAN, RUSSIAN, LATIN, LOWER, LOWER.upper(), LOWER.upper()])
        letters += "ёЁъЪщЩэЭфФцЦ" if letters[0] in RUSSIAN else ""
        text = " ".join("".join(rng.choice(letters) for _ in range(rng.randint(1, 8))) for _ in range(rng.randint(1, 4)))
        return text, text
    if kind < 0.14:
        text = " ".join(number(rng) if rng.random() < 0.7 else address(rng, english) for _ in range(rng.randint(1, 3)))
        return text, text
    if kind < 0.30:
        read = [cased(rng.choice(english), mode) for _ in range(rng.randint(1, 6))]
        if mode == 1 and rng.random() < 0.5:
            read = [read[0], *map(str.lower, read[1:])]
        written = list(read)
        if rng.random() < 0.25:
            written = ["".join(rng.choice(ACCENTED[c]) if c in ACCENTED and rng.random() < 0.3 else c for c in w) for w in read]
        if rng.random() < 0.3:
            price = number(rng)
            price = "24" if re.search("[а-я]", price) else price
            written.append(price)
            read.append(price)
        return " ".join(written), " ".join(read)
    out = [cased(rng.choice(russian), mode) for _ in range(rng.choice((1, 1, 2, 2, 3, 3, 4, 5)))]
    if mode == 1 and rng.random() < 0.6:
        out = [out[0], *map(str.lower, out[1:])]
    for _ in range(2):
        if rng.random() < 0.22:
            out.insert(rng.randint(0, len(out)), number(rng))
    if rng.random() < 0.15:
        out.insert(rng.randint(0, len(out)), cased(rng.choice(english), rng.choice((0, 1, 2))))
    for k, word in enumerate(out):
        sign = rng.random()
        if sign < 0.05:
            out[k] = f"{word},"
        elif sign < 0.07:
            out[k] = f"«{word}»"
        elif sign < 0.08:
            out[k] = f"({word})"
        elif sign < 0.09:
            out[k] = f'"{word}"'
        elif sign < 0.10:
            out[k] = f"{word}:"
        elif sign < 0.12:
            out[k] = f"{word}-{rng.choice(russian)}"
        elif sign < 0.13:
            out[k] = f"{word} —"
        elif sign < 0.14:
            out[k] = f"{word}/{rng.choice(russian)}"
        elif sign < 0.145:
            out[k] = word + rng.choice([";", " +", " =", " |", " •", " &", " –", "*"])
    text = " ".join(out) + rng.choices(("", "!", ".", "?", "…", "!!!"), (12, 2, 3, 1, 0.5, 0.3))[0]
    return text, text


# How it looks.

def ground(rng, noise, w, h):
    """A ground of w × h pixels, and an ink that is seen on it."""
    color = np.array([rng.randrange(256) for _ in range(3)], float)
    if rng.random() < 0.35:
        color = np.full(3, rng.choice((255, 250, 240, 20, 0)), float)
    out = np.broadcast_to(color, (h, w, 3)).copy()
    kind = rng.random()
    if kind < 0.2:
        out += np.linspace(-1, 1, w)[None, :, None] * rng.uniform(-50, 50)
    elif kind < 0.3:
        out += np.linspace(-1, 1, h)[:, None, None] * rng.uniform(-50, 50)
    elif kind < 0.5:
        out += noise.normal(0, rng.uniform(2, 22), (h, w, 1))
    elif kind < 0.7:  # clouds
        size, spread, channels = rng.choice((4, 8, 16)), rng.uniform(5, 45), 3 if rng.random() < 0.5 else 1
        clouds = noise.normal(0, spread, (h // size + 2, w // size + 2, channels)).astype(np.float32)
        out += np.stack([np.asarray(Image.fromarray(clouds[:, :, c % channels]).resize((w, h), Image.Resampling.BICUBIC)) for c in range(3)], 2)
    while True:
        colorful = rng.random() < 0.6
        ink = tuple(rng.randrange(256) for _ in range(3)) if colorful else rng.choice([(0, 0, 0), (255, 255, 255), (30, 30, 30), (200, 20, 20)])
        if abs(sum(ink) / 3 - color.mean()) > (80 if kind < 0.7 else 55):
            return Image.fromarray(out.clip(0, 255).astype(np.uint8)), ink


def draw(rng, noise, path, text):
    """The line as it is cut from a picture, 48 pixels high; None for one that is too small or too long."""
    capital = math.exp(rng.uniform(math.log(7.5), math.log(52)))
    font = ImageFont.truetype(str(path), max(8, round(capital / 0.7)))
    x0, y0, x1, y1 = font.getbbox(text)
    if rng.random() < 0.3:  # room for what reaches up and down, whether it is written or not
        _, y0, _, y1 = font.getbbox("Ёру")
    w, h = x1 - x0, y1 - y0
    if w < 4 or h < 4 or w / h > 28:
        return None
    margin = int(h * 0.8) + 4
    img, ink = ground(rng, noise, w + 2 * margin, h + 2 * margin)
    at, pen = (margin - x0, margin - y0), ImageDraw.Draw(img)
    if rng.random() < 0.06:  # a shadow
        shade, off = tuple(rng.randrange(256) for _ in range(3)), max(1, round(capital / 16))
        pen.text((at[0] + off, at[1] + off), text, font=font, fill=shade)
    stroke = max(1, round(capital / 18)) if rng.random() < 0.04 else 0
    pen.text(at, text, font=font, fill=ink, stroke_width=stroke, stroke_fill=tuple(255 - c for c in ink))
    if rng.random() < 0.25 and capital > 10:
        img = img.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, min(1.6, capital / 16))))
    if rng.random() < 0.15:
        img = Image.fromarray((np.asarray(img, float) + noise.normal(0, rng.uniform(2, 14), (*img.size[::-1], 3))).clip(0, 255).astype(np.uint8))
    if rng.random() < 0.7:
        packed = io.BytesIO()
        img.save(packed, "JPEG", quality=rng.randint(45, 95))
        img = Image.open(packed).convert("RGB")
    top, bottom = (margin - rng.uniform(-0.05, 0.38) * h, margin + h + rng.uniform(-0.05, 0.38) * h)
    left, right = (margin - rng.uniform(-0.02, 0.5) * h, margin + w + rng.uniform(-0.02, 0.5) * h)
    drop = math.radians(rng.gauss(0, 0.8)) * (right - left) / 2 if rng.random() < 0.6 else 0  # of the rectangle's end
    drop = max(-0.12 * h, min(0.12 * h, drop))
    w, h = max(1, round(right - left)), max(1, round(bottom - top))
    img = img.transform((w, h), Image.Transform.AFFINE, (1, 0, left, 2 * drop / w, 1, top - drop), Image.Resampling.BILINEAR)
    length = math.ceil(48 * w / h)
    return np.asarray(img.resize((length, 48), Image.Resampling.BILINEAR)) if length <= 1280 else None


# What the network sees.

def network():
    import onnx
    import onnxruntime
    model = onnx.load(MODEL / "recognizer.onnx")
    kept, needed = [], set(SEEN)
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(reversed(kept))
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in SEEN)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def seen(session, lines):
    """float16 [steps, 504] of each line, of a few steps after its end, too."""
    out, widths = [None] * len(lines), {}
    for k, img in enumerate(lines):
        widths.setdefault(-(-img.shape[1] // 320) * 320, []).append(k)
    for width, of in widths.items():
        for at in range(0, len(of), 8):
            part = of[at:at + 8]
            x = np.full((len(part), 48, width, 3), 128, np.uint8)
            for i, k in enumerate(part):
                x[i, :, :lines[k].shape[1]] = lines[k]
            image = ((x[..., ::-1].astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)
            after, before = session.run(None, {"image": np.ascontiguousarray(image)})
            both = np.concatenate([after, before[:, :, 0].transpose(0, 2, 1)], 2).astype(np.float16)
            for i, k in enumerate(part):
                out[k] = both[i, :-(-lines[k].shape[1] // 8) + 3]
    return out


def shard(args):
    """Draws lines and keeps what the network sees of them, and what they say: nothing where they stand on their heads."""
    from fontTools.ttLib import TTFont
    work, seed, count, held_out, turned, path = args
    if path.exists():
        return path
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    russian, english = words(work, held_out)
    faces = typefaces(work, held_out)
    names = sorted(faces)
    often = [0.3 if name.startswith(FANCY) else 1 for name in names]
    has, session = {}, network()
    features, labels = [], []
    while len(features) < count:
        lines = []
        while len(lines) < min(256, count - len(features)):
            face = rng.choice(faces[rng.choices(names, often)[0]])
            if face not in has:
                has[face] = set(TTFont(face, lazy=True).getBestCmap())
            written, read = line(rng, russian, english)
            if any(ord(c) not in has[face] for c in written):
                continue
            if face.name.startswith(ONLY_CAPITALS):
                written, read = written.upper(), read.upper()
            if any(c not in NUMBER_OF for c in read):
                continue
            img, label = draw(rng, noise, face, written), [NUMBER_OF[c] for c in read]
            if img is None or -(-img.shape[1] // 8) < len(label) + sum(a == b for a, b in zip(label, label[1:])):
                continue
            lines.append(np.ascontiguousarray(img[::-1, ::-1]) if turned else img)
            labels.append([] if turned else label)
        features += seen(session, lines)
    np.savez(path, f=np.concatenate(features), n=[len(f) for f in features], l=np.concatenate(labels).astype(int), ln=[len(l) for l in labels])
    return path


def load(paths):
    out = []
    for path in paths:
        with np.load(path) as z:
            out += zip(np.split(z["f"], np.cumsum(z["n"])[:-1]), np.split(z["l"], np.cumsum(z["ln"])[:-1]))
    return out


# Training.

def batches(data, rng):
    """Batches of lines of about one length: features, what of them is filling, labels, what of them is filling."""
    groups = {}
    for k in rng.permutation(len(data)):
        groups.setdefault(-(-len(data[k][0]) // 32) * 32, []).append(k)
    longest = {steps: max(1, *(len(data[k][1]) for k in of)) for steps, of in groups.items()}
    parts = [(steps, of[at:at + BATCH]) for steps, of in groups.items() for at in range(0, len(of), BATCH)]
    rng.shuffle(parts)
    for steps, of in parts:
        x, y = np.zeros((BATCH, steps, 504), np.float16), np.zeros((BATCH, longest[steps]), np.int32)
        no_x, no_y = np.ones(x.shape[:2], np.float32), np.ones(y.shape, np.float32)
        for i, k in enumerate(of):
            f, label = data[k]
            x[i, :len(f)], y[i, :len(label)] = f, label
            no_x[i, :len(f)], no_y[i, :len(label)] = 0, 0
        yield x, no_x, y, no_y


def apply(p, x):
    import jax
    x = jax.nn.swish(x @ p["in"].T + p["in_bias"])
    x = jax.nn.swish(x + jax.lax.conv_general_dilated(x, p["along"], (1,), "SAME", dimension_numbers=("NWC", "OIW", "NWC")) + p["along_bias"])
    return x @ p["out"].T + p["out_bias"]


def error_rate(logits, data):
    """Character error rate of best paths."""
    wrong = 0
    for f, label in data:
        x = np.zeros((-(-len(f) // 32) * 32, 504), np.float32)
        x[:len(f)] = f
        path = np.asarray(logits(x[None])[0].argmax(-1))[:len(f)]
        wrong += measure_ocr.distance(list(label), [c for c, before in zip(path, [0, *path]) if c and c != before])
    return wrong / sum(len(label) for _, label in data)


def train(data, measured):
    import jax
    import jax.numpy as jnp
    import optax
    sample = np.concatenate([f for f, _ in data[::20]]).astype(np.float32)
    mean, deviation = sample.mean(0), sample.std(0) + 0.01
    keys = jax.random.split(jax.random.PRNGKey(0), 3)

    def weights(key, *shape):
        return jax.random.normal(key, shape) * math.prod(shape[1:]) ** -0.5

    p = {"in": weights(keys[0], WIDTH, 504), "in_bias": jnp.zeros(WIDTH), "along": weights(keys[1], WIDTH, WIDTH, ALONG) * 0.5, "along_bias": jnp.zeros(WIDTH),
         "out": weights(keys[2], len(ALPHABET) + 1, WIDTH) * 0.3, "out_bias": jnp.zeros(len(ALPHABET) + 1)}
    rng = np.random.default_rng(0)
    steps = EPOCHS * sum(1 for _ in batches(data, np.random.default_rng(0)))
    adam = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax.warmup_cosine_decay_schedule(0, RATE, 100, steps), weight_decay=1e-3))
    state = adam.init(p)

    def loss(p, x, no_x, y, no_y):
        return optax.ctc_loss(apply(p, (x.astype(jnp.float32) - mean) / deviation), no_x, y, no_y).sum() / (1 - no_y).sum()

    @jax.jit
    def step(p, state, batch):
        value, gradient = jax.value_and_grad(loss)(p, *batch)
        update, state = adam.update(gradient, state, p)
        return optax.apply_updates(p, update), state, value

    def final(p):
        """The weights as they are kept: on features as they are, in 16 bits."""
        p = {name: np.asarray(value) for name, value in p.items()}
        p["in"] = p["in"] / deviation
        p["in_bias"] = p["in_bias"] - p["in"] @ mean
        return {name: value.astype(np.float16) for name, value in p.items()}

    logits = jax.jit(apply)
    for epoch in range(EPOCHS):
        losses = []
        for batch in batches(data, rng):
            p, state, value = step(p, state, batch)
            losses.append(value)
        kept = final(p)
        as_read = {name: value.astype(np.float32) for name, value in kept.items()}
        rate = error_rate(lambda x: logits(as_read, x), measured)
        print(f"epoch {epoch}: loss {np.mean(losses):.4f}, held-out character error rate {rate:.4f}", flush=True)
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="where packages and what the network sees are kept")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    fetch_all(args.work)
    measured = args.work / "measured.npz"
    drawn = [args.work / f"lines-{k:03}.npz" for k in range(SHARDS)]
    turned = [args.work / f"turned-{k:03}.npz" for k in range(TURNED)]
    jobs = [(args.work, 7, MEASURED, True, False, measured),
            *((args.work, 1000 + k, LINES, False, False, path) for k, path in enumerate(drawn)),
            *((args.work, 2000 + k, LINES // 2, False, True, path) for k, path in enumerate(turned))]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for path in pool.imap_unordered(shard, jobs):
            print(path, flush=True)
    head = train(load([*drawn, *turned]), load([measured]))
    np.savez(MODEL / "cyrillic.npz", characters=np.frombuffer(ALPHABET.encode(), np.uint8), **head)


if __name__ == "__main__":
    try:
        main()
    except SetupError as problem:
        sys.exit(f"setup: {problem}")
