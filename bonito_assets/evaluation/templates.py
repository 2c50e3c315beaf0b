"""How a question is worded. Every kind of question has five wordings, as in the Bonito paper.

All arms get the same wordings. The first is the same for every set of choices, so that reports with
one template compare. Most begin with the passage: what prompts begin with alike is computed once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bonito_assets.evaluation.test_set import CHOICE, Question

MOST = 5

_GENERAL = "{context}\n\n{question}\n\nChoose one of these answers: {choices}."

SQUAD = (
    "{context}\n\n{question}\n\nAnswer with words from the text above.",
    "{context}\n\nQuestion: {question}\nQuote the few words of the text that answer it.",
    "{question}\n\nFind the answer in this text and copy it:\n{context}",
    "{context}\n\nAfter reading this: {question} Give the shortest answer that the text holds.",
    '{context}\n\nWhich part of the text answers "{question}"?',
)
YES_NO = (
    _GENERAL,
    "{context}\n\n{question} Answer with {alternatives}.",
    "{question}\n\nSay {alternatives}, going by this text:\n{context}",
    '{context}\n\nA reader of this asks: "{question}" What is the right reply, {alternatives}?',
    "{context}\n\nQuestion: {question}\nIs the answer {alternatives}?",
)
YES_NO_MAYBE = (
    _GENERAL,
    "{context}\n\n{question} Answer with {alternatives}.",
    "{question}\n\nSum up what this text says about it as {alternatives}:\n{context}",
    "{context}\n\nAs far as the text can tell, {question} Reply with {alternatives}.",
    "{context}\n\nQuestion: {question}\nDo the findings above say {alternatives}?",
)
CLAIM = (
    _GENERAL,
    "{context}\n\nClaim: {question}\nHow does the text stand to the claim: {alternatives}?",
    "Claim: {question}\n\nText:\n{context}\n\nName the relation of text and claim: {alternatives}.",
    '{context}\n\nSuppose all this is true. What of "{question}" then? Say {alternatives}.',
    "{context}\n\nSomeone concludes: {question}\nThe verdict on that is {alternatives}. Which?",
)
GENERIC = (
    _GENERAL,
    "{context}\n\nQuestion: {question}\nPossible answers: {choices}\nWhich one is right?",
    "{question}\n\nGo by this text:\n{context}\n\nPick one: {choices}.",
    '{context}\n\nHaving read this, what is your answer to "{question}": {alternatives}?',
    "{context}\n\nDecide between {alternatives}. {question}",
)

# Sets of choices by their letters and digits in lower case; the last three are claims as test sets
# of natural language inference and of fact verification label them.
_SETS = {
    frozenset({"yes", "no"}): YES_NO,
    frozenset({"true", "false"}): YES_NO,
    frozenset({"yes", "no", "maybe"}): YES_NO_MAYBE,
    frozenset({"entailment", "neutral", "contradiction"}): CLAIM,
    frozenset({"entailment", "notmentioned", "contradiction"}): CLAIM,
    frozenset({"supports", "refutes", "notenoughinfo"}): CLAIM,
}


def templates(metric: str, choices: Sequence[str]) -> tuple[str, ...]:
    """Gives the five templates for questions with these `choices`, or for free answers."""
    if metric != CHOICE:
        return SQUAD
    return _SETS.get(frozenset(re.sub(r"\W|_", "", choice).lower() for choice in choices), GENERIC)


def worded(template: str, question: Question) -> str:
    """Gives the instruction that `template` makes of a question; its passage is in it once."""
    *others, last = question.choices or ("",)
    return template.format(
        context=question.context,
        question=question.question,
        choices=", ".join(question.choices),
        alternatives=f"{', '.join(others)} or {last}" if others else last,
    ).strip()
