"""What makes two short texts the same, such as two questions or two answers."""

from __future__ import annotations

import re

from bonito_assets.parsing.words import normal

# Marks that say nothing: those of sentences, quotations, brackets, emphasis and blanks to fill in.
# What else there is (%, $, +, =, #) tells one thing from another.
_SILENT = str.maketrans(dict.fromkeys("!?\"'()[]{}_;…·¡¿،؟。、「」『』《》〈〉【】", " "))
# These say nothing either, unless they are part of a number: 3.5, 3/5, -5, but not "covid-19".
_SILENT_BUT_IN_NUMBERS = re.compile(r"(?<!\d)[,:/*]|[,:/*](?!\d)|[-.](?!\d)|(?<=[^\W\d])[-.]")
# "'s" is left out: the tenant's. After the words of a question it is a verb.
_CONTRACTED = re.compile(r"\b(can't|won't|shan't)|n't\b|'(re|ll|ve|m)\b")
_VERBS = {"re": " are", "ll": " will", "ve": " have", "m": " am"}
_NEGATED = {"can't": "cannot", "won't": "will not", "shan't": "shall not"}
_IS = re.compile(r"\b(what|who|where|when|why|how|it|that|there|here|he|she)'s\b")


def canonical(text: str) -> str:
    """Gives the form that an instruction or an answer shares with its mere respellings.

    Alike are case, blanks, marks of punctuation, kinds of quotes and dashes, 1,000 and 1000, a
    contraction and its long form, and whether "the" stands anywhere. Every other word counts, with
    its order: names, numbers and their signs, negations, "a" (which may be an option, a grade or a
    vitamin), and the order of options, on which the letter of the answer depends.
    """
    plain = normal(text)
    form = plain
    if "'" in form:
        form = _IS.sub(r"\1 is", _CONTRACTED.sub(_long_form, form))
    words = []
    for word in form.translate(_SILENT).split():
        words += [word] if word.isalnum() else _SILENT_BUT_IN_NUMBERS.sub(" ", word).split()
    if "the" in words:
        words = [word for word in words if word != "the"]
    return " ".join(words) or plain


def _long_form(found: re.Match[str]) -> str:
    if found[1]:
        return _NEGATED[found[1]]
    return _VERBS[found[2]] if found[2] else " not"
