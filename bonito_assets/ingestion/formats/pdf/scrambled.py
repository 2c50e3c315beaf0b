"""Tells which pages make no sense: letters that are not those of a language."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_VOWELS = frozenset("aeiouyæœøıə")
# Fewer letters than this say nothing about a language.
_ENOUGH_LETTERS = 20
_LONG_RUN = 5


def is_scrambled(text: str) -> bool:
    """Gives whether letters of `text` cannot be those of a language written in Latin script.

    In any such language, and in program code, runs of five consonants are rare (they hold up to 1%
    of the letters of a page, 20% of those of a sentence made up for it) and vowels are frequent (28
    to 44%, with y). Where every letter was given for another, runs hold a quarter at the median,
    and both signs together show two of three such pages. Texts of other scripts, of fewer than 200
    letters or of fewer than ten different ones (a genome) are never scrambled.
    """
    # Capitals and digits make codes, and longer words are keys or encoded data.
    words = [
        word
        for word in text.split()
        if len(word) <= 30 and not word.isupper() and not any(char.isdigit() for char in word)
    ]
    letters = [char for word in words for char in word.casefold() if char.isalpha()]
    latin = _latin(letters)
    if len(letters) < 200 or len(latin) < 0.8 * len(letters) or len(set(latin)) < 10:
        return False
    runs = _consonant_runs(" ".join(words))
    return runs > 0.1 * len(letters) and _vowels(latin) < 0.25 * len(latin)


def reads_like_words(text: str) -> bool:
    """Gives whether `text` can be of a language in Latin script; never where it is too short."""
    letters = [char for char in text.casefold() if char.isalpha()]
    visible = [char for char in text if not char.isspace()]
    latin = _latin(letters)
    return (
        len(letters) >= _ENOUGH_LETTERS
        and len(latin) > 0.9 * len(letters)
        and len(letters) > 0.6 * len(visible)
        # Latin-script languages have 35 to 50% vowels, counted with y.
        and 0.25 * len(latin) < _vowels(latin) < 0.6 * len(latin)
        and _consonant_runs(text) < 0.1 * len(letters)
    )


def _latin(letters: Iterable[str]) -> list[str]:
    return [char for char in letters if unicodedata.name(char, "").startswith("LATIN")]


def _vowels(letters: Iterable[str]) -> int:
    return sum(unicodedata.normalize("NFD", char)[0] in _VOWELS for char in letters)


def _consonant_runs(text: str) -> int:
    """Gives the number of letters of `text` that stand in a run of five consonants or more."""
    found = run = 0
    for char in [*unicodedata.normalize("NFD", text.casefold()), " "]:
        if unicodedata.category(char) == "Mn":
            continue
        if char.isalpha() and char not in _VOWELS:
            run += 1
            continue
        found += run if run >= _LONG_RUN else 0
        run = 0
    return found
