"""Reads Bonito's output: instruction, ``<|pipe|>``, answer, with ``{{context}}`` for the passage.

The rule is the one of the upstream package at git HEAD (bonito/abstract.py): exactly one pipe, both
sides stripped, every ``{{context}}`` on either side replaced by the stripped passage.
"""

from __future__ import annotations

from typing import NamedTuple

from bonito_assets.tables import CONTEXT_SLOT, PIPE


class Task(NamedTuple):
    """Instruction and answer with the passage in place, or the code of the reason against them.

    Of a row that is refused after it was split, both are there too, so that a person can look.
    """

    input: str | None
    output: str | None
    label: str | None
    rejected_because: str | None


def upstream(output: str, passage: str) -> Task:
    """Gives what the upstream rule makes of one output; it has no labels. Never raises."""
    sides = output.split(PIPE)
    if len(sides) != 2:
        return Task(None, None, None, "no_pipe" if len(sides) < 2 else "two_pipes")
    # One pass: a slot inside the passage itself is text and stays.
    instruction, answer = (side.strip().replace(CONTEXT_SLOT, passage.strip()) for side in sides)
    return Task(instruction, answer, None, None)
