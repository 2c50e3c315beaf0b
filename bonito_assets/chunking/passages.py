"""Cuts documents into passages of at most so many characters and tokens, without losing a word.

Bonito was trained on passages cut at 2,048 characters, so a passage must be short, whatever the
model's window. Cuts fall before headings where possible, else between paragraphs, sentences, words,
and inside a word only when the word alone is too long.

Which of the possible cuts is taken is decided by the text that follows it and not by how full the
passage is (content-defined chunking, as backup programs do it; Muthitacharoen et al., LBFS, SOSP
2001). So an edit changes the passage that it lies in, and those after it are the same again:
filling passages to the brim would shift all of them, and each would be generated anew.

Tokens do not add up: two pieces may have more tokens or fewer than the text made of both. So the
cuts are made by characters, at a length that a sample of the document suggests; then the finished
passages are counted, and those over the budget are cut again.
"""

from __future__ import annotations

import hashlib
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from bonito_assets.chunking.graphemes import Graphemes
from bonito_assets.chunking.sentences import Heading, Span, sentence_ends

CountTokens = Callable[[Sequence[str]], Sequence[int]]

_PARAGRAPH_ENDS = re.compile(r"\n[^\S\n]*\n\s*")
_LINE_ENDS = re.compile(r"\n\s*")
# Where scripts write without spaces, the marks inside a sentence part its clauses.
_WORD_ENDS = re.compile(r"\s+|(?<=[、，；：])")
# A passage has at least this share of the limit. Measured on 38 documents of 16,000 characters: at
# a half, a sentence put in front makes one new passage in 37 of them and two in one; filled to the
# brim it is up to 17. The price is 18% more passages.
_LEAST_SHARE = 0.5
# How much of the text after a cut speaks for it.
_WITNESS_CHARS = 48
# A run of whitespace may begin this far before the stretch in which it ends.
_REACH = 16
# A longer line is no title, and need not be kept with the text below it.
MAX_TITLE_CHARS = 200

# The sample of a document: the phrases whose length leaves this rest, about one of sixteen. Chosen
# by themselves and not by their place, they are nearly the same after an edit.
_PHRASES = re.compile(r"[^.\n。]{1,96}")
_EVERY, _REST = 16, 3
_SAMPLE_CHARS = 1 << 16
# A smaller sample says too little; then it is the end of the text, of so many characters.
_LEAST_SAMPLE, _SAMPLE_AT_END = 256, 2048
# Limits found by sampling are rounded down to these steps per doubling (9% apart), for an edit that
# changes the sample a little must not move every cut.
_STEPS = 8
# A document this close to one passage is tried as one: a sample is not exact.
_CLOSE = 1.2
# A passage over its budget is cut again at this share of the length that would just fit.
_MARGIN = 0.95


class Passage(NamedTuple):
    """Where a passage stands in its document, and its length in tokens."""

    start: int
    end: int
    n_tokens: int


def passages(
    text: str,
    max_chars: int,
    headings: Sequence[Heading] = (),
    max_tokens: int | None = None,
    count_tokens: CountTokens | None = None,
) -> list[Span]:
    """Gives the ``(start, end)`` offsets of the passages of `text`, in order.

    Offsets count Unicode code points. Every passage has 1 to `max_chars` of them, starts and ends
    with a character that is no whitespace, and together they cover every such character once.
    `headings` are the ``(start, level)`` of headings; one is parted from the text below it only
    where nothing but a word too long for a passage stands there.
    With `count_tokens` no passage has more than `max_tokens` tokens, unless a single code point
    has. A grapheme cluster is parted only when it is longer than the limit by itself.
    Raises ``ValueError`` for a limit below 1.
    """
    if max_tokens is None or count_tokens is None:
        return _Document(text, headings).cut(max_chars, max_chars, 0, len(text))
    found = counted_passages([(text, headings)], max_chars, max_tokens, count_tokens)
    return [(start, end) for start, end, _ in found[0]]


def counted_passages(
    documents: Iterable[tuple[str, Sequence[Heading]]],
    max_chars: int,
    max_tokens: int | None,
    count_tokens: CountTokens,
) -> list[list[Passage]]:
    """Gives the passages of each of `documents` (text and headings) with their lengths in tokens.

    They are those of ``passages``; the tokens of all documents are counted together. Without
    `max_tokens` they are counted and have no bound.
    """
    if max_tokens is not None and max_tokens < 1:
        raise ValueError(f"max_tokens must be at least 1, not {max_tokens}")
    opened = [_Document(text, headings) for text, headings in documents]
    limits = _limits([d.text for d in opened], max_chars, max_tokens, count_tokens)
    found: list[list[Passage]] = [[] for _ in opened]
    pending = [
        (number, span)
        for number, (document, limit) in enumerate(zip(opened, limits, strict=True))
        for span in document.cut(limit, max_chars, 0, len(document.text))
    ]
    while pending:
        counts = count_tokens([opened[n].text[start:end] for n, (start, end) in pending])
        over: list[tuple[int, Span]] = []
        for (number, (start, end)), n_tokens in zip(pending, counts, strict=True):
            length = end - start
            if max_tokens is None or n_tokens <= max_tokens or length == 1:
                found[number].append(Passage(start, end, n_tokens))
            else:
                limit = max(1, int(length * max_tokens / n_tokens * _MARGIN))
                most = min(max_chars, length - 1)
                over += [(number, span) for span in opened[number].cut(limit, most, start, end)]
        pending = over
    return [sorted(spans) for spans in found]


def _limits(
    texts: Sequence[str], max_chars: int, max_tokens: int | None, count_tokens: CountTokens
) -> list[int]:
    """Gives the length in characters at which each text is cut first."""
    limits = [max_chars] * len(texts)
    # A token is seldom less than a character, and where it is the passages are cut again.
    if max_tokens is None or max_chars <= max_tokens:
        return limits
    long = [number for number, text in enumerate(texts) if len(text) > max_tokens]
    samples = [_sample(texts[number]) for number in long]
    for number, sample, n_tokens in zip(long, samples, count_tokens(samples), strict=True):
        fitting = max_tokens * len(sample) / max(1, n_tokens)
        if len(texts[number]) > fitting * _CLOSE:
            fitting = 2 ** (math.floor(math.log2(fitting) * _STEPS) / _STEPS)
            limits[number] = max(1, min(max_chars, int(fitting)))
    return limits


def _sample(text: str) -> str:
    """Gives phrases of `text` that stand for it, set together."""
    size, chosen = 0, []
    for phrase in _PHRASES.finditer(text):
        if (phrase.end() - phrase.start()) % _EVERY == _REST:
            chosen.append(phrase[0])
            size += len(phrase[0])
            if size >= _SAMPLE_CHARS:
                break
    return " ".join(chosen) if size >= _LEAST_SAMPLE else text[-_SAMPLE_AT_END:]


class _Document:
    """A text with its headings, for cutting it."""

    def __init__(self, text: str, headings: Sequence[Heading]) -> None:
        self.text = text
        self._headings = sorted(headings)
        self._starts = [start for start, _ in self._headings]
        self._graphemes = Graphemes(text)

    def cut(self, limit: int, most: int, start: int, end: int) -> list[Span]:
        """Gives the passages of the stretch from `start` to `end`, of at most `limit` characters.

        A grapheme that is longer stays whole up to `most` of them.
        Raises ``ValueError`` for a limit below 1.
        """
        if limit < 1:
            raise ValueError(f"max_chars must be at least 1, not {limit}")
        found: list[Span] = []
        start, end = _stripped(self.text, start, end)
        # From the end, so that what is put in front leaves all passages but the first as they are.
        while end - start > limit:
            last = end - max(1, int(limit * _LEAST_SHARE))
            cut = max(start, self._place(end - limit, last, end, end - most))
            found.append(_stripped(self.text, cut, end))
            end = _stripped(self.text, start, cut)[1]
        if start < end:
            found.append((start, end))
        return found[::-1]

    def _place(self, first: int, last: int, end: int, farthest: int) -> int:
        """Gives the place where the passage that ends at `end` begins: from `first` to `last`.

        Where there is none but inside a word or between a heading and its text, a shorter passage
        is the lesser evil; where a grapheme begins before `first`, a longer one from `farthest`.
        """
        for low, high in ((first, last), (last + 1, end - 1)):
            for places in (
                self._at_headings,
                self._at_paragraphs,
                self._at_sentences,
                self._at_words,
            ):
                fit = [place for place in places(low, high) if self._fits(place)]
                if fit:
                    return min(fit, key=self._weight)
        within = self._graphemes.boundary(first)
        if within < end:
            return within
        whole = self._graphemes.boundary_before(first)
        return whole if whole >= farthest else first

    def _at_headings(self, low: int, high: int) -> list[int]:
        """Gives the headings of the outermost level."""
        among = self._headings[bisect_left(self._starts, low) : bisect_right(self._starts, high)]
        among = [(start, level) for start, level in among if self._fits(start)]
        outermost = min((level for _, level in among), default=0)
        return [start for start, level in among if level == outermost]

    def _at_paragraphs(self, low: int, high: int) -> Iterator[int]:
        return self._after(_PARAGRAPH_ENDS, low, high)

    def _at_sentences(self, low: int, high: int) -> Iterator[int]:
        """Gives ends of sentences, and line ends but those inside of what goes on below."""
        for place in sentence_ends(self.text, max(0, low - _REACH), high + 1):
            if place >= low:
                yield place
        for place in self._after(_LINE_ENDS, low, high):
            if not self.text[place].islower():
                yield place

    def _at_words(self, low: int, high: int) -> Iterator[int]:
        return self._after(_WORD_ENDS, low, high)

    def _after(self, ends: re.Pattern[str], low: int, high: int) -> Iterator[int]:
        for match in ends.finditer(self.text, max(0, low - _REACH), high):
            place = match.end()
            if place >= low and not self.text[place].isspace():
                yield place

    def _fits(self, place: int) -> bool:
        """Tells whether a cut at `place` parts neither a grapheme nor a heading from its text."""
        above = bisect_left(self._starts, place) - 1
        if above >= 0 and place <= self._below(self._starts[above]):
            return False
        return self._graphemes.boundary(place) == place

    def _below(self, heading: int) -> int:
        """Gives where the text below `heading` begins; `heading` itself if it is no title."""
        line_end = self.text.find("\n", heading, heading + MAX_TITLE_CHARS)
        return heading if line_end < 0 else _stripped(self.text, line_end, len(self.text))[0]

    def _weight(self, place: int) -> bytes:
        witness = self.text[place : place + _WITNESS_CHARS].encode("utf-8", "surrogatepass")
        return hashlib.blake2b(witness, digest_size=8).digest()


def _stripped(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
