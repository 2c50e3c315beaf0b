"""Prompts that a sane Bonito answers, asked before the first row of a refresh."""

from __future__ import annotations

from dataclasses import replace

from bonito_assets.catalogue import Corpus
from bonito_assets.generation.prompts import prompt
from resources.generator import Request

_PASSAGES = (
    "The library opens at nine in the morning. Members may borrow six books for three weeks.",
    "Water boils at 100 degrees Celsius at sea level. On a high mountain it boils earlier.",
    "The lease runs for two years. Either party may end it with three months' notice.",
    "The grey heron stands in shallow water. It eats fish, frogs and small eels.",
)
# Enough to see that words come out; a whole answer is not needed.
_TOKENS = 24


def canaries(corpus: Corpus) -> list[Request]:
    """Gives a few requests, drawn as the corpus draws, that are known to be answerable."""
    task_types = corpus.task_types
    return [
        Request(
            f"canary {number}",
            prompt(passage, task_type := task_types[number % len(task_types)]),
            replace(corpus.sampling.of(task_type), max_tokens=_TOKENS),
            seed=number,
        )
        for number, passage in enumerate(_PASSAGES)
    ]
