"""The options that an instruction offers, in the styles of Bonito's training templates.

==========  ====================================================================
lettered    ``A. x``, ``A: x``, ``A) x``, ``(A) x``, a line each or in one line
numbered    lines ``1. x``, ``Ending 1: x``
bulleted    lines ``- x``, ``* x``, ``• x``
quoted      ``"x" or "y"``
listed      ``x, y, z`` or ``x, y or z`` in one line
==========  ====================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from bonito_assets.parsing.words import OUTER_MARKS, normal, without_article

# "Options: A. x" begins the options on the line of their title.
_TITLE = re.compile(r"\b(?:options|choices)\s*:[ \t]*(?=\(?A[.:)]|[-*•])", re.IGNORECASE)
_LETTERED = re.compile(r"[ \t]*\(?([A-Ha-h])[.:)][ \t]*(.*)")
_SPACED = re.compile(r"[ \t]*([A-H])[ \t]+(\S.*)")
_INLINE = re.compile(
    r"(?<!\w)\(?([A-Ha-h])[.:)][ \t]+(\S[^\n]*?)(?=[,;]?[ \t]+\(?[A-Ha-h][.:)][ \t]|$)",
    re.MULTILINE,
)
_NUMBERED = re.compile(r"[ \t]*(?:\w+ )?\(?(\d)[.:)][ \t]*(.*)")
_BULLETED = re.compile(r"[ \t]*[-*•–][ \t]*(.*)")
_MARKED_LINES = (("lettered", _LETTERED), ("lettered", _SPACED), ("numbered", _NUMBERED))
# Without a first mark there is nothing to put in order.
_FIRST_MARK = re.compile(r"A[.:) \t]|a[.:)]|1[.:)]")
_QUOTED = re.compile(r"[\"“]([^\"“”\n]*)[\"”]")
_QUOTED_LIST = re.compile(r"(?:[\"“][^\"“”\n]*[\"”](?:\s*,)?\s*(?:or\s+)?){2,}", re.IGNORECASE)
# What parts the options of a line from each other, and a line of options from what leads to it.
_PARTED = re.compile(r"[,;]\s*(?:(?:or|oder|and)\s+)?|[，、；]|\s(?:or|oder)\s")
_LEAD = re.compile(r"[:：]\s|\s[-–]\s")
_OR = re.compile(r"\s(?:or|oder)\s")
_SENTENCE_END = re.compile(r"[?!.。？！](?:[\"'”’)]*)(?=\s|$)|\n")
_QUESTION_WORD = re.compile(r"(?:who|whom|whose|what|when|where|which|why|how)\b")
_CONDITION = re.compile(r"(?:if|suppose|assuming|because|since|according to|based on|given)\b")
_VERB_FIRST = re.compile(r"(?:is|are|was|were|does|did|do|would|will|has|have|can|could|should)\b")
_ALONE = re.compile(r"\(?([a-h]|\d)[.:)]*(?!\w)")
_LETTERS, _DIGITS = "abcdefgh", "123456789"
# Three things with commas between them are a list also where no "or" says so.
_LIST_WORDS = 3


class Options(NamedTuple):
    """The options in their order, normalised.

    Where they stand in a line of text, the first and the last may have words around them that are
    no part of the option: ``is it x``, ``y in the text``.
    """

    style: str
    texts: list[str]

    def flaw(self) -> str | None:
        """Gives the verdict on options among which nobody could choose."""
        if len(self.texts) < 2 or not all(self.texts) or len(set(self.texts)) < len(self.texts):
            return "options_unusable"
        return None

    def chosen(self, answer: str) -> int | None:
        """Gives the place of the one option that `answer` names, or None."""
        if len(answer) == 1 and self.style == "lettered":
            return self._by_mark(answer.lower())
        said = _bare(answer)
        if said in self.texts:
            return self.texts.index(said)
        if self.style in ("lettered", "numbered"):
            return self._by_mark(normal(answer))
        if self.style == "listed" and said:
            if self.texts[0].endswith(" " + said):
                return 0
            if self.texts[-1].startswith(said + " "):
                return len(self.texts) - 1
        return None

    def _by_mark(self, answer: str) -> int | None:
        """Gives the place of an option named by its letter or number, alone or with its text."""
        mark = answer.removeprefix("ending ")
        alone = _ALONE.match(mark)
        if alone is None:
            return None
        marks = _LETTERS if self.style == "lettered" else _DIGITS
        place = marks.find(alone[1])
        rest = _bare(mark[alone.end() :])
        if not 0 <= place < len(self.texts) or (rest and rest != self.texts[place]):
            return None
        return place


def options(instruction: str) -> Options | None:
    """Gives the options that `instruction` offers, or None where it offers none."""
    titled = "ptions" in instruction or "hoices" in instruction
    text = _TITLE.sub("\n", instruction) if titled else instruction
    lines = text.split("\n")
    if _FIRST_MARK.search(text):
        for style, pattern in _MARKED_LINES:
            found = _in_order([m.groups() for line in lines if (m := pattern.match(line))])
            # One line may begin so by chance: "A jug ...", "A:" for the answer, "1. x".
            if len(found) > 1:
                return Options(style, [_bare(text) for text in found])
            if pattern is _LETTERED:
                alone = found
        if len(found := _in_order(_INLINE.findall(text))) > 1 or any(found := alone):
            return Options("lettered", [_bare(text) for text in found])
    bullets = [m[1] for line in lines if (m := _BULLETED.match(line))]
    if len(bullets) > 1 and not bullets[0].strip():
        del bullets[0]  # the passage stood there
    if bullets:
        return Options("bulleted", [_bare(text) for text in bullets])
    if instruction.count('"') > 3 and (quoted := _QUOTED_LIST.findall(instruction)):
        return Options("quoted", [_bare(text) for text in _QUOTED.findall(quoted[-1])])
    return _listed(instruction)


def _in_order(marked: Iterable[tuple[str, ...]]) -> list[str]:
    """Gives the texts of the first options whose marks go A, B, C or 1, 2, 3."""
    texts = []
    for mark, text in marked:
        place = len(texts)
        if mark.lower() not in (_LETTERS[place : place + 1], _DIGITS[place : place + 1]):
            break
        texts.append(text)
    return texts


def _listed(instruction: str) -> Options | None:
    """Gives the options of the last sentence that lists some."""
    for sentence in reversed(_SENTENCE_END.split(instruction.lower())):
        if not _PARTED.search(sentence):
            continue
        *lead, list_ = _LEAD.split(sentence)
        texts = [text for text in map(_bare, _PARTED.split(list_)) if text]
        if len(texts) > 2 and not lead and _QUESTION_WORD.match(texts[0]):
            del texts[0]  # "Where is it, here or there?"
        elif texts and not lead and _CONDITION.match(texts[0]):
            # "If it rains, will there be more or less of it?"
            start = next((i for i, text in enumerate(texts) if _VERB_FIRST.match(text)), 0)
            del texts[:start]
        if len(texts) < 2 or all(text in _LETTERS for text in texts[1:]):
            continue  # "Answer with A, B or C" shows no options
        short = all(len(text.split()) <= _LIST_WORDS for text in texts[1:])
        if lead or _OR.search(list_) or (len(texts) > 2 and short):
            return Options("listed", texts)
    return None


def _bare(text: str) -> str:
    return without_article(normal(text).strip(OUTER_MARKS))
