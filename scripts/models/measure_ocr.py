"""Measures models/ocr on pictures whose text is known, beside the package that the networks come from.

    bin/scryd --store /tmp/store --import models &
    python3 -m venv /tmp/ocr; /tmp/ocr/bin/pip install pillow==13.0.0 numpy==2.4.6 matplotlib==3.11.2 rapidocr==3.10.0 onnxruntime==1.31.1
    /tmp/ocr/bin/python scripts/models/measure_ocr.py --out /tmp/pictures

With --golden it draws models/ocr/goldens/sign.png instead, and writes models/ocr/goldens.jsonl.

The pictures are drawn (seeded): words of advertisements on plain, patterned and noisy grounds, in eight faces of DejaVu as matplotlib
ships it, at some heights and turns, saved as JPEG. Printed is the character error rate over the characters written: each line counts its
Levenshtein distance to the nearest line read, which then is used up; what is left over counts in full.
"""

import argparse
import json
import logging
import random
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

FACES = ["DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Bold",
         "DejaVuSerif-Italic", "DejaVuSansMono-Bold"]
WORDS = """the quick brown fox jumps over a lazy dog sale up to 50% off! order before 12.10.2026 and save $19.99 free shipping
worldwide customers love our new coffee special offer shop online call +1 (555) 010-2030 today SUPER MARKET limited edition buy 2 get
1 free open daily 9:00-21:00 fresh bread handmade leather shoes size 42 discount code SPRING26 terms apply best price guaranteed
summer collection premium quality made in Italy 100% cotton wash at 30 delivery within two days gift cards available""".split()
ACCENTS = "café crème brûlée naïve résumé São Paulo Zürich façade jalapeño Straße Łódź Malmö garçon déjà vu piñata Ærø smörgåsbord".split()
# Russian words that ocr_cyrillic.py has not among its own.
RUSSIAN = """скидка на всё бесплатная доставка по Москве новая коллекция лучшие цены только сегодня подарок каждому купите дешёвых яблоко груша
пальто юбка брюки куртка мебель диван ковёр посуда распродажа новинка ярмарка рассрочка щедрый мёд торт «Прага» гарантия подъезд съёмка
успейте эксклюзив стирать пекарня кофейня парикмахерская аптека букет свадьба ювелирный кольцо серёжки духи шампунь коляска
самокат ремонт квартира ипотека кредит кэшбэк розыгрыш чемпионат концерт пицца бургер 1990 ₽ 15.10.2026 +7 (495) 010-20-30
-30% №7""".split()
MIXED = ["Скидка 20% на iPhone 15", "Доставка DHL", "Распродажа Nike, Adidas", "Пицца Margherita — 549 ₽", "Кэшбэк 5% VISA", "Ремонт MacBook №1",
         "Куртка Zara: 7 990 ₽", "Новинка: Leica 2026", "Промокод SPRING26", "Кофейня Starbucks, 9:00–21:00", "Самокат Trek"]
SETS = {  # name: (words, height of a capital letter in pixels, turn in degrees)
    **{f"{height} pixels": (WORDS, height, 0) for height in (8, 10, 12, 16, 24, 48)},
    **{f"turned by {turn}°": (WORDS, 24, turn) for turn in (10, 30, 90, 180, 270)},
    "accents, 24 pixels": (ACCENTS, 24, 0),
    **{f"Russian, {height} pixels": (RUSSIAN, height, 0) for height in (10, 12, 16, 24, 48)},
    "Russian capitals, 24 pixels": ([word.upper() for word in RUSSIAN], 24, 0),
    "Russian, turned by 180°": (RUSSIAN, 24, 180),
    "Russian and Latin, 24 pixels": (MIXED, 24, 0),
}
PICTURES = 12  # of a set
SIDE = 960


def background(rng):
    color = np.array([rng.randrange(256) for _ in range(3)])
    kind = rng.randrange(3)
    ground = np.broadcast_to(color, (SIDE, SIDE, 3)).astype(float)
    if kind == 1:  # a gradient
        ground = ground + np.linspace(-40, 40, SIDE)[:, None, None]
    elif kind == 2:  # noise
        ground = ground + np.random.default_rng(rng.randrange(1 << 30)).normal(0, 18, (SIDE, SIDE, 1))
    ink = tuple(int(c) for c in (color + 128) % 256)
    return Image.fromarray(ground.clip(0, 255).astype(np.uint8)), ink


def font(folder, face, height):
    """The size at which a capital letter is so many pixels high."""
    size = height
    while True:
        f = ImageFont.truetype(str(folder / f"{face}.ttf"), size)
        box = f.getbbox("H")
        if box[3] - box[1] >= height:
            return f
        size += 1


def picture(rng, folder, words, height, turn):
    img, ink = background(rng)
    layer = Image.new("L", img.size, 0)
    draw = ImageDraw.Draw(layer)
    margin = 60 if turn % 90 == 0 else 200
    y, lines = margin, []
    while y + 2 * height < SIDE - margin and len(lines) < 10:
        f = font(folder, rng.choice(FACES), height)
        line = rng.choice(words)
        for word in rng.choices(words, k=rng.randrange(5)):
            if draw.textlength(f"{line} {word}", font=f) <= SIDE - 2 * margin:
                line = f"{line} {word}"
        draw.text((margin, y), line, font=f, fill=255)
        lines.append(line)
        y += int(2.6 * height) + 6
    img.paste(ink, mask=layer.rotate(turn, Image.Resampling.BICUBIC))
    return img, lines


def distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[:], i
        for j, y in enumerate(b, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
    return row[-1]


def errors(lines, read):
    left, sum_ = list(read), 0
    for line in lines:
        best = min(left, key=lambda other: distance(line, other), default="")
        if best in left and distance(line, best) < len(line):
            left.remove(best)
        else:
            best = ""
        sum_ += distance(line, best)
    return sum_ + sum(map(len, left))


def scry(program, files):
    done = subprocess.run([program, "image", *map(str, files), "--features", "text", "-o", "jsonl"], capture_output=True, text=True, check=True)
    answers = {r["id"]: r for r in map(json.loads, done.stdout.splitlines())}
    return [[line["text"] for line in answers[str(f)].get("text", [])] for f in files]


def rapidocr(files):
    from rapidocr import RapidOCR
    logging.disable(logging.CRITICAL)
    engine = RapidOCR()
    return [list(engine(str(f)).txts or []) for f in files]


def golden(folder, bundle):
    """A picture that tests read, and what the detector's graph answers to it."""
    from onnxruntime import InferenceSession
    img = Image.new("RGB", (480, 300), (240, 230, 200))
    draw = ImageDraw.Draw(img)
    for y, text, face, height, ink in ((20, "SALE up to 50% off!", "DejaVuSans-Bold", 26, (190, 20, 20)),
                                       (60, "Скидка 20% на iPhone 15", "DejaVuSans", 12, (10, 60, 10)),
                                       (90, "Order before 12.10.2026 and save $19.99", "DejaVuSerif", 12, (10, 10, 60))):
        draw.text((20, y), text, font=font(folder, face, height), fill=ink)
    label = Image.new("RGB", (170, 30), (10, 80, 30))
    ImageDraw.Draw(label).text((8, 3), "Crème brûlée", font=font(folder, "DejaVuSans", 14), fill="white")
    for turn, at in ((20, (260, 150)), (90, (30, 120)), (270, (90, 120)), (180, (200, 250))):
        img.paste(label.rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor=(240, 230, 200)), at)
    (bundle / "goldens").mkdir(exist_ok=True)
    img.save(bundle / "goldens/sign.png", optimize=True)
    seen = np.asarray(ImageOps.pad(img, (960, 960), Image.Resampling.BILINEAR), np.float32)[:, :, ::-1]
    image = ((seen - 127.5) / 127.5).transpose(2, 0, 1)[None]
    (overview,) = InferenceSession(bundle / "detector.onnx").run(["overview"], {"image": np.ascontiguousarray(image)})
    values = [float(f"{v:.4g}") for v in overview.ravel()]
    line = {"image": "goldens/sign.png", "outputs": {"detector.overview": {"values": values}}}
    (bundle / "goldens.jsonl").write_text(json.dumps(line, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="where the pictures go")
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--scry", default="bin/scry", help="the program; its server is asked")
    parser.add_argument("--alone", action="store_true", help="without the package")
    args = parser.parse_args()
    import matplotlib
    folder = Path(matplotlib.__file__).parent / "mpl-data/fonts/ttf"
    if args.golden:
        golden(folder, Path("models/ocr"))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    print(f"character error rate, {PICTURES} pictures a row")
    print(f"{'':28}  characters    scry  rapidocr")
    for name, (words, height, turn) in SETS.items():
        rng = random.Random(name)
        files, truths = [], []
        for k in range(PICTURES):
            img, lines = picture(rng, folder, words, height, turn)
            files.append(args.out / f"{name.replace(' ', '-')}-{k}.jpg")
            img.save(files[-1], quality=90)
            truths.append(lines)
        written = sum(len(line) for lines in truths for line in lines)

        def rate(read):
            return sum(map(errors, truths, read)) / written

        theirs = "" if args.alone else f"{rate(rapidocr(files)):9.3f}"
        print(f"{name:28}  {written:10}  {rate(scry(args.scry, files)):6.3f} {theirs}", flush=True)


if __name__ == "__main__":
    main()
