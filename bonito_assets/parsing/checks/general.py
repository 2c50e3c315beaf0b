"""What holds for every task type: one place for the passage, and no traces of a template."""

from __future__ import annotations

import re
from typing import NamedTuple

from bonito_assets.parsing.checks.classes import opinionated
from bonito_assets.parsing.words import Passage, normal
from bonito_assets.tables import CONTEXT_SLOT, PIPE

# Marks of prompts, of the templates' language and of the corpora behind them. The templates of
# DREAM taught the model to write their filters: {{context}}| join("\n\n") | truncate(2048) }}
_RESIDUE = re.compile(
    r"\{\{|\}\}|\{%|%\}|\|\|\||<\||\|>|\|\s*join\(|\|\s*string\b|truncate\(2048\)|@highlight"
    r"|\{ \}"  # a third pair of braces around the slot, which a blank stands for
)
# The passage counts as written out when half of these looks into it are found, two at least.
_PROBE_CHARS = 40
_PROBE_STEP = 60


class _Frame(NamedTuple):
    """What an instruction says of a kind of text, and what a passage of that kind has in it.

    A passage that holds an opinion may well be a review, whatever its words.
    """

    said: re.Pattern[str]
    shown: re.Pattern[str]
    of_reviews: bool = False


_FRAMES = (
    _Frame(
        re.compile(
            r"\b(?:movie|film)(?:'s)?[- ](?:plot|review|script)|"
            r"\bplot of (?:a|the|this|that) (?:movie|film)"
        ),
        re.compile(r"\b(?:movies?|films?|cinema|plot|actors?|actress|director)\b", re.IGNORECASE),
    ),
    _Frame(
        re.compile(r"\bapps? with (?:the )?package|\b(?:this|the|an) app\b|\bapp review"),
        re.compile(r"\bapps?\b|\bapplication\b|\bdownload", re.IGNORECASE),
    ),
    _Frame(
        re.compile(
            r"\b(?:this|that|the|a|an|following|given|product|customer|restaurant|amazon|yelp)"
            r" (?:\w+ )?review\b|\breviewer\b|\bproduct review"
        ),
        re.compile(r"\breview|\bbought\b|\bpurchase", re.IGNORECASE),
        of_reviews=True,
    ),
    _Frame(
        re.compile(
            r"\b\d-star\b|\bstars?\b(?=.{0,60}\b(?:rat|giv|review|many))|"
            r"\b(?:rat\w*|giv\w*|many)\b.{0,60}\bstars?\b|\brate this\b|\bwould you rate\b"
        ),
        re.compile(r"\bstars?\b|\brat(?:e|ing)\b|\breview", re.IGNORECASE),
        of_reviews=True,
    ),
    _Frame(
        re.compile(r"\b(?:dialogue|conversation)\b"),
        re.compile(
            r"[\"“”«»„]|^\s*[-–]?\s*\w+\s*:\s|\b(?:said|says|asked|talk|dialogue|conversation)",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
)


def residue(output: str, slots: int) -> bool:
    """Tells whether `output`, besides one pipe and its slots, has marks of a prompt or template."""
    # Counted characters tell in nearly every case; the pattern takes ten times as long.
    if (
        output.count("|") == 2
        and output.count("{") == output.count("}") == 2 * slots
        and "@highlight" not in output
        and "truncate(" not in output
    ):
        return False
    return _RESIDUE.search(output.replace(PIPE, "\n", 1).replace(CONTEXT_SLOT, " ")) is not None


def holds(text: str, passage: Passage) -> bool:
    """Tells whether `text` holds the passage, whole or much of it."""
    return holds_much_of(text, passage) or (passage.bare != "" and passage.bare in normal(text))


def holds_much_of(text: str, passage: Passage) -> bool:
    """Tells whether `text` holds at least half of the passage, word for word.

    Looked at are stretches of the passage at equal distances; one of them alone is a quotation, so
    that a passage below 100 characters, a sentence, never counts.
    """
    whole = passage.filling
    starts = range(0, len(whole) - _PROBE_CHARS, _PROBE_STEP)
    found = sum(whole[start : start + _PROBE_CHARS] in text for start in starts)
    return found >= 2 and found >= len(starts) / 2


def foreign_frame(instruction: str, passage: Passage) -> bool:
    """Tells whether `instruction` takes the passage for a kind of text that it is not.

    Bonito was trained on reviews, films, apps and dialogues, and asks for them of any text.
    """
    said = instruction.lower()
    if not (
        "review" in said
        or "movie" in said
        or "film" in said
        or "app" in said
        or "star" in said
        or "rate" in said
        or "dialogue" in said
        or "conversation" in said
    ):
        return False
    return any(
        frame.said.search(said)
        and not frame.shown.search(passage.text)
        and not (frame.of_reviews and opinionated(passage))
        for frame in _FRAMES
    )
