"""Examples with the verdict that a careful reader gives, written apart from the checks.

A verdict says whether an output is what its task type promises, judged by its form and by the words
of the passage; whether a label is the right one takes a reader who understands both. Round 1 was
written before the checks, the later ones after, to see the checks on texts that they had not met.
"""

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.parsing.judge import CHECKS, strict
from bonito_assets.parsing.words import Passage

EXAMPLES = [
    json.loads(line)
    for line in Path(__file__).with_name("held_out.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.fixture(scope="module")
def outcomes():
    """Counts of (kept by the reader, kept by the checks), per task type and over all."""
    counts = defaultdict(Counter)
    for row in EXAMPLES:
        passage = Passage(row["passage"])
        task = strict(CHECKS, row["task_type"], row["output"], row["finish_reason"], passage)
        pair = row["keep"], task.rejected_because is None
        counts[row["task_type"]][pair] += 1
        counts["all"][pair] += 1
    return counts


def precision_and_recall(counts):
    """Gives the precision and recall of rejection."""
    right = counts[False, False]
    return right / (right + counts[True, False]), right / (right + counts[False, True])


def test_every_task_type_has_examples_of_both_kinds():
    kinds = Counter((row["task_type"], row["keep"]) for row in EXAMPLES)
    assert len(EXAMPLES) >= 600
    assert all(kinds[task_type, keep] >= 9 for task_type in TASK_TYPES for keep in (True, False))


def test_of_all_rejections_95_in_100_are_right_and_95_in_100_that_are_due_are_made(outcomes):
    assert min(precision_and_recall(outcomes["all"])) >= 0.95


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_no_task_type_is_judged_much_worse_than_the_others(outcomes, task_type):
    assert min(precision_and_recall(outcomes[task_type])) >= 0.9
