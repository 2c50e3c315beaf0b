"""Digests of stretches of a text, by which it is found again in any bytes, whole or in part.

Texts are compared without case, blanks and punctuation, so that a stretch is found as it stands in
Markdown, JSON or HTML, and where a line was broken. A digest is of 32 bytes of what is left, some
six words; of each text there is one at every byte. The text cannot be had back from them.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

_WIDTH = 32
_WORD = 8  # bytes of a 64-bit word
_LOWER = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")
_BLANK = bytes(b for b in range(128) if not chr(b).isalnum())
# The first bits of a digest are of the first word alone: a table of them (1 MB) says of most places
# of a file with one look that nothing begins there.
_HEAD_BITS = 20
_TAIL_BITS = 64 - _HEAD_BITS
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, as in Fibonacci hashing
_BLOCK = 1 << 22


class Fingerprints:
    """A set of digests of stretches of text."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = np.unique(values.astype(np.uint64, copy=False))
        self._heads = np.zeros(1 << _HEAD_BITS, np.bool_)
        self._heads[self.values >> np.uint64(_TAIL_BITS)] = True

    @classmethod
    def of(cls, texts: Iterable[str]) -> Fingerprints:
        """Gives those of `texts`, also as they stand in JSON and in HTML."""
        found = [np.empty(0, np.uint64)]
        for text in texts:
            found += [_digests(_reduced(form)) for form in _forms(text)]
        return cls(np.concatenate(found))

    @classmethod
    def from_hex(cls, values: Iterable[str]) -> Fingerprints:
        """Gives what ``as_hex`` gave."""
        return cls(np.array([int(value, 16) for value in values], np.uint64))

    def as_hex(self, most: int) -> list[str]:
        """Gives at most so many of them as 16 hexadecimal digits, drawn evenly."""
        step = max(1, -(-len(self.values) // most))
        return [f"{value:016x}" for value in self.values[::step].tolist()]

    def __len__(self) -> int:
        return len(self.values)

    def __or__(self, other: Fingerprints) -> Fingerprints:
        return Fingerprints(np.concatenate([self.values, other.values]))

    def without(self, contents: Iterable[bytes]) -> Fingerprints:
        """Gives those that stand in none of `contents`: what only these texts say."""
        common = [np.empty(0, np.uint64)]
        for content in contents:
            forms = _forms(content.decode("utf-8", "replace"))
            common += [self._in_reduced(_reduced(form)) for form in forms]
        return Fingerprints(np.setdiff1d(self.values, np.concatenate(common)))

    def in_text(self, text: str) -> bool:
        """Tells whether a stretch of the texts stands in `text`."""
        return self.in_bytes(text.encode("utf-8", "surrogatepass"))

    def in_bytes(self, content: bytes) -> bool:
        """Tells whether a stretch of the texts stands in `content`."""
        return bool(len(self._in_reduced(_reduced(content))))

    def in_file(self, file: BinaryIO) -> bool:
        """Tells whether a stretch of the texts stands in the rest of `file`, read in blocks."""
        before = b""
        while block := file.read(_BLOCK):
            reduced = before + _reduced(block)
            if len(self._in_reduced(reduced)):
                return True
            before = reduced[-_WIDTH + 1 :]
        return False

    def _in_reduced(self, reduced: bytes) -> np.ndarray:
        """Gives the digests that are found, each as often as it stands there."""
        found = [np.empty(0, np.uint64)]
        if len(self.values):
            for start in range(0, len(reduced), _BLOCK):
                block = reduced[start : start + _BLOCK + _WIDTH - 1]
                heads = _heads(block)
                places = np.flatnonzero(self._heads[heads])
                digests = _digests(block, places)
                found.append(digests[np.isin(digests, self.values)])
        return np.concatenate(found)


def _forms(text: str) -> Iterator[bytes]:
    """Gives `text` as it stands in plain files, in JSON and in HTML."""
    for form in (text, json.dumps(text), html.escape(text)):
        yield form.encode("utf-8", "surrogatepass")


def _reduced(content: bytes) -> bytes:
    """Gives letters and digits alone, in lower case; bytes of other scripts stay."""
    return content.translate(_LOWER, _BLANK)


def _words(reduced: bytes) -> np.ndarray:
    """Gives the 64-bit word at each byte."""
    places = max(0, len(reduced) - _WORD + 1)
    return np.ndarray((places,), "<u8", reduced, strides=(1,)) if places else np.empty(0, "<u8")


def _heads(reduced: bytes) -> np.ndarray:
    words = _words(reduced)[: max(0, len(reduced) - _WIDTH + 1)]
    return (words * _ODD) >> np.uint64(_TAIL_BITS)


def _digests(reduced: bytes, places: np.ndarray | None = None) -> np.ndarray:
    """Gives the digest of the 32 bytes at each of `places`, by default at every byte."""
    if places is None:
        places = np.arange(max(0, len(reduced) - _WIDTH + 1))
    if not len(places):
        return np.empty(0, np.uint64)
    words = _words(reduced)
    tail = np.zeros(len(places), np.uint64)
    for offset in range(0, _WIDTH, _WORD):
        tail = (tail ^ words[places + offset]) * _ODD
        tail ^= tail >> np.uint64(29)  # what is above flows back into what the next product keeps
    head = (words[places] * _ODD) >> np.uint64(_TAIL_BITS)
    return (head << np.uint64(_TAIL_BITS)) | (tail >> np.uint64(_HEAD_BITS))
