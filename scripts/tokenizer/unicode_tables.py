"""Write tokenizer/unicode.txt.gz: the character tables of the Python package `tokenizers`, found by asking it.

    pip install tokenizers==0.23.3
    python scripts/tokenizer/unicode_tables.py

The Rust crates behind `tokenizers` carry Unicode tables of several ages (general categories of 2016 beside a recent
grapheme table), and token ids depend on each of them. So every code point is put through the public components and
the answer is written down. Lines of the file, numbers in hexadecimal:

    P first mask          properties from this code point on, until the next P line (bits: see MASK below)
    M kind code replacement...   kind: l = lower case, d = canonical decomposition, k = compatibility decomposition
    C class first last    canonical combining class of a range
    X first second code   primary composition
"""

import gzip
import io
import pathlib
import sys
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

VERSION = "0.23.3"
OUT = pathlib.Path(__file__).resolve().parents[2] / "tokenizer" / "unicode.txt.gz"
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]

# Bits 0-4 hold the general category as the regular expressions know it: 1 + its place in this list.
CATEGORIES = (
    "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn".split()
)
MASK = {
    "white": 1 << 5,  # Rust char::is_whitespace
    "control": 1 << 6,  # dropped by BertNormalizer's clean_text
    "punctuation": 1 << 7,  # BertPreTokenizer, Punctuation
    "nonspacing": 1 << 8,  # dropped by BertNormalizer's strip_accents
    "mark": 1 << 9,  # dropped by StripAccents
    "numeric": 1 << 10,  # Digits
    "word": 1 << 11,  # \w of the Whitespace pre-tokenizer and of added tokens
    "regex_space": 1 << 12,
    "regex_word": 1 << 13,
    "regex_digit": 1 << 14,
    "regex_han": 1 << 15,
    "pictographic": 1 << 22,
    "regex_class_word": 1 << 23,  # \w inside a bracketed class: Oniguruma leaves six characters out there
}
# Bits 16-19: grapheme class. Bits 20-21: Indic conjunct class.
OTHER, CR, LF, CONTROL, EXTEND, ZWJ, SPACING, PREPEND, L, V, T, LV, LVT = range(13)
CONSONANT, LINKER, CONJUNCT_EXTEND = 1, 2, 3


def removed(pre_tokenizer, text):
    """The code points of text that a pre-tokenizer with behaviour "removed" takes out."""
    gone = set(map(ord, text))
    for piece, _ in pre_tokenizer.pre_tokenize_str(text):
        gone.difference_update(map(ord, piece))
    return gone


def by_regex(pattern, text):
    return removed(pre_tokenizers.Split(Regex(pattern), "removed"), text)


def charsmap(keys, replacement="X"):
    """A SentencePiece charsmap (a darts double array) that maps each of keys to replacement."""
    nodes, units = {b"": 0}, {}
    for key in keys:
        raw = key.encode()
        for n in range(1, len(raw) + 1):
            nodes.setdefault(raw[:n], len(nodes))
    size = 256 * (len(nodes) + 1)
    array = [0] * size
    base = lambda prefix: 256 * (nodes[prefix] + 1)
    array[0] = base(b"") << 10
    for prefix in nodes:
        if not prefix:
            continue
        at = base(prefix[:-1]) ^ prefix[-1]
        leaf = prefix.decode("utf-8", "ignore") in keys and prefix in [k.encode() for k in keys]
        array[at] = prefix[-1] | leaf << 8 | (at ^ base(prefix)) << 10
        if leaf:
            array[base(prefix)] = 1 << 31  # value 0: the offset of the replacement
    out = (4 * size).to_bytes(4, "little")
    out += b"".join(u.to_bytes(4, "little") for u in array)
    return normalizers.Precompiled(out + replacement.encode() + b"\0")


def grapheme_classes():
    """Grapheme class and pictographic flag of every code point, as far as they can change a normalised text.

    Precompiled looks a grapheme of fewer than 6 bytes up as a whole, by its shortest known prefix, and a longer one
    character by character. With a map that knows `base` only, base + ACUTE alone becomes "X", but keeps the accent
    when something before base belongs to the same grapheme. Regional indicators (4 bytes each) cannot matter.
    """
    acute, zwj, pict, vowel, final, ka, virama = "\u0301\u200d\u00ae\u1161\u11a8\u0915\u094d"
    after_a = charsmap(["a"])
    tail = {b: charsmap([b]) for b in ("a", pict, vowel, final, ka)}
    accents = charsmap([acute])

    def joins(before, base):
        return tail[base].normalize_str(before + base + acute).endswith(acute)

    grapheme, conjunct, pictographic = {}, {}, set()
    for code in CODES:
        c = chr(code)
        if accents.normalize_str(c + acute + "\u0302").endswith("X"):
            grapheme[code] = {0x0D: CR, 0x0A: LF}.get(code, CONTROL)
            continue
        if c != "a" and after_a.normalize_str("a" + c) == "X":
            if c == zwj:
                grapheme[code] = ZWJ
            else:
                grapheme[code] = EXTEND if joins("\u00a9" + c + zwj, pict) else SPACING
        elif joins(c, "a"):
            grapheme[code] = PREPEND
        elif joins(c, final):
            if 0xAC00 <= code <= 0xD7A3:
                grapheme[code] = LV if joins(c, vowel) else LVT
            else:
                grapheme[code] = V if joins(c, vowel) else T
        elif joins(c, vowel):
            grapheme[code] = L
        if joins(c + zwj, pict):
            pictographic.add(code)
        if joins(c + virama, ka) and grapheme.get(code) != PREPEND:
            conjunct[code] = CONSONANT
        if grapheme.get(code) in (EXTEND, ZWJ, SPACING):
            if joins(ka + c, ka):
                conjunct[code] = LINKER
            elif joins(ka + c + virama, ka):
                conjunct[code] = CONJUNCT_EXTEND
    return grapheme, conjunct, pictographic


def combining_classes(nfd):
    """Canonical combining classes: which of two marks NFD puts first tells their order."""
    sort = lambda a, b: nfd.normalize_str("a" + chr(a) + chr(b)) != "a" + chr(a) + chr(b)
    plain = [c for c in CODES if nfd.normalize_str(chr(c)) == chr(c)]
    # One known mark per class, from Python's own table; the probes below tell whether a code point has that class.
    known = {}
    for c in plain:
        k = unicodedata.combining(chr(c))
        if k and (sort(0x0345, c) or c == 0x0345):
            known.setdefault(k, c)
    order = sorted(known)
    classes = {0x0345: 240}
    for c in plain:
        if not sort(0x0345, c):
            continue
        # The first class whose mark is not put before c is c's own: equal classes keep their order.
        own = next(k for k in order if not sort(c, known[k]))
        assert not sort(known[own], c), hex(c)
        classes[c] = own
    return classes


def main():
    assert tokenizers.__version__ == VERSION, f"needs tokenizers {VERSION}, this is {tokenizers.__version__}"
    text = "".join(map(chr, CODES))
    mask = dict.fromkeys(CODES, 0)
    for i, category in enumerate(CATEGORIES, 1):
        for c in by_regex(rf"\p{{{category}}}", text):
            assert mask[c] == 0, hex(c)
            mask[c] = i
    assert all(mask.values())

    bert = lambda **on: normalizers.BertNormalizer(
        **{"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False, **on}
    )
    clean, strip, marks = bert(clean_text=True), bert(strip_accents=True), normalizers.StripAccents()
    nfd, nfkd, nfc, lower = normalizers.NFD(), normalizers.NFKD(), normalizers.NFC(), normalizers.Lowercase()
    digits, word = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Whitespace()

    sets = {
        "white": removed(pre_tokenizers.WhitespaceSplit(), text),
        "punctuation": removed(pre_tokenizers.Punctuation("removed"), text),
        "control": {c for c in CODES if clean.normalize_str("a" + chr(c)) == "a"},
        "nonspacing": {c for c in CODES if strip.normalize_str("a" + chr(c)) == "a"},
        "mark": {c for c in CODES if marks.normalize_str("a" + chr(c)) == "a"},
        "numeric": {c for c in CODES if len(digits.pre_tokenize_str("a" + chr(c))) == 2},
        "word": {c for c in CODES if word.pre_tokenize_str("a" + chr(c))[0][0] == "a" + chr(c)},
        "regex_space": by_regex(r"\s", text),
        "regex_word": by_regex(r"\w", text),
        "regex_class_word": by_regex(r"[\w]", text),
        "regex_digit": by_regex(r"\d", text),
        "regex_han": by_regex(r"\p{Han}", text),
    }
    grapheme, conjunct, sets["pictographic"] = grapheme_classes()
    for name, members in sets.items():
        for c in members:
            mask[c] |= MASK[name]
    for c, k in grapheme.items():
        mask[c] |= k << 16
    for c, k in conjunct.items():
        mask[c] |= k << 20

    out = io.StringIO()
    previous = None
    for c in CODES:
        if mask[c] != previous:
            print(f"P {c:x} {mask[c]:x}", file=out)
            previous = mask[c]

    hangul = range(0xAC00, 0xD7A4)
    for kind, normalizer in (("l", lower), ("d", nfd), ("k", nfkd)):
        for c in CODES:
            to = normalizer.normalize_str(chr(c))
            if to != chr(c) and not (kind != "l" and c in hangul):
                if kind == "k" and to == nfd.normalize_str(chr(c)):
                    continue
                print("M", kind, f"{c:x}", *(f"{ord(d):x}" for d in to), file=out)

    first = last = own = None
    for c, k in sorted(combining_classes(nfd).items()) + [(None, None)]:
        if first is not None and (k != own or c != last + 1):
            print(f"C {own:x} {first:x} {last:x}", file=out)
            first = None
        if first is None:
            first, own = c, k
        last = c

    for c in CODES:
        to = nfd.normalize_str(chr(c))
        if to != chr(c) and c not in hangul and nfc.normalize_str(to) == chr(c):
            head = nfc.normalize_str(to[:-1])
            assert len(head) == 1, hex(c)
            print(f"X {ord(head):x} {ord(to[-1]):x} {c:x}", file=out)

    OUT.write_bytes(gzip.compress(out.getvalue().encode(), 9, mtime=0))
    print(f"{OUT.name}: {OUT.stat().st_size} bytes, {out.getvalue().count(chr(10))} lines", file=sys.stderr)


if __name__ == "__main__":
    main()
