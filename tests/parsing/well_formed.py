"""The examples of what each task type promises, read from ``examples/<task type>.yaml``.

The rows are passage, instruction, answer, the label (of one that is kept) or the verdict (of one
that is not), and why.
"""

from pathlib import Path
from typing import NamedTuple

import yaml

from bonito_assets.catalogue import TASK_TYPES

FOLDER = Path(__file__).with_name("examples")


class Kept(NamedTuple):
    """An example that is kept, with its passage in place of the passage's name."""

    task_type: str
    passage: str
    instruction: str
    answer: str
    label: str | None


def load(name):
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


PASSAGES = load("passages")
ROWS = {task_type: load(task_type) for task_type in TASK_TYPES}
KEPT = [
    Kept(task_type, PASSAGES[row[0]], *row[1:4])
    for task_type, parts in ROWS.items()
    for row in parts["accepted"]
]
