"""Seeded strings that tokenizers tend to disagree about: hard_strings() returns them, always the same."""

import random
import unicodedata

SEED = 20261123

ENGLISH = (
    "the quick brown fox jumps over a lazy dog and this movie wasn't worth my time although acting felt great "
    "I've never seen anything like it don't you'll we're he'd battery lasts two days but screen broke after week "
    "excellent phone terrible service would not recommend 5 stars shipping was fast unbelievable internationalization "
    "counterrevolutionaries John O'Neill e-mail re-enter naïve café résumé coöperate Zoë façade jalapeño smörgåsbord"
).split()
RUSSIAN = (
    "съешь ещё этих мягких французских булок да выпей чаю Отличный фильм очень понравилось всем советую ужасное "
    "качество не покупайте деньги на ветер доставка быстрая спасибо ёлка Ёжик объём подъезд что-то кто-нибудь "
    "превысокомногорассмотрительствующий человеконенавистничество г. Москва ул. Ленина д. 5 руб. т.е. и т.д. й И\u0306 е\u0308"
).split()
OTHER = (
    "你好 世界 こんにちは カタカナ ﾊﾝｶｸ 한국어 안녕하세요 مرحبا بالعالم שלום עולם שָׁלוֹם नमस्ते क्षत्रिय বাংলা தமிழ் ไทย ภาษา ລາວ "
    "ភាសាខ្មែរ မြန်မာ ქართული Ἑλλάδα ΣΊΣΥΦΟΣ İstanbul ıspanak ǅ ŉ ß ẞ ﬁ ﬀ ﬆ ﬅ Ǆ ᾳ Ωmega K Å ℃ № ™ ½ ²³ ① Ⅷ 𝔘𝔫𝔦 𝒜 ԱՐԵՒ և "
    "አማርኛ ᏣᎳᎩ ᐃᓄᒃᑎᑐᑦ ᠮᠣᠩᠭᠣᠯ བོད་ཡིག ꦗꦮ 𐌰𐌱 𒀀𒀁 𓀀 𠮷野家 㐀 豈 丽"
).split()
EMOJI = (
    "😀 👍🏽 👩‍👩‍👧‍👦 👨🏿‍💻 🏳️‍🌈 🇷🇺 🇬🇧🇫🇷 ❤️ ☺ ✌🏻 1️⃣ #️⃣ ©️ ® ™️ 🧑🏻‍❤️‍💋‍🧑🏾 🫠 🪿 ❤ ⁉ ‼️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿"
).split()
BLANKS = (
    " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u180e\u2000\u2003\u2007\u2009\u200a\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060"
    "\u3000\ufeff"
)
MARKS = "\u0300\u0301\u0302\u0303\u0306\u0308\u030a\u0315\u031b\u0323\u0327\u0328\u0334\u0338\u0345\u0483\u0488\u05b0\u0651\u093c\u094d\u0e38\u20dd\u3099\u302a\u0f71\u0f72\u0f74\u1dce\ufe20"
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»„“”‘’…—–‐¿¡§¶·†‡•′″⁂、。「」！？؟،؛\u061d।॥"
CONTROL = "".join(map(chr, [*range(0, 32), 127, *range(128, 160), 0xAD, 0x200E, 0x200F, 0x202A, 0x2066, 0xFFF9, 0xFFFD, 0xFFFE, 0xFFFF, 0xE0001, 0xE0020]))
SPECIAL = [
    "[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "<s>", "</s>", "<pad>", "<unk>", "<mask>", "<|begin_of_text|>",
    "<|end_of_text|>", "<|pad|>", "[cls]", "<S>", "[CLS", "CLS]", "<mask", "mask>", "##ing", "##", "▁", "▁the", "Ġ", "Ġthe", "<0x0A>",
]
URLS = [
    "https://example.com/a/b?c=d&e=%20f#g", "http://пример.рф/путь", "user.name+tag@mail.example.co.uk", "192.168.0.1:8080",
    "C:\\Users\\me\\file.txt", "/usr/local/bin", "@user #hashtag", "R2-D2", "C++", "C#", ".NET", "$1,299.99", "1.000,50 €", "50%", "+7 (495) 123-45-67",
    "2026-11-23T02:23:32Z", "12:30", "1e-10", "0xDEADBEEF", "3.14159", "1234567890", "٣٤٥", "१२३", "Ⅻ", "x²", "H₂O", "a_b_c", "fooBarBaz", "__init__",
]
FOLDS = ["I'S", "he'ſ", "it'S", "we'LL", "I'Ve", "K'm", "'ll'd're", "''s", "don´t", "'S 'T 'RE 'VE 'M 'LL 'D", "a'sb", "'ſt"]


def scripts():
    """Assigned characters by the first word of their names, a rough idea of scripts."""
    groups = {}
    for code in range(0x20000):
        name = unicodedata.name(chr(code), "")
        if name:
            groups.setdefault(name.split()[0], []).append(chr(code))
    return [g for _, g in sorted(groups.items()) if len(g) >= 8]


def hard_strings():
    r = random.Random(SEED)
    groups = scripts()
    everything = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    likely = [chr(c) for c in range(0x30000) if not 0xD800 <= c < 0xE000]
    word = lambda: r.choice(r.choice([ENGLISH, ENGLISH, RUSSIAN, RUSSIAN, OTHER, EMOJI, URLS]))
    out = ["", " ", "  ", "a", "\0", "\r\n", "\n\n", "\t", "▁", "▁▁", " ▁ ", "é", "e\u0301", "\u0301", "\u0301a", "\ufeff", "\u200b", "\ufffd"]
    out += ENGLISH + RUSSIAN + OTHER + EMOJI + SPECIAL + URLS + FOLDS + list(BLANKS) + list(MARKS) + list(PUNCTUATION) + list(CONTROL)
    # Runs: ties between equal pieces, long merges.
    for c in "!?.,-_=*#~ \t\naаЯ0я1é中😀\u0301\u200d":
        out += [c * n for n in (2, 3, 4, 5, 7, 8, 13, 16, 31, 33, 64, 101, 200)]
        out += ["x" + c * n + "y" for n in (2, 3, 5, 9, 30)]
    # Sentences of one language and of many.
    for _ in range(900):
        out.append(" ".join(r.choice(ENGLISH) for _ in range(r.randint(1, 14))) + r.choice(["", ".", "!!!", "?", " ..."]))
        out.append(" ".join(r.choice(RUSSIAN) for _ in range(r.randint(1, 12))) + r.choice(["", ".", "!!", "?!", "…"]))
    for _ in range(800):
        out.append(r.choice([" ", "", ", ", "  ", "-", "\n"]).join(word() for _ in range(r.randint(1, 10))))
    # Characters of one script, of any script, of anything.
    for _ in range(900):
        g = r.choice(groups)
        out.append("".join(r.choice(g) if r.random() < 0.85 else " " for _ in range(r.randint(1, 20))))
    for _ in range(700):
        out.append("".join(r.choice(r.choice(groups)) for _ in range(r.randint(1, 16))))
    for pool, n in ((likely, 400), (everything, 200)):
        for _ in range(n):
            out.append("".join(r.choice(pool) for _ in range(r.randint(1, 12))))
    # Marks upon marks, in and out of order, on letters, blanks and controls.
    for _ in range(600):
        s = ""
        for _ in range(r.randint(1, 5)):
            s += r.choice(["a", "e", "и", "е", "I", "Å", " ", "©", "क", "ᄀ", "가", "\u0644", "\x01", "\u200d", ""]) + "".join(
                r.choice(MARKS) for _ in range(r.randint(0, 5)))
        out.append(s)
    # Graphemes: emoji parts, joiners, conjuncts, Hangul parts, prepended signs.
    parts = ["©", "®", "😀", "\u200d", "\ufe0f", "🏽", "🇷", "क", "\u094d", "ष", "\u0300", "ᄀ", "ᅡ", "ᆨ", "가", "각", "\u0600", "\u06dd", "\u0e33", "\r", "\n", "a", "\u0308", "\u0903", "\U000110bd", "\u00ad"]
    for _ in range(500):
        out.append("".join(r.choice(parts) for _ in range(r.randint(1, 9))))
    # Blanks, controls and punctuation between letters.
    for pool, n in ((BLANKS, 300), (CONTROL, 250), (PUNCTUATION, 400)):
        for _ in range(n):
            out.append("".join(r.choice(pool) if r.random() < 0.5 else r.choice("abcдЖ1 ") for _ in range(r.randint(1, 24))))
    # Special tokens in a text.
    for _ in range(500):
        s = ""
        for _ in range(r.randint(1, 6)):
            s += r.choice(SPECIAL) if r.random() < 0.5 else r.choice(["", " ", "  ", "\t", "\u3000", "a", "слово", "!", "\n", word()])
        out.append(s)
    # Digits, apostrophes, cases.
    for _ in range(250):
        out.append("".join(r.choice("0123456789.,:/-+eE xX") for _ in range(r.randint(1, 30))))
        out.append("".join(r.choice(["'", "’", "s", "t", "re", "ve", "m", "ll", "d", "S", "T", "LL", "ſ", " ", "he", "\n", "!", "1"]) for _ in range(r.randint(1, 12))))
    # Long words and texts.
    for n in (50, 99, 100, 101, 150, 400, 1000, 3000):
        out.append("".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(n)))
        out.append("".join(r.choice("абвгдежзийклмнопрстуфхцчшщъыьэюя") for _ in range(n)))
        out.append("".join(r.choice("ab") for _ in range(n)))
        out.append("-".join(word() for _ in range(n // 10)))
        out.append(" ".join(word() for _ in range(n // 8)))
    assert len(out) >= 5000, len(out)
    return out


if __name__ == "__main__":
    strings = hard_strings()
    print(len(strings), "strings,", sum(map(len, strings)), "characters")
