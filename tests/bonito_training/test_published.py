"""The authors' own pairs, read in the columns that they publish."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bonito_assets.bonito_training import published
from bonito_assets.bonito_training.data_set import Counts, DataSet
from bonito_assets.bonito_training.published import Published
from bonito_assets.generation.prompts import prompt

_ROW = {
    "context": "The mill grinds rye.",
    "task_input": "{{context}}\n\nWhat does it grind?",
    "task_output": "rye",
    "dataset": "mills",
    "dataset_config": "plain",
    "task_type": "extractive question answering",
    "input": "not read",
    "output": "not read",
}


def _pairs(folder: Path, rows: list[dict]) -> tuple[list, Counts]:
    path = folder / "ctga.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    counts = Counts()
    return list(published.pairs(Published(DataSet(str(path))), counts, 0)), counts


def test_a_row_becomes_a_pair_with_the_data_set_it_was_remixed_from(tmp_path: Path) -> None:
    (pair,), counts = _pairs(tmp_path, [_ROW])
    assert pair.task_type == "exqa"
    assert pair.prompt == prompt(_ROW["context"], "exqa")
    assert pair.completion == "{{context}}\n\nWhat does it grind?\n<|pipe|>\nrye"
    assert pair.source == "ctga-v1: mills/plain"
    assert pair.template is None
    assert (counts.rows, counts.pairs) == (1, 1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"task_output": ""}, "empty"),
        ({"task_type": "poetry"}, "task_type_unknown"),
        ({"task_input": "What does it grind?"}, "placeholder_missing"),
        ({"task_output": "{{context}}"}, "placeholder_missing"),
        ({"task_input": '{{context}}| join("") }}'}, "template_residue"),
        ({"task_output": "a <|pipe|> b"}, "format_marker"),
    ],
)
def test_rows_that_would_teach_a_fault_are_left_out(
    tmp_path: Path, changed: dict, reason: str
) -> None:
    made, counts = _pairs(tmp_path, [_ROW | changed, _ROW])
    assert len(made) == 1
    assert counts.left_out == {reason: 1}


def test_another_data_set_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no column 'task_input'; give BatsResearch/ctga-v1"):
        _pairs(tmp_path, [{"context": "x"}])
