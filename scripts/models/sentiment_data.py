"""The text sets that models/sentiment is trained and measured on, with their labels brought to three polarities.

DIR/text holds the files named in SOURCES, as their publishers give them. Left aside on purpose, because they are kept
for independent measurement: the Yelp sentences of the UCI set, GoEmotions test, RuSentNE validation. RuSentiment may not
be used commercially.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NEGATIVE, NEUTRAL, POSITIVE = range(3)
POLARITIES = ("negative", "neutral", "positive")

# The grouping that GoEmotions' authors publish. Realization, surprise, curiosity and confusion have no polarity.
GOEMOTIONS = (
    "admiration amusement anger annoyance approval caring confusion curiosity desire disappointment disapproval disgust "
    "embarrassment excitement fear gratitude grief joy love nervousness optimism pride realization relief remorse sadness "
    "surprise neutral").split()
GO_POSITIVE = {GOEMOTIONS.index(name) for name in (
    "admiration amusement approval caring desire excitement gratitude joy love optimism pride relief").split()}
GO_NEGATIVE = {GOEMOTIONS.index(name) for name in (
    "anger annoyance disappointment disapproval disgust embarrassment fear grief nervousness remorse sadness").split()}
GO_NEUTRAL = GOEMOTIONS.index("neutral")

# Plutchik's eight in alphabetical order. Anticipation (2) and surprise (7) have no polarity.
XED_NEGATIVE, XED_POSITIVE = {1, 3, 4, 6}, {5, 8}


def polarity(labels, negative, positive):
    """The polarity of a set of labels; None where both or neither occur."""
    bad, good = bool(labels & negative), bool(labels & positive)
    if bad == good:
        return None
    return POSITIVE if good else NEGATIVE


def numbers(field):
    return {int(number) for number in field.strip("[]").replace(",", " ").split()}


def emotion(labels):
    return NEUTRAL if labels == {GO_NEUTRAL} else polarity(labels, GO_NEGATIVE, GO_POSITIVE)


def read_goemotions(path):
    for line in path.open(encoding="utf-8"):
        text, labels, _ = line.rstrip("\n").split("\t")
        yield text, emotion(numbers(labels))


def read_ru_goemotions(path):
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["ru_text"], emotion(numbers(row["labels"]))


def read_xed(path):
    for line in path.open(encoding="utf-8"):
        text, labels = line.rstrip("\n").split("\t")
        yield text, polarity(numbers(labels), XED_NEGATIVE, XED_POSITIVE)


def read_xed_neutral(path):
    for line in path.open(encoding="utf-8"):
        yield line.rstrip("\n").split("\t")[1], NEUTRAL


def read_uci(path):
    for line in path.open(encoding="utf-8"):
        if line.strip():
            text, label = line.rsplit("\t", 1)
            yield text.strip(), POSITIVE if int(label) else NEGATIVE


def read_rusentne(path):
    """A sentence is neutral when it is so towards all its entities."""
    sentences = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            sentences.setdefault(row["sentence"], set()).add(int(row["label"]))
    for text, labels in sentences.items():
        yield text, NEUTRAL if labels == {0} else polarity(labels, {-1}, {1})


@dataclass(frozen=True)
class Source:
    """One text set: its file, whom to credit, and how much a text weighs in training."""

    file: str
    title: str
    license: str
    language: str
    read: Callable[[Path], Iterator[tuple[str, int | None]]]
    weight: float = 1.0


SOURCES = {
    "amazon": Source("uci_amazon_cells_labelled.txt", "Sentiment Labelled Sentences (UCI), Amazon", "CC BY 4.0", "en", read_uci,
                     weight=4),
    "imdb": Source("uci_imdb_labelled.txt", "Sentiment Labelled Sentences (UCI), IMDB", "CC BY 4.0", "en", read_uci, weight=4),
    "goemotions": Source("goemotions_train.tsv", "GoEmotions, train", "Apache-2.0", "en", read_goemotions),
    "xed_en": Source("xed_en.tsv", "XED film subtitles, English", "CC BY 4.0", "en", read_xed),
    "xed_neutral": Source("xed_neu_en.txt", "XED film subtitles, English, neutral", "CC BY 4.0", "en", read_xed_neutral),
    "ru_goemotions": Source("ru_goemotions_val.csv", "GoEmotions, validation, machine-translated to Russian", "MIT", "ru",
                            read_ru_goemotions, weight=2),
    "xed_ru": Source("xed_ru.tsv", "XED film subtitles, Russian, labels projected from the English", "CC BY 4.0", "ru", read_xed,
                     weight=2),
    "rusentne": Source("rusentne_train.csv", "RuSentNE-2023 news sentences, train", "MIT", "ru", read_rusentne),
}
MOST_NEUTRAL = 3000  # neutral texts of one source; there are many more than of the others


@dataclass
class Texts:
    """Texts of one source and their polarities, int [len(texts)]."""

    texts: list[str]
    labels: np.ndarray


def load(folder, seed):
    """The sources by name: all negative and positive texts, and at most MOST_NEUTRAL neutral ones, chosen by the seed."""
    result = {}
    for name, source in SOURCES.items():
        pairs = [pair for pair in source.read(Path(folder, "text", source.file)) if pair[1] is not None]
        labels = np.array([label for _, label in pairs])
        rng = np.random.default_rng(seed)
        groups = [rng.permutation(np.flatnonzero(labels == polarity)) for polarity in range(len(POLARITIES))]
        groups[NEUTRAL] = groups[NEUTRAL][:MOST_NEUTRAL]
        chosen = np.sort(np.concatenate(groups))
        result[name] = Texts([pairs[i][0] for i in chosen], labels[chosen])
    return result
