"""Measures the Python references on one thread, a round at a time, for scripts/bench: rate.py texts TOKENIZER FILE, or
rate.py images DIR.

FILE holds a JSON list of texts, DIR pictures. Each line on standard input is the seconds of a round; the answer is how many
texts or pictures a second were done.
"""

import os
import sys

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import json
import time
from pathlib import Path


def texts(tokenizer, path):
    from tokenizers import Tokenizer

    t = Tokenizer.from_file(tokenizer)
    t.no_truncation()
    t.no_padding()
    return [lambda s=s: t.encode(s).ids for s in json.loads(Path(path).read_text())]


def images(path):
    import io

    from PIL import Image, ImageOps

    def decode(data):
        ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)

    return [lambda data=p.read_bytes(): decode(data) for p in sorted(Path(path).iterdir())]


def main(kind, *arguments):
    work = {"texts": texts, "images": images}[kind](*arguments)
    print("ready", flush=True)
    for line in sys.stdin:
        seconds, done, start = float(line), 0, time.perf_counter()
        while (took := time.perf_counter() - start) < seconds:
            work[done % len(work)]()
            done += 1
        print(done / took, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
