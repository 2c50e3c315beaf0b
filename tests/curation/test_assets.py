"""The assets of curation, as Dagster runs them: what a person sees, and what stops a run."""

import json

import dagster as dg
import pyarrow as pa
import pytest

from bonito_assets.catalogue import Catalogue
from bonito_assets.curation import assets
from bonito_assets.curation.refresh import Report
from bonito_assets.tuning.base_model import BaseModel
from resources.store import Store
from resources.vllm_engine import VllmEngine
from tests.curation.made import HARBOUR, put, row

SOURCE = "source: {files: x}\ntask_types: [exqa, ynqa]\n"
ROWS = [
    row("Who pays the rent?", "The tenant"),
    row("Who pays the rent?", "the tenant", mean_logprob=-2.0),
    row("Who sold the mud?", "the council | with | pipes", HARBOUR),
    *(row(f"Is {i} paid? Yes or No?", "Yes", task_type="ynqa", label="yes") for i in range(9)),
    row("Is it old? Yes or No?", "No", task_type="ynqa", label="no"),
    row(None, None, rejected_because="no_pipe"),
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    store = Store(root=str(tmp_path / "data"))

    def materialize(yaml="", rows=ROWS, asset=assets.curated_tasks, **resources):
        put(store, rows)
        (tmp_path / "c.yaml").write_text(SOURCE + yaml, encoding="utf-8")
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("corpora", ["c"])
            result = dg.materialize(
                [asset],
                partition_key="c",
                instance=instance,
                raise_on_error=False,
                resources={
                    "store": store, "catalogue": Catalogue(folder=str(tmp_path)), **resources
                },
            )  # fmt: skip
        result.store = store
        result.checks = {c.check_name: c for c in result.get_asset_check_evaluations()}
        return result

    return materialize


def metadata(result):
    [made] = result.asset_materializations_for_node(result.get_step_success_events()[0].step_key)
    return {name: value.value for name, value in made.metadata.items()}


def test_a_person_sees_counts_distributions_scores_and_the_funnel(run):
    result = run("curation: {max_share_per_label: 0.8}")
    assert result.success
    shown = metadata(result)
    assert shown["dagster/partition_row_count"] == len(ROWS)
    assert shown["accepted share"] == round(shown["accepted"] / len(ROWS), 4)
    assert "| ynqa |  | 10 | 83.3% | 5 |" in shown["task types and labels"]
    assert "| mean\\_logprob |" in shown["scores of kept rows"]
    assert shown["funnel"].startswith("![rows left](data:image/png;base64,")
    assert "exact\\_duplicate" in shown["verdicts"]
    assert shown["worked out: curation_features"] == len(ROWS)


def test_every_check_passes_on_a_corpus_without_fault(run):
    result = run("curation: {max_share_per_label: 0.8}")
    assert {name: check.passed for name, check in result.checks.items()} == {
        "schema_holds": True,
        "books_balance": True,
        "no_contamination": True,
        "most_kept": True,
        "labels_balanced": True,
    }


def test_a_task_type_of_nearly_one_label_is_a_warning_that_names_the_remedy(run):
    result = run(rows=[r for r in ROWS if r["label"] != "no"])
    check = result.checks["labels_balanced"]
    assert result.success
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "ynqa is 100% yes" in check.description
    assert "max_share_per_label" in check.description


def test_a_corpus_that_loses_more_than_half_is_a_warning_with_the_commonest_reason(run):
    result = run("curation: {max_per_passage: 2}")
    check = result.checks["most_kept"]
    assert result.success
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "over_represented" in check.description


def test_a_share_that_cannot_be_is_shown(run):
    shown = metadata(run("curation: {max_share_per_task_type: 0.1}"))
    assert "equal shares are the least there is" in shown["warnings"]


def test_contamination_is_counted_by_test_set(run, tmp_path):
    asked = "Who of all the people in the town was it that sold the mud of the harbour then?"
    question = {"id": "q1", "context": HARBOUR, "question": asked, "answers": ["the council"]}
    (tmp_path / "tests.jsonl").write_text(json.dumps(question) + "\n", encoding="utf-8")
    result = run("evaluation: {test: tests.jsonl, metric: squad}")
    assert result.success
    assert "tests.jsonl" in metadata(result)["contamination"]
    assert result.checks["no_contamination"].passed
    curated = result.store.read("curated_tasks", "c")
    assert curated.filter(pa.compute.field("transductive")).num_rows == 1


def test_an_accepted_row_that_overlaps_with_a_test_set_stops_the_run():
    check = assets._no_contamination(Report(contamination=[{"set": "t"}], overlapping=1))
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR


def test_a_test_set_that_cannot_be_read_is_named_and_the_last_table_stays(run):
    assert run().success
    result = run("evaluation: {test: nowhere.jsonl, metric: squad}")
    assert not result.success
    [failure] = result.get_step_failure_events()
    assert "nowhere.jsonl" in failure.step_failure_data.error.message
    assert result.store.read("curated_tasks", "c").num_rows == len(ROWS)


def test_a_model_of_embeddings_that_is_not_there_is_a_sentence_and_no_stack_of_calls(run, tmp_path):
    pytest.importorskip("model2vec")
    named = f"{{model: {tmp_path / 'gone'}, library: model2vec}}"
    result = run(f"curation: {{semantic_duplicates: {named}}}")
    assert not result.success
    [failed] = result.get_step_failure_events()
    assert (
        "correct curation.semantic_duplicates.model"
        in failed.step_failure_data.user_failure_data.description
    )


def test_a_corpus_that_asks_no_other_model_gets_through_without_one(run):
    result = run(
        asset=assets.round_trips,
        generator=VllmEngine(model="/nowhere"),
        base_model=BaseModel(name="/nowhere"),
    )
    assert result.success
    assert metadata(result)["asked"] == 0
    assert result.checks["schema_holds"].passed
    assert result.checks["books_balance"].passed
    assert "curation.round_trip" in result.checks["books_balance"].description


def test_a_row_of_tasks_without_an_answer_of_the_other_model_fails_the_books(run, tmp_path):
    result = run("curation: {round_trip: {model: other}}")
    corpus = Catalogue(folder=str(tmp_path)).corpus("c")
    assert assets._all_there(result.store, corpus, len(ROWS)).passed
    check = assets._all_there(result.store, corpus, len(ROWS) - 1)
    assert not check.passed
    assert f"{len(ROWS)} rows were due" in check.description


def test_another_model_that_is_not_there_is_named(run):
    result = run(
        "curation: {round_trip: {model: /nowhere/at/all}}",
        asset=assets.round_trips,
        generator=VllmEngine(model="/nowhere"),
        base_model=BaseModel(name="/nowhere"),
    )
    assert not result.success
    [failure] = result.get_step_failure_events()
    assert "/nowhere/at/all" in failure.step_failure_data.error.message
