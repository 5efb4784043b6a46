"""Write what the Python package `tokenizers` answers, for the tests of package tokenizer.

    pip install tokenizers==0.23.3 && python scripts/tokenizer/expectations.py [--e5 TOKENIZER_JSON]
    pip install tokenizers==0.22.2 && python scripts/tokenizer/expectations.py [--e5 TOKENIZER_JSON]

Version 0.22.2 answers for truncation, where 0.23 differs for pairs and loses windows; 0.23.3 for all the rest. Each
answer is kept as a CRC-32. To see an answer in full:

    python scripts/tokenizer/expectations.py --show minilm 'some text' ['second text']
"""

import argparse
import base64
import gzip
import json
import pathlib
import random
import struct
import sys
import zlib

import tokenizers
from tokenizers import Tokenizer

from components import components
from hard_strings import SEED, hard_strings

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tokenizer" / "testdata"
NAMES = ["minilm", "rubert", "bpe", "bpe3", "xlmr", "e5"]
MAIN, TRUNCATION = "0.23.3", "0.22.2"


def encode_bytes(e):
    n = len(e.ids)
    numbers = [*e.ids, *e.type_ids, *e.attention_mask, *e.special_tokens_mask]
    for start, end in e.offsets:
        numbers += (start, end)
    numbers += [-1 if w is None else w for w in e.word_ids]
    return struct.pack(f"<{7 * n}i", *numbers) + "\0".join(e.tokens).encode()


def checksum(e, crc=0):
    return zlib.crc32(encode_bytes(e), crc)


def with_windows(e):
    crc = checksum(e)
    for window in e.overflowing:
        crc = checksum(window, crc)
    return crc


def packed(sums):
    return base64.b64encode(struct.pack(f"<{len(sums)}I", *sums)).decode()


def attempt(f):
    """The checksum that f gives, 0 where the reference fails (a Rust panic is not an Exception)."""
    try:
        return f() or 1
    except BaseException as fault:
        if isinstance(fault, KeyboardInterrupt):
            raise
        return 0


def blocks():
    """The code points in blocks of 256, without surrogates."""
    for first in range(0, 0x110000, 256):
        if not 0xD800 <= first < 0xE000:
            yield [chr(c) for c in range(first, first + 256)]


def sweep(t):
    """One checksum a block: each code point alone, and in two contexts where characters are or may be assigned."""
    sums = []
    for block in blocks():
        crc, contexts = 0, ord(block[0]) < 0x40000 or ord(block[0]) >> 16 == 0xE
        for c in block:
            crc = checksum(t.encode(c), crc)
            if contexts:
                crc = checksum(t.encode(f"a{c}b"), crc)
                crc = checksum(t.encode(f"и {c}\u0301 1"), crc)
        sums.append(crc)
    return sums


def decoding(t, lists):
    return [zlib.crc32(t.decode(ids, skip_special_tokens=skip).encode()) for ids in lists for skip in (False, True)]


def random_ids(size, count):
    """Lists of ids, now and then of one that is not in a vocabulary of this size."""
    r = random.Random(SEED)
    return [[r.randrange(size + size // 50) for _ in range(r.randint(0, 12))] for _ in range(count)]


PADDINGS = [
    dict(length=24), dict(length=24, direction="left"), dict(pad_to_multiple_of=8), dict(length=20, pad_to_multiple_of=16),
    dict(direction="left", pad_id=1, pad_type_id=1, pad_token="<p>"),
]


def padding(t, strings):
    sums = []
    for params in PADDINGS:
        t.enable_padding(**params)
        for i in range(0, 240, 3):
            crc = 0
            for e in t.encode_batch(strings[i * 31 % 8000 :][:3]):
                crc = checksum(e, crc)
            sums.append(crc)
    t.no_padding()
    return sums


LENGTHS = [(8, 0), (8, 2), (5, 1), (16, 4), (9, 3), (64, 7), (4, 0), (128, 0)]


def truncation(t, strings):
    sums = []
    for length, stride in LENGTHS:
        for strategy in ("longest_first", "only_first", "only_second"):
            for direction in ("right", "left"):
                t.enable_truncation(length, stride=stride, strategy=strategy, direction=direction)
                for i in range(24):
                    a, b = strings[(i * 211 + 1000) % len(strings)], strings[(i * 337 + 2000) % len(strings)]
                    sums.append(attempt(lambda: with_windows(t.encode(a))))
                    sums.append(attempt(lambda: with_windows(t.encode(a, b))))
                    sums.append(attempt(lambda: with_windows(t.encode(a, b, add_special_tokens=False))))
    t.no_truncation()
    return sums


def load(name, e5):
    if name == "e5":
        return Tokenizer.from_file(str(e5))
    return Tokenizer.from_buffer(gzip.decompress((DATA / f"{name}.json.gz").read_bytes()))


def write(name, content):
    raw = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    path = DATA / f"{name}.gz"
    path.write_bytes(gzip.compress(raw, 9, mtime=0))
    print(f"{path.name}: {path.stat().st_size} bytes", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--e5", default=ROOT / "models" / "sentiment" / "tokenizer.json")
    parser.add_argument("--show", nargs="+", metavar=("TOKENIZER", "TEXT"))
    parser.add_argument("--only", help="write only what belongs to this tokenizer, or 'components'")
    args = parser.parse_args()
    if args.show:
        t = load(args.show[0], args.e5)
        t.no_truncation()
        t.no_padding()
        e = t.encode(*args.show[1:])
        for row in zip(e.ids, e.type_ids, e.special_tokens_mask, e.tokens, e.offsets, e.word_ids):
            print(*row, sep="\t")
        return
    strings = hard_strings()
    version = tokenizers.__version__
    assert version in (MAIN, TRUNCATION), f"needs tokenizers {MAIN} or {TRUNCATION}, this is {version}"
    for name in NAMES:
        if args.only and args.only != name:
            continue
        t = load(name, args.e5)
        t.no_truncation()
        t.no_padding()
        if version == TRUNCATION:
            write(f"{name}.truncation", {"version": version, "sums": packed(truncation(t, strings))})
            continue
        ids = random_ids(t.get_vocab_size(), 500)
        write(f"{name}.expect", {
            "version": version,
            "size": t.get_vocab_size(),
            "hard": packed([checksum(t.encode(s)) for s in strings]),
            "pairs": packed([checksum(t.encode(a, b)) for a, b in zip(strings[::5], strings[7::5])]),
            "plain": packed([checksum(t.encode(a, b, add_special_tokens=False)) for a, b in zip(strings[::9], strings[5::9])]),
            "decode": packed(decoding(t, [t.encode(s).ids for s in strings[::3]])),
            "ids": ids,
            "random": packed(decoding(t, ids)),
            "padding": packed(padding(t, strings)),
            "sweep": packed(sweep(t)),
            "coarse": packed(coarse_sweep(t)),
        })
    if version == MAIN and args.only in (None, "components"):
        write("hard.json", strings)
        write("components.json", [
            {"name": name, "tokenizer": file, **component_sums(name, file, strings[i % SHARE :: SHARE])}
            for i, (name, file) in enumerate(components())
        ])


SHARE = 11  # each component gets every 11th string, the next one those after

# Components that have tables of characters, and so are asked about every code point.
SWEPT = [
    *(f"normalizer: {n}" for n in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "bert all", "bert cased", "precompiled")),
    *(f"pre-tokenizer: {p}" for p in ("bert", "whitespace", "whitespace split", "digits", "byte level", "classes", "gpt-4o", "cl100k", "han")),
]


def coarse_sweep(t):
    """One checksum for 16 blocks; the code points of a block in one text, each between a letter and a blank."""
    sums = []
    for i, block in enumerate(blocks()):
        if i % 16 == 0:
            sums.append(0)
        sums[-1] = checksum(t.encode("".join(f"a{c} " for c in block)), sums[-1])
    return sums


def component_sums(name, file, strings):
    t = Tokenizer.from_str(json.dumps(file))
    size = t.get_vocab_size()
    ids = random_ids(size, 60) if file["decoder"] else []
    return {
        "size": size,
        "hard": packed([attempt(lambda: checksum(t.encode(s))) for s in strings]),
        "pairs": packed([attempt(lambda: checksum(t.encode(a, b))) for a, b in zip(strings[::10], strings[3::10])]),
        "ids": ids,
        "decode": packed(decoding(t, ids)),
        "sweep": packed(coarse_sweep(t) if name in SWEPT else []),
    }


if __name__ == "__main__":
    main()
