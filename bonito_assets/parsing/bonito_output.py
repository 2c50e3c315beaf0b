"""Reads Bonito's output: instruction, ``<|pipe|>``, answer, with ``{{context}}`` for the passage.

The rule is the one of the upstream package at git HEAD (bonito/abstract.py): exactly one pipe, both
sides stripped, every ``{{context}}`` on either side replaced by the stripped passage.
"""

from __future__ import annotations

from typing import NamedTuple

from bonito_assets.tables import CONTEXT_SLOT, PIPE


class Parsed(NamedTuple):
    """Instruction and answer, or the code of the reason why there are none."""

    input: str | None
    output: str | None
    rejected_because: str | None


def parse(output: str, passage: str) -> Parsed:
    """Gives instruction and answer of one output, or the verdict on it. Never raises."""
    sides = output.split(PIPE)
    if len(sides) < 2:
        return Parsed(None, None, "no_pipe")
    if len(sides) > 2:
        return Parsed(None, None, "two_pipes")
    instruction, answer = (_fill(side.strip(), passage.strip()) for side in sides)
    return Parsed(instruction, answer, None)


def _fill(side: str, passage: str) -> str:
    # One pass: a slot inside the passage itself is text and stays.
    return side.replace(CONTEXT_SLOT, passage)
