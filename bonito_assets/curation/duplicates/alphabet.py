"""How each code point is read when texts are compared: as part of a word, as a gap, or not at all.

Letters, digits and the marks on them make up words; all else parts words. Case and the Unicode
form do not matter: a code point is replaced by what compatibility decomposition and full case
folding make of it (Unicode 15, sections 3.7 and 5.18). Both look at one code point at a time, so a
table says all, and marks are taken together in a way that does not depend on their order.
"""

from __future__ import annotations

import functools
import itertools
import unicodedata
from typing import NamedTuple

import numpy as np

# What a code point is. A gap must be 0: what lies beyond the table is one.
GAP, LETTER, MARK, ALONE, NOTHING = range(5)

# Ends after the last variation selector; planes above hold private use only.
SIZE = 0xE01F0
_ASSIGNED = (range(0x80, 0x3400), range(0xA000, 0x20000), range(0x2F800, 0x2FA20),
             range(0xE0000, SIZE))  # fmt: skip
_IDEOGRAPHS = (range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0x20000, 0x323B0))
# Scripts written without blanks between words: each letter is compared as a word of its own.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x31FF),  # marks of repetition, kana, bopomofo
    (0xA000, 0xA4CF),  # Yi
    (0xA9E0, 0xA9FF),  # Burmese, extended
    (0xAA60, 0xAADF),  # Burmese, extended; Tai Viet
    (0xF900, 0xFAFF),  # ideographs for compatibility
    (0x11700, 0x1174F),  # Ahom
    (0x16FE0, 0x1B2FF),  # Tangut, Khitan, kana, Nushu
    (0x2F800, 0x2FA1F),  # ideographs for compatibility
)
# Hangul letters stand in this stretch, and Korean has blanks.
_SPACED = range(0x3131, 0x3190)
# Variation selectors, and the joiner of graphemes: they change the looks of a text only.
_UNSEEN = (range(0xFE00, 0xFE10), range(0xE0100, SIZE), range(0x180B, 0x1810), range(0x34F, 0x350))
# Of the format characters, the one that parts words: where a line may be broken in Thai or Khmer.
_ZERO_WIDTH_SPACE = 0x200B


class Alphabet(NamedTuple):
    """What each code point is, and what it becomes.

    ``ascii`` has for a byte the ASCII letter or digit that it becomes, and 0 for all other bytes.
    ``becomes[c]`` is a code point, or ``-1 - at`` where ``sequences[at]`` is a number of code
    points and they follow it.
    """

    ascii: np.ndarray
    kinds: np.ndarray
    becomes: np.ndarray
    sequences: np.ndarray


@functools.cache
def alphabet() -> Alphabet:
    """Gives the tables, made once in a process by the Unicode data of this Python."""
    plain = np.zeros(256, np.uint8)
    kinds = np.zeros(SIZE, np.uint8)
    becomes = np.arange(SIZE, dtype=np.int32)
    sequences: list[int] = []
    for code in range(0x80):
        becomes[code] = ord(chr(code).lower())
        if chr(code).isalnum():
            kinds[code], plain[code] = LETTER, becomes[code]
    for code in itertools.chain(*_ASSIGNED):
        category = unicodedata.category(chr(code))
        if category[0] not in "LNM":
            kinds[code] = NOTHING if category == "Cf" else GAP
        else:
            kinds[code] = MARK if category[0] == "M" else LETTER
        # Of what is not assigned, nothing can be said.
        folded = chr(code) if category == "Cn" else _folded(chr(code))
        if len(folded) == 1:
            becomes[code] = ord(folded)
        elif folded:
            becomes[code] = -1 - len(sequences)
            sequences += [len(folded), *map(ord, folded)]
    for stretch in _IDEOGRAPHS:
        kinds[stretch.start : stretch.stop] = ALONE
    for first, last in _UNSPACED:
        part = kinds[first : last + 1]
        part[part == LETTER] = ALONE
    part = kinds[_SPACED.start : _SPACED.stop]
    part[part == ALONE] = LETTER
    for stretch in _UNSEEN:
        kinds[stretch.start : stretch.stop] = NOTHING
    kinds[_ZERO_WIDTH_SPACE] = GAP
    return Alphabet(plain, kinds, becomes, np.array(sequences, np.int32))


def _folded(character: str) -> str:
    decomposed = unicodedata.normalize("NFKD", character)
    folded = unicodedata.normalize("NFKD", decomposed.casefold())
    # What was folded and decomposed can be foldable anew.
    return folded if folded == folded.casefold() else _folded(folded)
