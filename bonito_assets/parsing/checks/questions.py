"""Checks of the types that ask: exqa, mcqa, qg, qa, ynqa."""

from __future__ import annotations

import re

from bonito_assets.parsing.checks.judgement import (
    ACCEPTED,
    LABEL_UNKNOWN,
    Judgement,
    asks,
    bare_answer,
    labelled,
    quotations,
    says_something,
)
from bonito_assets.parsing.options import Options, options
from bonito_assets.parsing.words import Passage, bare, meaningful, normal, within, words

# What the training templates of extractive QA let a model say where there is no answer.
REFUSALS = frozenset(
    {
        "no i can't",
        "not answerable",
        "unanswerable",
        "can't answer",
        "cannot answer",
        "no answer",
        "insufficient information to provide an answer",
        "insufficient information",
    }
)
# Longer than any answer of SQuAD but a few; 25 to 40 words of English.
_SPAN_CHARS = 200
_SPAN_SHARE = 0.75
_CLOZE = re.compile(r"(?<![\"'“‘])@placeholder")
_LABELS = frozenset({"yes", "no", "true", "false", "maybe"})
_MARK = re.compile(r"\(?[a-h][.):]*", re.IGNORECASE)
_QUESTION_END = re.compile(r"[?？؟][\"'”’)\s]*$")
# A question begins with one of these; the other languages' questions have a mark at the end.
_QUESTION_START = re.compile(
    r"(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|will|"
    r"would|should|may|might|has|have|had|"
    r"(?:in|at|on|for|to|from|by|with|of|about|until|since) "
    r"(?:who|whom|whose|what|when|where|which|how))\b",
    re.IGNORECASE,
)
_GIVEN = re.compile(r"\banswer\b[^:\"\n?]{0,20}:\s*([^\n?]+)", re.IGNORECASE)
# Blanks inside a line only: where two parts could both take a newline, time is a power of their
# number.
_BLOCK = re.compile(
    r"question\s*:(?P<question>.*?)\n[^\S\n]*options[^\S\n]*:[^\S\n]*\n"
    r"(?P<options>.*?)\n[^\S\n]*answer[^\S\n]*:(?P<answer>.*)",
    re.IGNORECASE | re.DOTALL,
)
# "B She missed the cake": the mark of an option, before its text.
_MARKED = re.compile(r"\A\s*\(?(?:[A-H][.:)]*|[a-h][.:)]+)\s+(?=\S)")
_BLOCK_START = re.compile(r"\Aquestion\s*:\s*", re.IGNORECASE)


def exqa(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Extractive question answering: a question, and a span of the passage that answers it."""
    # A cloze asks by its gap, with a question mark or without.
    cloze = "@placeholder" in instruction
    if not (_CLOZE.search(instruction) if cloze else asks(instruction)):
        return "question_missing", None
    return span(answer, passage, instruction)


def span(answer: str, passage: Passage, instruction: str = "") -> Judgement:
    """Judges an answer that must be a stretch of the passage; a refusal to answer is one too."""
    if len(answer) > _SPAN_CHARS or len(answer) > _SPAN_SHARE * len(passage.filling):
        return "answer_too_long", None
    said = bare_answer(answer)
    if said in REFUSALS:
        return ACCEPTED
    if said in _LABELS:
        return "answer_of_other_type", None
    if not within(said, passage.normal):
        return "answer_not_in_passage", None
    if instruction and said == _question_of(instruction):
        return "answer_in_question", None
    return ACCEPTED


def _question_of(instruction: str) -> str:
    """Gives the last line of `instruction`, normalised, without a label such as ``Question:``."""
    last = instruction.strip().rpartition("\n")[2]
    return bare(last.rpartition(":")[2])


def mcqa(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Multiple-choice question answering: a question, its options, and one of them.

    The label is the letter of the option, so that their balance can be seen.
    """
    if "@placeholder" in instruction and not _CLOZE.search(instruction):
        return "question_missing", None
    return choice(options(instruction), answer)


def choice(offered: Options | None, answer: str) -> Judgement:
    """Judges an answer that must be one of the options `offered`."""
    if offered is None:
        return "options_missing", None
    if flaw := offered.flaw():
        return flaw, None
    place = offered.chosen(answer)
    if place is None:
        return "option_unknown", None
    # Behind Z the alphabet has no more letters.
    return None, chr(ord("A") + place) if place < 26 else str(place + 1)


def qg(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Question generation: the answer is a question, or a block of question, options and answer."""
    if _BLOCK_START.match(answer) and "\n" in answer:
        return _block(answer)
    said = normal(_BLOCK_START.sub("", answer, count=1))
    if len(words(said)) < 2:
        return "not_a_question", None
    if not (_QUESTION_END.search(answer) or _QUESTION_START.match(said)):
        return "not_a_question", None
    if said in passage.normal:
        return "copied", None
    if given := _given(instruction):
        if not within(given, passage.normal):
            return "answer_not_in_passage", None
        if within(given, said):
            return "answer_in_question", None
    return ACCEPTED


def _given(instruction: str) -> str | None:
    """Gives the answer that `instruction` wants a question for, normalised, or None.

    The mark of an option is no part of it, and a mark alone is none.
    """
    given = _given_text(instruction)
    if given is None or _MARK.fullmatch(given.strip()):
        return None
    return bare(_MARKED.sub("", given, count=1)) or None


def _given_text(instruction: str) -> str | None:
    if '"' in instruction or "“" in instruction or "'" in instruction:
        quoted = [text for text in quotations(instruction) if text.strip()]
        if quoted:
            return quoted[-1]
    # The last: "with the given choices and answer:" may announce it before.
    return next((text for text in reversed(_GIVEN.findall(instruction)) if bare(text)), None)


def _block(answer: str) -> Judgement:
    block = _BLOCK.match(answer)
    if block is None or not block["question"].strip():
        return "block_malformed", None
    offered = options(block["options"])
    if offered is None or offered.flaw() or offered.chosen(block["answer"].strip()) is None:
        return "block_malformed", None
    return ACCEPTED


def qa(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Question answering without choices: a question and an answer that the passage bears out."""
    said = bare_answer(answer)
    if len(said) == 1 and said.isdigit() and _RATED.search(instruction):
        return ACCEPTED if said in "12345" else ("label_unknown", None)
    if not asks(instruction):
        return "question_missing", None
    if _MARK.fullmatch(answer) or said in _LABELS:
        return "answer_of_other_type", None
    if said and said == _question_of(instruction):
        return "answer_in_question", None
    if within(said, passage.normal) or passage.shares(meaningful(said)) > 0:
        return ACCEPTED
    return "unsupported", None


# Asks for a rating; a score or a rate of which the passage tells is a number like others.
_RATED = re.compile(
    r"\bstars?\b|\brating\b|\brate (?:this|the|it)\b|\bscore would\b|"
    r"\bwould\b[^\n?.]{1,30}\brate\b|\b1\b[^\n]{0,12}(?:-|–|\bto) ?5\b",
    re.IGNORECASE,
)


def ynqa(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Yes-no question answering: a question or statement, and yes or no, or true or false."""
    label, asked = labelled("ynqa", instruction, answer)
    if label is None:
        return LABEL_UNKNOWN
    return (None, label) if says_something(asked) else ("question_missing", None)
