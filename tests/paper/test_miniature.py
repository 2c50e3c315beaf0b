"""`bonito paper` from the terminal to the table, with the demonstration models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bonito_assets import settings

_WORKS = ("grinds rye", "weaves wool", "presses oil", "burns lime")


def _corpus(folder: Path, name: str, metric: str, task_type: str) -> None:
    documents = folder / name
    documents.mkdir()
    for number, work in enumerate(_WORKS):
        for year in (1802, 1843, 1871):
            place = f"{work.split()[1].title()}ton"
            text = (
                f"The mill at {place} {work} for the valley. Its wheel was built in {year} by "
                f"two brothers. Number {number} on the map is the mill at {place}."
            )
            (documents / f"{number}-{year}.txt").write_text(text)
    questions = []
    for number in range(24):
        windows = number + 30
        question = {
            "id": str(number),
            "context": f"The mill {_WORKS[number % 4]} and has {windows} windows.",
            "question": "How many windows has it?",
            "answers": [str(windows)],
        }
        if metric == "choice_f1":
            label = "Yes" if windows > 41 else "No"
            question["question"] = "Has it more than 41 windows?"
            question |= {"label": label, "choices": ["Yes", "No"], "answers": [label]}
        questions.append(json.dumps(question))
    (folder / f"{name}.jsonl").write_text("\n".join(questions))
    content = {
        "source": {"files": f"{name}/*"},
        "task_types": [task_type],
        "sampling": {"max_tokens": 64},
        "curation": {"near_duplicates": None},
        "tuning": {"arms": ["bonito", "tapt"], "learning_rate": 0.001, "max_steps": 2},
        "evaluation": {"test": f"{name}.jsonl", "metric": metric, "templates": 1},
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))


@pytest.mark.slow
def test_two_corpora_go_from_documents_to_the_table_and_are_not_run_twice(tmp_path: Path) -> None:
    folder = tmp_path / "corpora"
    folder.mkdir()
    _corpus(folder, "claims", "choice_f1", "ynqa")
    _corpus(folder, "spans", "squad", "exqa")
    home = tmp_path / "home"
    home.mkdir()
    own = (settings.PROJECT / "dagster.yaml").read_text().replace(".dagster", f"{home}/.dagster")
    (home / "dagster.yaml").write_text(own)
    surroundings = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "BONITO_DATA": str(tmp_path / "data"),
        "BONITO_MODEL": str(settings.DEMO_MODEL),
        "BONITO_BASE_MODEL": str(settings.DEMO_BASE_MODEL),
        "BONITO_ENGINE": "cpu",
    }

    def paper() -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "bonito"), "paper", "--corpora", str(folder)]
        return subprocess.run(command, env=surroundings, capture_output=True, text=True)

    first = paper()
    assert first.returncode == 0, first.stdout + first.stderr
    kept = (tmp_path / "data" / "paper" / "table.md").read_text()
    rows = [line.split(" | ") for line in kept.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows] == ["| corpus", "| ---", "| claims", "| spans", "| mean"]
    assert all(0 <= float(score) <= 100 for row in rows[2:] for score in row[2:5])
    second = paper()
    assert second.returncode == 0
    assert second.stdout.count("measured before, with the same settings") == 2
    assert "tuned_model" not in second.stdout
