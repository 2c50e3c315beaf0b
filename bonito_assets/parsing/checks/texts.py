"""Checks of the types that write: summarization, text_gen, paraphrase, sent_comp."""

from __future__ import annotations

import re

from bonito_assets.parsing.checks.judgement import ACCEPTED, Judgement, bare_answer
from bonito_assets.parsing.checks.questions import choice
from bonito_assets.parsing.options import options
from bonito_assets.parsing.words import (
    FUNCTION_WORDS,
    Passage,
    bare,
    meaningful,
    normal,
    numbers,
    within,
    words,
)
from bonito_assets.tables import CONTEXT_SLOT

# A text is about the passage when at least this share of its meaningful words is in it. A summary
# in words of its own still names the thing it is about: one word in eight.
_ABOUT = 0.125
# A paraphrase keeps the names and most of the things; below a fifth it is another sentence.
_REWORDED = 0.2
# Notes for a text, their frame ("write a text ...") taken off.
_NOTES = 0.25
# Twice as long is an explanation and no paraphrase.
_PARAPHRASE_LENGTH = 2.0
# Words inside a sentence: what is before them is looked at first, which is the faster order.
_NAME = re.compile(r"[a-z0-9,;] (?=([A-Z][a-z]{2,}))")
_CAPITALISED = re.compile(r"[a-z,;] (?=[A-Z])")
_INNER_WORD = re.compile(r"[a-z,;] (?=\w)")
_WRITING_WORDS = frozenset(
    "write generate compose create make text texts article articles passage paragraph story "
    "news review words stars points point key notes note title titled headline sentence "
    "sentences beginning short long following called named mention use using given based "
    "include including summary topic plot movie film bad good build around schreibe einen eine "
    "text".split()
)
# "in 200 words", "a 2-star review": what the text should be like, and no fact.
_MANNER = re.compile(
    r"\b\d+[ -](?:words?|sentences?|paragraphs?|points?|characters?|lines?|stars?)\b", re.IGNORECASE
)
_DIGIT = re.compile(r"\d")
_BULLET = re.compile(r"^[ \t]*[-*•][ \t]*(\S.*)$", re.MULTILINE)
# What leads to the beginning of a sentence on its line: "How does it end? The ferry ...".
_LEAD = re.compile(r"[:?]\s")
# Spanish and Spain, French and France: two letters may be all that they share. The other endings
# are those of many names too (Brian, Susan), which two letters would let in.
_OF_PLACES = ((("ish", "French"), 2), (("ese", "ian", "ians", "an", "ans"), 3))


def summarization(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Summarization: shorter than the passage, about it, with no number or name of its own."""
    if "##" in answer:
        return "template_residue", None
    if len(answer) >= len(passage.filling):
        return "not_shorter", None
    said = meaningful(normal(answer))
    if passage.shares(said) < _ABOUT:
        return "unrelated", None
    if _DIGIT.search(answer) and not passage.has_numbers(numbers(answer)):
        return "number_not_in_passage", None
    if not said <= passage.words and _foreign_names(answer, passage):
        return "name_not_in_passage", None
    return ACCEPTED


def _foreign_names(answer: str, passage: Passage) -> bool:
    """Tells whether `answer` has a name, a capital inside a sentence, that the passage has not.

    Where capitals stand on more than a quarter of the words inside sentences they mark no names:
    German nouns, and headlines.
    """
    if all(
        passage.has(normal(name)) or _is_of_a_place(name, passage) for name in _NAME.findall(answer)
    ):
        return False
    return all(
        len(_CAPITALISED.findall(text)) <= 0.25 * len(_INNER_WORD.findall(text)) + 2
        for text in (answer, passage.text)
    )


def _is_of_a_place(name: str, passage: Passage) -> bool:
    """Tells whether `name` looks like the adjective or the people of a place in the passage."""
    return any(
        name.endswith(endings) and re.search(rf"\b{name[:letters]}", passage.text)
        for endings, letters in _OF_PLACES
    )


def text_gen(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Text generation: notes or a title of the passage, and the passage itself as the answer."""
    if answer != CONTEXT_SLOT:
        return "answer_not_passage", None
    notes = normal(instruction)
    if within(passage.bare, notes):
        return "passage_copied", None
    said = meaningful(notes) - _WRITING_WORDS
    if _DIGIT.search(instruction) and not (
        passage.has_numbers(numbers(instruction))
        or passage.has_numbers(numbers(_MANNER.sub(" ", instruction)))
    ):
        return "number_not_in_passage", None
    shared = passage.shares(said)
    if shared < _NOTES:
        return "unsupported", None
    if shared == 1:
        return ACCEPTED
    for point in _BULLET.findall(instruction):
        made = meaningful(normal(point))
        if made and not passage.shares(made):
            return "unsupported", None
    return ACCEPTED


def paraphrase(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Paraphrase generation: the sentence in other words, neither a copy nor another sentence."""
    said = bare_answer(answer)
    said_words = words(said)
    if len(said_words) < 3:
        return "answer_too_short", None
    if within(said, passage.normal) or within(passage.bare, said):
        return "copied", None
    if len(answer) > _PARAPHRASE_LENGTH * len(passage.filling):
        return "answer_too_long", None
    if passage.shares(set(said_words) - FUNCTION_WORDS) < _REWORDED:
        return "unrelated", None
    if _DIGIT.search(answer) and not passage.has_numbers(numbers(answer)):
        return "number_not_in_passage", None
    return ACCEPTED


def sent_comp(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Sentence completion: one of the endings shown, or an ending that the passage does not have.

    Where the instruction begins a sentence of the passage, the passage must end it so.
    """
    begun = _begun(instruction)
    offered = options(instruction)
    if offered is not None and (offered.style != "listed" or begun is None):
        judged = choice(offered, answer)
        # An "or" in a line need not stand between endings.
        if offered.style != "listed" or judged[0] is None:
            return judged
    said = bare_answer(answer)
    if not words(said):
        return "answer_too_short", None
    if begun is not None and within(beginning := bare(begun), passage.normal):
        ends = within(f"{beginning} {said}", normal(passage.text).replace(",", ""))
        return ACCEPTED if ends or within(said, passage.normal) else ("answer_not_in_passage", None)
    return ("copied", None) if within(said, passage.normal) else ACCEPTED


def _begun(instruction: str) -> str | None:
    """Gives the beginning that the last line with three dots at its end wants ended, or None."""
    if "..." not in instruction and "…" not in instruction:
        return None
    for line in reversed(instruction.split("\n")):
        line = line.rstrip()
        if line.endswith(("...", "…")) and (begun := _LEAD.split(line.rstrip(".… "))[-1].strip()):
            return begun
    return None
