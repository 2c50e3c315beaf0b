"""What each task type promises, by examples: twelve that are kept and twelve that are not.

``examples/<task type>.yaml`` holds them as rows of passage, instruction, answer, the label (of one
that is kept) or the verdict (of one that is not), and why.
"""

from pathlib import Path

import pytest
import yaml

from bonito_assets import tables
from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.parsing.judge import CHECKS, strict
from bonito_assets.parsing.words import Passage

FOLDER = Path(__file__).with_name("examples")


def load(name):
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


PASSAGES = load("passages")
EXAMPLES = [
    pytest.param(task_type, part, row, id=f"{task_type} {part}: {row[-1]}")
    for task_type in TASK_TYPES
    for part, rows in load(task_type).items()
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
    assert {part: len(rows) >= 12 for part, rows in load(task_type).items()} == {
        "accepted": True,
        "rejected": True,
    }


def test_every_verdict_of_the_examples_is_published():
    verdicts = {row[3] for task_type in TASK_TYPES for row in load(task_type)["rejected"]}
    assert verdicts <= set(tables.REJECTIONS)
