"""Checks of the types that judge a statement: nli, te, paraphrase_id, wsd, coref."""

from __future__ import annotations

import re
from collections.abc import Collection

from bonito_assets.parsing.checks.judgement import (
    LABEL_UNKNOWN,
    Judgement,
    labelled,
    quotations,
    says_something,
)
from bonito_assets.parsing.words import Passage, bare, normal, within, without_article, words

_VOWELS = re.compile(r"[aeiouyäöü]+")
# Forms that neither an ending nor a change of vowel explains.
_IRREGULAR = {
    form: forms.split()[0]
    for forms in (
        "go went gone goes,be is are was were been,buy bought,bring brought,think thought,"
        "catch caught,teach taught,fight fought,seek sought,sell sold,tell told,make made,say said,"
        "leave left,lose lost,keep kept,sleep slept,feel felt,mean meant,build built,send sent,"
        "spend spent,stand stood,bear born bore,do did done,have has had,eat ate,see saw seen,"
        "lie lay lain,good better best,bad worse worst,person people,child children,mouse mice,"
        "hear heard,pay paid,bend bent,lend lent,deal dealt,creep crept,sweep swept,leaf leaves"
    ).split(",")
    for form in forms.split()
}
_ENDINGS = re.compile(r"(?:ings?|ed|es|s|er|d)$")
# Where a coreference instruction names the phrase that a pronoun may stand for.
_MEANT = re.compile(
    r"\s(?:refer(?:s|ring)? to|stands? for|means?|meant|is referring to|denotes?)\b\s*(.*)"
)
_PHRASE_END = re.compile(r"[?.!\n]")
_QUOTED_FIRST = re.compile(r"\s*[\"“'‘]([^\"”’]+)[\"”'’]")
_NAMED_WORD = re.compile(r"\b(?:word|pronoun|term)\s+(?:is\s+)?(\w+)", re.IGNORECASE)


def nli(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Natural language inference: a claim, and whether it follows, is contradicted or open."""
    return _statement("nli", instruction, answer, passage)


def te(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Textual entailment: a claim, and whether it follows."""
    return _statement("te", instruction, answer, passage)


def paraphrase_id(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Paraphrase identification: a second sentence, and whether it says the same."""
    return _statement("paraphrase_id", instruction, answer, passage)


def _statement(task_type: str, instruction: str, answer: str, passage: Passage) -> Judgement:
    label, own = labelled(task_type, instruction, answer)
    if label is None:
        return LABEL_UNKNOWN
    quoted = quotations(own)
    # A quotation of several words is the claim; one word may be a word of the frame.
    if not any(" " in text.strip() for text in quoted):
        empty = quoted and not "".join(quoted).strip()
        if empty or not says_something(own):
            return "claim_missing", None
    # A copy is about as long as the passage: most claims are not, and need no comparison.
    copied = len(own) > 0.9 * len(passage.bare) > 0 and within(passage.bare, normal(own))
    return ("claim_copied", None) if copied else (None, label)


def wsd(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Word sense disambiguation: a word that is in the passage and in a second sentence."""
    label, own = labelled("wsd", instruction, answer)
    if label is None:
        return LABEL_UNKNOWN
    candidates = _named_words(instruction)
    if not candidates:
        return "word_missing", None
    own = own if own.isascii() else normal(own)
    for word in candidates:
        # Once the word is named, and once more it must stand in the second sentence.
        if _has_form(word, passage.words) and _has_form(word, words(own.replace(word, " ", 1))):
            return None, label
    return "word_absent", None


def _named_words(instruction: str) -> list[str]:
    """Gives the words, of one to three parts, that are quoted, or that are called a word."""
    quoted = [bare(text) for text in quotations(instruction)]
    short = [text for text in quoted if 1 <= len(text.split()) <= 3]
    return short or [found.lower() for found in _NAMED_WORD.findall(instruction)]


def _has_form(word: str, others: Collection[str]) -> bool:
    """Tells whether one of `others` is a form of `word`: its last part may be inflected."""
    last = word.split()[-1]
    return last in others or any(_same_word(last, other) for other in others)


def _same_word(one: str, other: str) -> bool:
    if one == other or _IRREGULAR.get(one, one) == _IRREGULAR.get(other, other):
        return True
    if one[0] != other[0]:
        return False
    if _root(one) == _root(other):
        return True
    # run and ran, take and took: the vowels change and the other letters stay.
    return (
        abs(len(one) - len(other)) <= 1
        and len(one) > 2
        and _VOWELS.sub("", one) == _VOWELS.sub("", other) != ""
        and _VOWELS.sub("*", one).rstrip("*") == _VOWELS.sub("*", other).rstrip("*")
    )


def _root(word: str) -> str:
    """Gives `word` without an English ending: running, runs -> run; making, makes -> mak."""
    root = _ENDINGS.sub("", word) if len(word) > 3 else word
    if len(root) > 2 and root[-1] == root[-2]:
        root = root[:-1]
    return root.rstrip("e").replace("i", "y") if len(root) > 2 else root


def coref(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Coreference resolution: a pronoun and a phrase, both of the passage."""
    label, own = labelled("coref", instruction, answer)
    if label is None:
        return LABEL_UNKNOWN
    quoted = [bare(text) for text in quotations(own)]
    pronouns = [text for text in quoted if text and " " not in text]
    if not pronouns:
        return "word_missing", None
    phrase = _meant(own) or next((text for text in reversed(quoted) if text != pronouns[0]), "")
    if not phrase:
        return "word_missing", None
    if not any(pronoun in passage.words for pronoun in pronouns):
        return "word_absent", None
    if not within(without_article(phrase), passage.normal):
        return "word_absent", None
    return None, label


def _meant(instruction: str) -> str:
    """Gives the phrase after ``refer to`` or the like, normalised, or the empty string."""
    found = _MEANT.search(instruction)
    if found is None:
        return ""
    quoted = _QUOTED_FIRST.match(found[1])
    return bare(quoted[1] if quoted else _PHRASE_END.split(found[1], maxsplit=1)[0])
