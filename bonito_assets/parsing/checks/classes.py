"""Checks of the types that sort whole passages: sentiment, topic_class."""

from __future__ import annotations

import re
from functools import lru_cache

from bonito_assets.parsing.checks.judgement import Judgement, bare_answer
from bonito_assets.parsing.labels import VOCABULARIES
from bonito_assets.parsing.options import options
from bonito_assets.parsing.words import Passage, without_article

# Words by which a reviewer gives an opinion away, and words that other texts have as well.
STRONG_WORDS = frozenset(
    "amazing awesome awful beautiful beautifully boring brilliant charming cosy crap delicious "
    "delighted delightful disappointed disappointing disappointment disgusting dislike disliked "
    "dull enjoyable excellent fantastic flawless friendly funny gorgeous great hate hated hates "
    "horrible impressed impressive incredible inedible love loved lovely loves magnificent "
    "mediocre nasty outstanding overpriced perfect perfectly pleasantly regret rubbish rude sadly "
    "shame shoddy superb tasty tedious terrible terribly terrific thrilled ugly unfriendly "
    "unpleasant useless wonderful wonderfully worthless wow annoying disaster worst".split()
)
MILD_WORDS = frozenset(
    "bad best better broken cheap clean cold comfortable complain complained dirty enjoy enjoyed "
    "exciting fails fine fun glad good happy helpful joy nice noisy pleasant poor poorly praise "
    "recommend refund sad satisfied slow sorry unhappy useful waste wasted weak worse worth angry "
    "annoyed favourite favorite never bought buy liked stars recommended expected".split()
)
_SHORT_PASSAGE = 400  # characters
_RATED = re.compile(r"\b(?:stars?|rat(?:e|es|ed|ing)|score|scale|1\s*(?:-|–|to)\s*5)\b", re.I)
_STARS = re.compile(r"([1-5])( stars?)?(?: out of 5)?")
_UNFAVOURABLE = re.compile(r"\b(?:negative|bad|dissatisfied|unhappy|unflattering|dislike)\b", re.I)
_REVIEW = re.compile(r"(?:an? )?(positive|negative|good|bad|neutral) review")
# "This is definitely not a" wants the other word: "negative review" under a friendly one.
_DENIED = re.compile(r"\bnot an?\s*\Z", re.I)
_OPPOSITE = {"positive": "negative", "negative": "positive"}
# Yes and no answer a clause whose verb comes first, and no other question.
_YES_NO_CLAUSE = re.compile(
    r"(?:^|[.?!:;,\"“(])[ \t]*"
    r"(?:is|are|was|were|does|did|do|would|will|has|have|can|could|should)\b",
    re.I | re.M,
)
# Words that only make sense where the instruction says of what: of the wish to buy, of the light.
_NAMED_ONLY = frozenset(("increase", "decrease", "flattering", "unflattering"))
_MEANING = {"yes": "yes", "no": "no"}

# The classes of AG News and DBpedia, on which Bonito learned this type.
KNOWN_TOPICS = frozenset(
    {
        "world politics", "world news", "world", "sports", "business", "science and technology",
        "politician", "athlete", "business executive", "scientist",
        "company", "educational institution", "artist", "office holder", "mean of transportation",
        "building", "natural place", "village", "animal", "plant", "album", "film", "written work",
    }
)  # fmt: skip


# Instructions of these types hold no words of the passage, so the same ones come again and again.
_parts = lru_cache(maxsize=4096)(VOCABULARIES["sentiment"].parts)
_options = lru_cache(maxsize=4096)(options)


def opinionated(passage: Passage) -> bool:
    """Tells whether the passage gives an opinion; one that is not in English has the doubt.

    A strong word is enough in a short passage, or two mild ones; a long one needs one more.
    """
    given = 2 * len(passage.words & STRONG_WORDS) + len(passage.words & MILD_WORDS)
    needed = 2 if len(passage.text) <= _SHORT_PASSAGE else 3
    return given >= needed or not passage.is_english


def sentiment(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Sentiment: a label that the instruction allows, on a passage that holds an opinion."""
    label = _tone(instruction, answer)
    if label is None:
        return "label_unknown", None
    if label != "neutral" and not opinionated(passage):
        return "no_opinion", None
    return None, label


def _tone(instruction: str, answer: str) -> str | None:
    """Gives positive, negative or neutral as `answer` means it, or None."""
    said = bare_answer(answer)
    stars = _STARS.fullmatch(said)
    if stars and (stars[2] or _RATED.search(instruction)):
        return {"1": "negative", "2": "negative", "3": "neutral"}.get(stars[1], "positive")
    if review := _REVIEW.fullmatch(said):
        said = review[1]
    named, _ = _parts(instruction)
    if said in _NAMED_ONLY and said not in instruction.lower():
        return None
    label = VOCABULARIES["sentiment"].label(named, said)
    if label not in _MEANING:
        return _OPPOSITE.get(label) if _DENIED.search(instruction) else label
    # Yes and no answer a question for one tone; between two they mean nothing.
    if named - _MEANING.keys() or not (named or _YES_NO_CLAUSE.search(instruction)):
        return None
    favourable = _UNFAVOURABLE.search(instruction) is None
    return "positive" if (label == "yes") == favourable else "negative"


def topic_class(instruction: str, answer: str, passage: Passage) -> Judgement:
    """Topic classification: one of the classes that the instruction lists, or of the well-known."""
    said = without_article(bare_answer(answer))
    offered = _options(instruction)
    if offered is None:
        return (None, said) if said in KNOWN_TOPICS else ("label_unknown", None)
    place = offered.chosen(answer)
    if place is None:
        return "label_unknown", None
    return None, offered.texts[place] if offered.style != "listed" else said
