"""What a check says, and the questions that several checks ask."""

from __future__ import annotations

import re
from collections.abc import Callable

from bonito_assets.parsing.labels import VOCABULARIES
from bonito_assets.parsing.words import FUNCTION_WORDS, OUTER_MARKS, Passage, normal, words

# The verdict, null = accepted, and the canonical label, null = none.
Judgement = tuple[str | None, str | None]
Check = Callable[[str, str, Passage], Judgement]

ACCEPTED: Judgement = (None, None)
LABEL_UNKNOWN: Judgement = ("label_unknown", None)

_QUESTION_MARK = re.compile(r"[?？؟;]")
_QUESTION_WORD = re.compile(
    r"\b(?:who|whom|whose|what|when|where|which|why|how|name|find|explain|describe|"
    r"choose|decide|tell|"
    r"(?:question|q|query)\s*:\s*\w)",
    re.IGNORECASE,
)
# "Question:" with nothing behind it but the place for the answer.
_UNASKED = re.compile(
    r"\b(?:question|q|query)[^\S\n]*:\s*(?:(?:answer|a)[^\S\n]*:|\Z)", re.IGNORECASE
)
_DOUBLE_QUOTED = re.compile(r"[\"“„”«»]([^\"“„”«»]*)[\"“”«»]")
_SINGLE_QUOTED = re.compile(r"(?<!\w)['‘]([^'‘’\n]*)['’](?!\w)")

# Words of the frames in which statements and sentences are set; what is left is the statement.
FRAME_WORDS = FUNCTION_WORDS | frozenset(
    (
        "1 2 3 4 a b c d after all another answer answers article assume assuming based below "
        "choose choice choices claim claims class conclude concluded conclusion consider context "
        "correct decide definitely describe description determine document either entail entails "
        "entailed equal equivalent exam express expresses expressed fact false follow following "
        "follows given guaranteed hypothesis imply implies implied incorrect infer inferred "
        "justified keep keeping keeps know known like likely line lines maybe mean meaning means "
        "meant mind must next one option options order paragraph paraphrase paraphrases "
        "paraphrased passage phrase possible premise previous question questions quiz read "
        "reading replace replaced rephrase rephrased respond reword rewrite rewritten right said "
        "say saying says second sense sentence sentences similar statement statements suppose "
        "supported supports sure take tell text texts thing things three true truth two "
        "understand use used using want way whether word words world pair pairs compare"
    ).split()
)


def asks(instruction: str) -> bool:
    """Tells whether `instruction` asks: a mark, a question word, or ``Question: ...``."""
    if _UNASKED.search(instruction):
        return False
    return (
        "?" in instruction
        or _QUESTION_MARK.search(instruction) is not None
        or _QUESTION_WORD.search(instruction) is not None
    )


def says_something(instruction: str) -> bool:
    """Tells whether there is a word in `instruction` besides those of a frame."""
    for part in instruction.lower().split():
        word = part.strip(OUTER_MARKS).partition("'")[0]
        if word and word not in FRAME_WORDS and not FRAME_WORDS.issuperset(words(word)):
            return True
    return False


def quotations(instruction: str) -> list[str]:
    """Gives what stands in double and then in single quotation marks, empty ones too."""
    found = _DOUBLE_QUOTED.findall(instruction)
    if "'" in instruction or "‘" in instruction:
        found += _SINGLE_QUOTED.findall(instruction)
    return found


def labelled(task_type: str, instruction: str, answer: str) -> tuple[str | None, str]:
    """Gives the label of `answer`, None for one that is not allowed, and the instruction's rest.

    The rest is what `instruction` says besides naming its choices.
    """
    vocabulary = VOCABULARIES[task_type]
    named, rest = vocabulary.parts(instruction)
    return vocabulary.label(named, answer), rest


def bare_answer(answer: str) -> str:
    """Gives the normalised answer without the punctuation around it."""
    return normal(answer).strip(OUTER_MARKS)
