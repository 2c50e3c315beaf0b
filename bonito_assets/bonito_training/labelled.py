"""Rows of labelled sets (a passage, a question, its label) as pairs."""

from __future__ import annotations

import random
from typing import Any

from bonito_assets.tables import CONTEXT_SLOT

_FOLLOWS = {"SUPPORTS": 0, "REFUTES": 1, "NOT ENOUGH INFO": 2}
_TRIPLES = (("Yes", "No", "Maybe"), ("True", "False", "Inconclusive"))


def pair(row: dict[str, Any], rng: random.Random) -> tuple[str, tuple[str, str]] | None:
    """Gives task type, instruction and answer of one row, or None for a form that is not known.

    Known are yes/no questions (labels yes and no), claims (labels SUPPORTS, REFUTES, NOT ENOUGH
    INFO) and other labels with the list of choices, which become topic classification.
    """
    label, choices, question = row.get("label"), row.get("choices") or [], row.get("question")
    if not label or not question or not 40 <= len(row["context"]) <= 700:
        return None
    if {c.lower() for c in choices} == {"yes", "no"}:
        asked = question[0].upper() + question[1:].rstrip("?") + "?"
        wording = rng.choice(("{c}\n\nQuestion: {q} Yes or No?", "{c}\n\nAnswer Yes or No: {q}"))
        return "ynqa", (wording.format(c=CONTEXT_SLOT, q=asked), label.capitalize())
    if label in _FOLLOWS:
        names = rng.choice(_TRIPLES)
        claim = question.rstrip(". ").replace('"', "'")
        wording = '{c}\n\nDoes it follow that "{s}"? {a}, {b} or {d}?'
        filled = wording.format(c=CONTEXT_SLOT, s=claim, a=names[0], b=names[1], d=names[2])
        return "nli", (filled, names[_FOLLOWS[label]])
    if label in choices and len(choices) > 2:
        listed = ", ".join(choices[:-1]) + " or " + choices[-1]
        return "topic_class", (f"{CONTEXT_SLOT}\n\n{question} {listed}?", label)
    return None
