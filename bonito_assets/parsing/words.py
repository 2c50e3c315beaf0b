"""Text as the checks compare it: normalised, as words, as numbers; for scripts of all kinds."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Collection
from functools import cached_property

# Characters that differ in print only: quotation marks, dashes, and marks without a width.
_ALIKE = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»「」『』″", '"'),
        **dict.fromkeys("‘’‚‛`´′", "'"),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", None),
    }
)
OUTER_MARKS = " \t\r\n.,;:!?\"'()[]*_-。、，；：！？؟¿¡…·“”‘’«»„"
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_WORD = re.compile(r"[^\W_]+")
_BLANKED = bytes.maketrans(string.punctuation.encode(), b" " * len(string.punctuation))
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# Letters of scripts that put no space between words, or glue particles to them: from the CJK
# radicals on (Chinese, Japanese, Korean), and Thai, Lao, Burmese and Khmer.
_UNSPACED = re.compile(
    "[\u2e80-\ud7ff\uf900-\ufaff\uff66-\uffdc\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
)
# Two words with their first five letters in common count as one word in two forms.
_STEM = 5

# How English spells the numbers of everyday texts.
_NUMERALS = {
    str(value): (word,)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
} | {
    "1": ("one", "once", "first"), "2": ("two", "twice", "second"), "3": ("three", "third"),
    "30": ("thirty",), "40": ("forty",), "50": ("fifty", "half"), "60": ("sixty",),
    "70": ("seventy",), "80": ("eighty",), "90": ("ninety",), "100": ("hundred",),
    "1000": ("thousand",),
}  # fmt: skip

# Words that say nothing of what a text is about.
FUNCTION_WORDS = frozenset(
    "a about above after again all also an and any are as at be because been before being below "
    "both but by can could did do does doing done down during each even ever few for from further "
    "get had has have having he her here hers him his how i if in into is it its itself just made "
    "make many may me might more most much must my no nor not now of off on once only or other "
    "our ours out over own same shall she should so some such than that the their theirs them "
    "then there these they this those through to too under until up upon us very was we were what "
    "when where which while who whom whose why will with would yes yet you your "
    "s t d m ll re ve don didn doesn isn aren wasn weren won wouldn couldn shouldn "
    "der die das ein eine und ist im in von zu den dem des mit auf".split()
)


def normal(text: str) -> str:
    """Gives `text` for comparison: NFKC; case, quotes, dashes, blanks, 1,000 made alike."""
    if "," in text:
        text = _THOUSANDS.sub("", text)
    if text.isascii():
        return " ".join(text.lower().split())
    alike = unicodedata.normalize("NFKC", text).translate(_ALIKE).casefold()
    return " ".join(alike.split())


def bare(text: str) -> str:
    """Gives ``normal(text)`` without the punctuation around it."""
    return normal(text).strip(OUTER_MARKS)


def without_article(text: str) -> str:
    """Gives normalised `text` without an English article in front."""
    first, _, rest = text.partition(" ")
    return rest if rest and first in ("a", "an", "the") else text


def words(text: str) -> list[str]:
    """Gives the words of normalised `text`; in a script without spaces each letter is one."""
    if text.isascii():
        return _unpunctuated(text).split()  # a fifth of the pattern's time
    found = _WORD.findall(text)
    return [part for word in found for part in (word if _UNSPACED.search(word) else [word])]


def _unpunctuated(text: str) -> str:
    """Gives ASCII `text` with a blank for every punctuation mark."""
    return text.encode("ascii").translate(_BLANKED).decode("ascii")


def meaningful(text: str) -> set[str]:
    """Gives the words of normalised `text` that say what it is about."""
    return set(words(text)) - FUNCTION_WORDS


def numbers(text: str) -> set[str]:
    """Gives the numbers written in digits in `text`, without thousands separators.

    The number in front of an entry of a list is none of them.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if "\n" not in text and not text[:1].isdigit():
        return {found.replace(",", "") for found in _NUMBER.findall(text)}
    return {
        found.group().replace(",", "")
        for found in _NUMBER.finditer(text)
        if not _numbers_an_entry(text, *found.span())
    }


def _numbers_an_entry(text: str, start: int, end: int) -> bool:
    """Tells whether the number from `start` to `end` of `text` stands for its place in a list."""
    if end - start > 2 or text[end : end + 1] not in (".", ")"):
        return False
    return text[:start].rstrip(" \t")[-1:] in ("", "\n") and text[end + 1 : end + 2].isspace()


def within(words_sought: str, text: str) -> bool:
    """Tells whether normalised `words_sought` stands in normalised `text` as whole words."""
    start = text.find(words_sought) if words_sought else -1
    while start >= 0:
        end = start + len(words_sought)
        if not _cuts(text, start) and not _cuts(text, end):
            return True
        start = text.find(words_sought, start + 1)
    return False


def _cuts(text: str, place: int) -> bool:
    """Tells whether `place` lies inside a word."""
    if place <= 0 or place >= len(text):
        return False
    before, after = text[place - 1], text[place]
    if not (before.isalnum() and after.isalnum()):
        return False
    return not (_UNSPACED.match(before) or _UNSPACED.match(after))


def repeats_itself(text: str) -> bool:
    """Tells whether `text` says the same few words, or letters, over and over.

    In running text of up to 300 words more than four of ten are different ones; a model that is
    stuck stays far below. Without words to count, its letters are: of forty in a row, one in five
    differs at the least.
    """
    said = text.lower().split()
    if len(said) >= 8:
        return len(set(said)) < 0.35 * len(said)
    return len(text) >= 40 and len(set(text)) < 0.2 * min(len(text), 60)


class Passage:
    """A passage, with what the checks look up in it worked out once, when first asked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.filling = text.strip()

    @cached_property
    def normal(self) -> str:
        """Gives the normalised text."""
        return normal(self.text)

    @cached_property
    def bare(self) -> str:
        """Gives the normalised text without the punctuation around it."""
        return self.normal.strip(OUTER_MARKS)

    @cached_property
    def spread(self) -> str:
        """Gives the words with a blank before each and after the last."""
        if self.normal.isascii():
            return f" {_unpunctuated(self.normal)} "
        return f" {' '.join(words(self.normal))} "

    @cached_property
    def words(self) -> frozenset[str]:
        """Gives the different words."""
        return frozenset(self.spread.split())

    @cached_property
    def numbers(self) -> set[str]:
        """Gives the numbers written in digits, also those with letters on them: 5m, 18th."""
        return numbers(self.text)

    @cached_property
    def is_english(self) -> bool:
        """Tells whether there are English function words in it; a short passage may have none."""
        return not self.words.isdisjoint(("the", "and", "of", "is", "was", "to", "a", "we", "i"))

    def has(self, word: str) -> bool:
        """Tells whether normalised `word`, or another form of it, is in the passage."""
        return word in self.words or (len(word) >= _STEM and f" {word[:_STEM]}" in self.spread)

    def shares(self, said: set[str]) -> float:
        """Gives the share of the words `said` that the passage has too, 0 to 1."""
        if not said:
            return 0.0
        others = said - self.words
        return 1 - sum(not self.has(word) for word in others) / len(said)

    def has_numbers(self, found: Collection[str]) -> bool:
        """Tells whether the passage has all the numbers `found`, in digits or in English words."""
        return all(map(self._has_number, found))

    def _has_number(self, number: str) -> bool:
        # What numbers an entry of a list is a word, though none of the numbers.
        if number in self.words or number in self.numbers:
            return True
        return not self.words.isdisjoint(_NUMERALS.get(number, ()))
