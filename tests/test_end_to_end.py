"""The whole chain, once, with the real engine, the real Dagster and a real tuning step."""

import json
import os
import subprocess
import sys

import datasets
import duckdb
import pytest

DOCUMENTS = {
    "heron.md": "# The heron\n\nThe grey heron stands in shallow water for hours. It eats fish, "
    "frogs and small eels. A nest of sticks is built in a tall tree near the river.\n\n"
    "In March the female lays four pale blue eggs. Both parents sit on them for 26 days.",
    "terms.txt": "Members may borrow six books at a time. A loan lasts 21 days. The library "
    "charges 20 cents for each day that a book is late.\n\nA lost card costs five euros.",
    "broken.txt": bytes(range(256)) * 4,
}
CATALOGUE = """
source: {files: docs}
task_types: [exqa, ynqa]
chunking: {max_chars: 240}
sampling: {max_tokens: 96}
tuning: {max_steps: 3, batch_size: 4}
evaluation: {test: test.jsonl, metric: choice_f1}
"""
TEST_SET = [
    {"id": "1", "context": "A loan lasts 21 days.", "question": "Does a loan last 21 days?",
     "answers": ["Yes"], "label": "Yes", "choices": ["Yes", "No"]},
    {"id": "2", "context": "The shop opens at nine.", "question": "Does the shop open at ten?",
     "answers": ["No"], "label": "No", "choices": ["Yes", "No"]},
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("chain")
    docs = place / "corpora" / "docs"
    docs.mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (docs / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    (place / "corpora" / "three.yaml").write_text(CATALOGUE)
    (place / "corpora" / "test.jsonl").write_text("\n".join(json.dumps(row) for row in TEST_SET))
    (place / "home").mkdir()
    (place / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return place


def bonito(place, *arguments):
    return subprocess.run(
        [sys.executable, "-c", "from bonito_assets.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "DAGSTER_HOME": str(place / "home"),
            "BONITO_CORPORA": str(place / "corpora"),
            "BONITO_DATA": str(place / "data"),
            "HF_HUB_OFFLINE": "1",
        },
    )


@pytest.fixture(scope="module")
def ran(place):
    done = bonito(place, "run", "three")
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def query(place, sql):
    with duckdb.connect(str(place / "data" / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_every_row_is_accounted_for_from_document_to_published_row(place, ran):
    assert query(place, "select count(*), count(rejected_because) from documents") == [(3, 1)]
    (passages,) = query(place, "select count(*) from chunks")[0]
    counts = {
        table: query(place, f"select count(*), count(rejected_because) from {table}")[0]
        for table in ("generations", "tasks", "curated_tasks")
    }
    assert {rows for rows, _ in counts.values()} == {passages * 2}
    opened = datasets.load_dataset(
        str(place / "data" / "instruction_dataset" / "three"), cache_dir=str(place / "cache")
    )
    rows, rejected = counts["curated_tasks"]
    assert sum(split.num_rows for split in opened.values()) == rows - rejected


def test_every_passage_is_the_stretch_of_its_document_that_it_says(place, ran):
    wrong = query(
        place,
        "select count(*) from chunks c join documents d using (doc_id) "
        "where substr(d.text, c.start_char + 1, c.end_char - c.start_char) <> c.text",
    )
    assert wrong == [(0,)]


def test_outputs_are_those_of_a_real_model(place, ran):
    rows = query(
        place, "select output, mean_logprob, output_tokens, finish_reason from generations"
    )
    assert all(output for output, *_ in rows)
    assert all(-20 < logprob < 0 for _, logprob, *_ in rows)
    assert all(0 < tokens <= 96 for *_, tokens, _ in rows)
    assert {reason for *_, reason in rows} <= {"stop", "length"}


def test_the_estimate_comes_first_and_the_bill_is_kept(place, ran):
    foreseen = ran.stdout.index("estimate: ")
    assert foreseen < ran.stdout.index("starting the engine") < ran.stdout.index("bill: ")
    bill = query(place, "select generated, prompt_tokens, output_tokens from generation_bills")
    table = query(
        place,
        "select count(*), sum(prompt_tokens), sum(output_tokens) from generations "
        "where rejected_because is null",
    )
    assert bill == table


def test_base_and_tuned_model_are_scored_side_by_side(place, ran):
    report = json.loads((place / "data" / "evaluation" / "three" / "report.json").read_text())
    assert report["n"] == 2
    for arm in ("base", "tuned"):
        assert 0 <= report["arms"][arm]["macro_f1"] <= 1
    adapter = place / "data" / "tuned_model" / "three"
    assert (adapter / "adapter_model.safetensors").exists()
    assert json.loads((adapter / "training.json").read_text())["dataset_version"]


def test_the_closing_table_shows_the_books_and_the_scores(ran):
    for word in ("documents", "curated_tasks", "unsupported_format 1", "base", "tuned", "make ui"):
        assert word in ran.stdout


def test_a_second_refresh_pays_for_nothing_and_an_edit_for_its_own_passages(place, ran):
    docs = place / "corpora" / "docs"
    (docs / "heron.md").rename(docs / "a-bird.md")  # moved, and now the first
    again = bonito(place, "run", "three", "--to", "generations")
    assert "0 to generate" in again.stdout
    terms = docs / "terms.txt"
    terms.write_text(terms.read_text().replace("five euros", "six euros"))
    edited = bonito(place, "run", "three", "--to", "generations")
    assert "2 to generate" in edited.stdout


def test_status_tells_what_an_edit_made_stale(place, ran):
    shown = bonito(place, "status", "three")
    assert shown.returncode == 0, shown.stderr
    assert "fresh" in shown.stdout
    assert "stale" in shown.stdout
