"""Small tokenizer files, one for each component and option, for expectations.py.

Most have a Unigram model that knows "<unk>" only: each word becomes one token whose string is the normalised text, so
that an answer shows every character and where it came from.
"""

import base64
import json

from tokenizers import normalizers

PIECES = [["<unk>", 0.0]]
SHOW = {"type": "Unigram", "unk_id": 0, "vocab": PIECES, "byte_fallback": False}
SPLIT = {"type": "WhitespaceSplit"}
GPT4 = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
DEEPSEEK = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def file(normalizer=None, pre_tokenizer=None, model=SHOW, post_processor=None, decoder=None, added=()):
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": 0, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": False, **options} for c, options in added
        ],
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder,
        "model": model,
    }


def sequence(key, *parts):
    return {"type": "Sequence", key: list(parts)}


def byte_level(**options):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True, **options}


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def charsmap():
    """A darts double array, one block of 256 places a node, that deletes, expands and joins characters."""
    table = {
        "\x01": "", "\u00ad": "", "\u0301": "", "ﬁ": "fi", "½": "1/2", "é": "e\u0301", "e\u0301": "é", "\r": " ", "\t": " ",
        "a": "b", "и": "й", "и\u0306": "й", "ю": "", "©": "(c)", "\u3000": " ", "ё": "е",
    }
    nodes, values, blob = {b"": 0}, {}, b""
    for key, to in sorted(table.items()):
        raw = key.encode()
        values[raw] = len(blob)
        blob += to.encode() + b"\0"
        for n in range(1, len(raw) + 1):
            nodes.setdefault(raw[:n], len(nodes))
    base = lambda prefix: 256 * (nodes[prefix] + 1)
    array = [0] * (256 * (len(nodes) + 1))
    array[0] = base(b"") << 10
    for prefix in nodes:
        if prefix:
            at = base(prefix[:-1]) ^ prefix[-1]
            array[at] = prefix[-1] | (prefix in values) << 8 | (at ^ base(prefix)) << 10
    for raw, value in values.items():
        array[base(raw)] = 1 << 31 | value
    trie = b"".join(u.to_bytes(4, "little") for u in array)
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(len(trie).to_bytes(4, "little") + trie + blob).decode()}


def letters():
    """The letters of byte-level BPE, in the order of the bytes."""
    n = normalizers.ByteLevel()
    seen = {}
    for c in map(chr, range(0x800)):
        for byte, letter in zip(c.encode(), n.normalize_str(c)):
            seen[byte] = letter
    for c in map(chr, [*range(0x800, 0xD800, 0x40), *range(0xE000, 0x110000, 0x1000)]):
        for byte, letter in zip(c.encode(), n.normalize_str(c)):
            seen[byte] = letter
    return [seen.get(b) for b in range(256)]


def bpe(vocab, merges, **options):
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": {t: i for i, t in enumerate(vocab)},
            "merges": merges, **options}


def template(single, pair):
    def pieces(text):
        out = []
        for p in text.split():
            name, _, type_id = p.partition(":")
            part = {"id": name.lstrip("$"), "type_id": int(type_id or 0)}
            out.append({"Sequence": part} if name.startswith("$") else {"SpecialToken": part})
        return out

    ids = {"[CLS]": ([7], ["[CLS]"]), "[SEP]": ([8], ["[SEP]"]), "[TWO]": ([5, 6], ["<five>", "<six>"])}
    return {"type": "TemplateProcessing", "single": pieces(single), "pair": pieces(pair),
            "special_tokens": {k: {"id": k, "ids": i, "tokens": t} for k, (i, t) in ids.items()}}


def normalizer_cases():
    bert = lambda *flags: dict(zip(("type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), ("BertNormalizer", *flags)))
    yield from (
        ("bert clean", bert(True, False, False, False)),
        ("bert chinese", bert(False, True, False, False)),
        ("bert strip", bert(False, False, True, False)),
        ("bert lower", bert(False, False, False, True)),
        ("bert lower and strip", bert(False, False, None, True)),
        ("bert all", bert(True, True, None, True)),
        ("bert cased", bert(True, True, None, False)),
        ("precompiled", charsmap()),
        ("precompiled twice", sequence("normalizers", charsmap(), charsmap())),
        ("xlm-r", sequence("normalizers", charsmap(), {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})),
        ("replace string", {"type": "Replace", "pattern": {"String": "a"}, "content": "ёх"}),
        ("replace quotes", {"type": "Replace", "pattern": {"String": "``"}, "content": '"'}),
        ("replace regex", {"type": "Replace", "pattern": {"Regex": r"[^\p{L}]+"}, "content": "·"}),
        ("replace by nothing", {"type": "Replace", "pattern": {"Regex": r"\s|[aeiouаеи]"}, "content": ""}),
        ("prepend", {"type": "Prepend", "prepend": "▁x"}),
        ("llama 2", sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"})),
        ("strip left", {"type": "Strip", "strip_left": True, "strip_right": False}),
        ("strip right", {"type": "Strip", "strip_left": False, "strip_right": True}),
        ("strip", {"type": "Strip", "strip_left": True, "strip_right": True}),
        ("nfd and strip accents", sequence("normalizers", {"type": "NFD"}, {"type": "StripAccents"})),
        ("nmt and nfkc", sequence("normalizers", {"type": "Nmt"}, {"type": "NFKC"}, {"type": "Lowercase"})),
        ("nfc and charsmap", sequence("normalizers", {"type": "NFC"}, charsmap(), {"type": "NFKD"})),
    )
    for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"):
        yield kind, {"type": kind}


def pre_tokenizer_cases():
    meta = lambda **options: {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True, **options}
    yield from (
        ("bert", {"type": "BertPreTokenizer"}),
        ("whitespace", {"type": "Whitespace"}),
        ("whitespace split", SPLIT),
        ("digits", {"type": "Digits", "individual_digits": False}),
        ("single digits", {"type": "Digits", "individual_digits": True}),
        ("delimiter", {"type": "CharDelimiterSplit", "delimiter": "а"}),
        ("fixed length", {"type": "FixedLength", "length": 3}),
        ("metaspace always", meta()),
        ("metaspace first", meta(prepend_scheme="first")),
        ("metaspace never", meta(prepend_scheme="never")),
        ("metaspace whole", meta(split=False)),
        ("metaspace letter", meta(replacement="a")),
        ("metaspace old", {"type": "Metaspace", "replacement": "▁", "str_rep": "▁", "add_prefix_space": True}),
        ("byte level", byte_level()),
        ("byte level prefix", byte_level(add_prefix_space=True)),
        ("byte level whole", byte_level(use_regex=False)),
        ("digits then bytes", sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, byte_level())),
        ("bytes then punctuation", sequence("pretokenizers", byte_level(), {"type": "Punctuation", "behavior": "Isolated"})),
        ("blanks then metaspace", sequence("pretokenizers", SPLIT, meta())),
        ("split string", split("ов", kind="String")),
        ("clip", sequence("pretokenizers", split(CLIP, "Removed", True), byte_level())),
        ("qwen", sequence("pretokenizers", split(QWEN), byte_level(use_regex=False))),
        ("lazy", split(r"a+?b|(?:xy)*z|\S+?\d", "Isolated")),
        ("folded", split(r"(?i:k+|s[xy]|[a-f]{2,4}x?)", "Isolated")),
        ("classes", split(r"[[:^]a-c\]\-]+|\p{^L}\P{N}|[^\W\d_]{3}|\x{430}|\u0439|\h+z|.\n", "Isolated")),
        ("han", split(r"\p{Han}+|[一-龥぀-ゟ]+", "Isolated")),
    )
    for name, pattern in (("gpt-4o", GPT4), ("cl100k", CL100K), ("bloom", BLOOM), ("deepseek", DEEPSEEK)):
        yield name, split(pattern)
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield f"punctuation {behavior}", {"type": "Punctuation", "behavior": behavior}
        yield f"split {behavior}", split(r"\s|[aо]", behavior)
        yield f"inverted {behavior}", split(r"\w+", behavior, True)


def components():
    """Pairs of a name and a tokenizer file."""
    for name, n in normalizer_cases():
        yield f"normalizer: {name}", file(normalizer=n)
        yield f"normalizer, split: {name}", file(normalizer=n, pre_tokenizer=SPLIT)
    for name, p in pre_tokenizer_cases():
        if "[:^]" in json.dumps(p):
            p = json.loads(json.dumps(p).replace("[[:^]", "[[xyz]"))
        yield f"pre-tokenizer: {name}", file(pre_tokenizer=p)
    yield "pre-tokenizer after nfkd", file(normalizer={"type": "NFKD"}, pre_tokenizer=split(CL100K))
    yield "none", file()

    # Models.
    alphabet = [c for c in letters() if c] + ["Ġt", "he", "Ġa", "in", "re", "Ġthe"]
    merges = [["Ġ", "t"], ["h", "e"], ["Ġ", "a"], ["i", "n"], ["r", "e"], ["Ġt", "he"]]
    for ignore in (False, True):
        yield f"bpe bytes, ignore_merges {ignore}", file(pre_tokenizer=byte_level(), model=bpe(alphabet, merges, ignore_merges=ignore), decoder=byte_level())
    partial = [c for c in alphabet if c not in "eÐz"]
    partial_merges = [m for m in merges if all(t in partial and len(t) > 0 for t in m) and "".join(m) in partial]
    yield "bpe with holes", file(pre_tokenizer=byte_level(), model=bpe(partial, partial_merges))
    yield "bpe with holes and roberta", file(
        pre_tokenizer=byte_level(add_prefix_space=True), model=bpe(partial, partial_merges),
        post_processor={"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": True})
    chars = ["<unk>", *"abcdefghijklmnopqrstuvwxyz абвгдежз", "th", "the", "an", "and", "in", "ing", "аб"]
    char_merges = ["t h", "th e", "a n", "an d", "i n", "in g", "а б"]
    for fuse in (False, True):
        yield f"bpe unknown, fuse_unk {fuse}", file(pre_tokenizer=SPLIT, model=bpe(chars, char_merges, unk_token="<unk>", fuse_unk=fuse))
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    fallback = sequence("decoders", {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0})
    yield "bpe byte fallback", file(model=bpe(chars + bytes_ + ["▁"], char_merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
                                    normalizer=dict(normalizer_cases())["llama 2"], decoder=fallback)
    yield "bpe some bytes", file(model=bpe(chars + bytes_[:200], char_merges, unk_token="<unk>", byte_fallback=True))
    words = ["<unk>", *"abcdefg", *(c + "</w>" for c in "abcdefgh"), "ab", "abc</w>", "bc</w>"]
    yield "bpe suffix", file(pre_tokenizer={"type": "BertPreTokenizer"}, decoder={"type": "BPEDecoder", "suffix": "</w>"},
                             model=bpe(words, [["a", "b"], ["ab", "c</w>"], ["b", "c</w>"]], unk_token="<unk>", end_of_word_suffix="</w>"))
    inner = ["<unk>", *"abcde", *("##" + c for c in "abcdef"), "ab", "##cd", "abcd"]
    yield "bpe prefix", file(pre_tokenizer=SPLIT, model=bpe(inner, [["a", "##b"], ["##c", "##d"], ["ab", "##cd"]], unk_token="<unk>", continuing_subword_prefix="##"))
    pieces = [["<unk>", 0.0], ["▁", -2.0], ["a", -3.1], ["b", -3.1], ["ab", -6.2], ["!", -4.55], ["!!", -9.1], ["!!!", -13.65], ["▁the", -4.0], ["е", -3.3],
              ["ение", -7.123456789012345], ["н", -3.0000000000000004], ["и", -2.9999999999999996]]
    uni = lambda extra=(), **o: {"type": "Unigram", "unk_id": 0, "vocab": pieces + list(extra), "byte_fallback": False, **o}
    meta = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    yield "unigram ties", file(pre_tokenizer=meta, model=uni(), decoder=meta)
    yield "unigram byte fallback", file(pre_tokenizer=meta, model=uni([[b, -20.0] for b in bytes_], byte_fallback=True), decoder=fallback)
    yield "unigram some bytes", file(pre_tokenizer=meta, model=uni([[b, -20.0] for b in bytes_[:220]], byte_fallback=True), decoder=fallback)
    vocab = {t: i for i, t in enumerate(["[UNK]", "the", "a", "и", "на", ".", "!", "##s", "th", "##e", "##ing", "ab", "##c", "я", "##я"])}
    for limit in (4, 100):
        yield f"wordpiece, words of {limit}", file(pre_tokenizer={"type": "BertPreTokenizer"}, decoder={"type": "WordPiece", "prefix": "##", "cleanup": limit == 4},
              model={"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": limit, "vocab": vocab})
    yield "wordlevel", file(pre_tokenizer={"type": "Whitespace"}, model={"type": "WordLevel", "unk_token": "[UNK]", "vocab": vocab},
                            decoder={"type": "CTC", "pad_token": "th", "word_delimiter_token": "!", "cleanup": True})
    yield "wordlevel without unknown", file(pre_tokenizer={"type": "Whitespace"}, model={"type": "WordLevel", "unk_token": "nope", "vocab": vocab})

    # Post-processors, on a model whose tokens have letters for blanks.
    level = dict(pre_tokenizer=byte_level(), model=bpe(alphabet, merges))
    pair = template("[CLS]:0 $A:1 [SEP]:0", "[CLS]:0 $B:3 [TWO]:2 $A:0 [SEP]:1")
    roberta = lambda **o: {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": False, **o}
    posts = {
        "template": pair, "bert": {"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]},
        "roberta": roberta(), "roberta untrimmed": roberta(trim_offsets=False), "roberta prefix": roberta(add_prefix_space=True),
        "trim": byte_level(), "trim prefix": byte_level(add_prefix_space=True), "no trim": byte_level(trim_offsets=False),
        "llama 3": sequence("processors", byte_level(), pair), "trim after": sequence("processors", pair, byte_level()),
        "trim twice": sequence("processors", byte_level(), roberta()),
    }
    for name, post in posts.items():
        yield f"post-processor: {name}", file(**level, post_processor=post)

    # Added tokens.
    names = ["[X]", "[X][Y]", "ab", "и", "The", "É", "<s>", "[CLS]"]
    for option in ("single_word", "lstrip", "rstrip", "normalized", "special"):
        for n in (None, {"type": "Lowercase"}, {"type": "NFD"}, {"type": "Prepend", "prepend": "▁"}):
            yield f"added {option}, {n and n['type']}", file(normalizer=n, pre_tokenizer=SPLIT, added=[(c, {option: True}) for c in names])
    mixed = [(c, {"lstrip": i % 2 == 0, "rstrip": i % 3 == 0, "normalized": i % 4 == 1, "special": i % 2 == 1, "single_word": i == 3}) for i, c in enumerate(names)]
    yield "added mixed", file(normalizer={"type": "Lowercase"}, pre_tokenizer=byte_level(), added=mixed + [("<unk>", {"special": True}), ("й", {}), ("", {})])
    yield "added, byte-level normalizer", file(normalizer={"type": "ByteLevel"}, added=[(c, {"normalized": True}) for c in ("é", "ab ", "[X]")], decoder=byte_level())
