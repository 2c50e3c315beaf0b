"""What each task type promises, by examples: twelve or more of what is kept and of what is not."""

import pytest

from bonito_assets import tables
from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.parsing.judge import CHECKS, strict
from bonito_assets.parsing.words import Passage
from tests.parsing.well_formed import PASSAGES, ROWS

EXAMPLES = [
    pytest.param(task_type, part, row, id=f"{task_type} {part}: {row[-1]}")
    for task_type, parts in ROWS.items()
    for part, rows in parts.items()
    for row in rows
]


@pytest.mark.parametrize(("task_type", "part", "row"), EXAMPLES)
def test_an_output_is_judged_by_what_its_task_type_promises(task_type, part, row):
    passage, instruction, answer, expected, _ = row
    output = f"{instruction}\n<|pipe|>\n{answer}"
    task = strict(CHECKS, task_type, output, "stop", Passage(PASSAGES[passage]))
    if part == "accepted":
        assert (task.rejected_because, task.label) == (None, expected)
    else:
        assert (task.rejected_because, task.label) == (expected, None)


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_every_task_type_has_twelve_examples_of_each_kind(task_type):
    assert {part: len(rows) >= 12 for part, rows in ROWS[task_type].items()} == {
        "accepted": True,
        "rejected": True,
    }


def test_the_label_of_an_option_is_its_letter_and_behind_z_its_number():
    offered = "\n".join(f"- thing {place}" for place in range(1, 30))
    labels = [
        strict(CHECKS, "mcqa", f"{{{{context}}}}\n{offered}<|pipe|>thing {n}", "stop", Passage("P"))
        for n in (1, 26, 27, 29)
    ]
    assert [task.label for task in labels] == ["A", "Z", "27", "29"]


def test_every_verdict_of_the_examples_is_published():
    verdicts = {row[3] for parts in ROWS.values() for row in parts["rejected"]}
    assert verdicts <= set(tables.REJECTIONS)
