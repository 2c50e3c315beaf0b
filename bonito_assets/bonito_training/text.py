"""Plain passages out of running text: cleaning, sentences, and groups of neighbouring sentences."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

_QUOTES = str.maketrans(
    {"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": " - ", "\u00a0": " ", "…": "..."}
)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKUP = re.compile(r"[*_`#>|]+|</?[a-z][^>]*>|\[\d+\]")
# A full stop after one of these does not end a sentence.
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|St|No|Inc|Ltd|Co|vs|etc|e\.g|i\.e|Art|Sec|approx|Fig|al|cf|Jr|Sr)"
    r"|\b[A-Z])\.$"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+(?=[\"'(]?[A-Z0-9])")


def clean(text: str) -> str:
    """Gives `text` on one line, without Markdown marks and the blanks of tokenised corpora."""
    text = _LINK.sub(r"\1", text.translate(_QUOTES))
    text = _MARKUP.sub(" ", text)
    text = re.sub(r"``|''|-[LR]RB-", '"', text)
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\s+([.,;:!?%)\]])", r"\1", text)
    text = re.sub(r"([(\[$£])\s+", r"\1", text)
    return re.sub(r"\s+('(?:s|t|re|ve|ll|d|m)\b|n't\b)", r"\1", text)


def sentences(text: str) -> list[str]:
    """Gives the sentences of `text` in order, each with its closing mark; a title is one too."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        goes_on = False
        for piece in _SENTENCE_END.split(paragraph.strip()):
            if goes_on and _ABBREVIATION.search(found[-1]):
                found[-1] += " " + piece
            elif piece:
                found.append(piece)
            goes_on = bool(found)
    return found


def is_plain(sentence: str) -> bool:
    """True for a whole English sentence of 4 to 32 words in ASCII without debris."""
    words = sentence.split()
    return (
        4 <= len(words) <= 32
        and sentence.isascii()
        and sentence[0].isupper()
        and sentence[-1] in ".!?"
        and not re.search(r"[{}<>|\\=_@~^/]|\.\.|http|www", sentence)
        and sentence.count('"') % 2 == 0
        and sentence.count("(") == sentence.count(")")
        and sum(c.isalpha() or c == " " for c in sentence) > 0.85 * len(sentence)
        and sum(w.isupper() and len(w) > 1 for w in words) <= 0.3 * len(words)
        and max(map(len, words)) <= 22
    )


def runs(text: str) -> list[list[str]]:
    """Gives the runs of neighbouring plain sentences of `text`, longest possible runs in order."""
    found: list[list[str]] = [[]]
    for sentence in sentences(text):
        if is_plain(sentence):
            found[-1].append(sentence)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


def passages(
    text: str, rng: random.Random, min_chars: int = 60, max_chars: int = 360
) -> Iterator[str]:
    """Yields passages of `min_chars` to `max_chars` characters that cover the plain runs of `text`.

    The length aimed at is drawn anew for each passage, so that short and long ones are mixed.
    """
    for paragraph in re.split(r"\n\s*\n|\n(?=[-*#\d])", text):
        for run in runs(clean(paragraph)):
            group: list[str] = []
            aim = rng.randint(min_chars, max_chars)
            for sentence in run:
                if group and len(" ".join([*group, sentence])) > aim:
                    if min_chars <= len(" ".join(group)) <= max_chars:
                        yield " ".join(group)
                    group, aim = [], rng.randint(min_chars, max_chars)
                group.append(sentence)
            if group and min_chars <= len(" ".join(group)) <= max_chars:
                yield " ".join(group)
