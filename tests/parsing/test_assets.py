"""The asset in a real Dagster run: the table, its report, and the checks on what was kept."""

import dagster as dg
import pytest
import yaml

from bonito_assets import tables
from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.parsing.assets import MOST_KEPT, SOMETHING_KEPT, tasks
from resources.store import Store

TEXT = "The river is wide. It rises in spring."
GOOD = {
    "ynqa": "{{context}}\nIs the river wide? Yes or No?\n<|pipe|>\nYes",
    "exqa": "{{context}}\nWhen does it rise?\n<|pipe|>\nin spring",
}
BAD = {
    "ynqa": "{{context}}\nIs the river wide? Yes or No?\n<|pipe|>\nPerhaps | *so*",
    "exqa": "{{context}}\nWhen does it rise?\n<|pipe|>\nin autumn",
}


@pytest.fixture
def materialized(tmp_path):
    """Runs the asset over outputs given as (task type, output)."""
    store = Store(root=str(tmp_path / "data"))
    folder = tmp_path / "corpora"
    folder.mkdir()

    def run(outputs, **settings):
        content = {"source": {"files": "x.txt"}, "task_types": ["ynqa", "exqa"], **settings}
        (folder / "rivers.yaml").write_text(yaml.safe_dump(content))
        chunk = {"corpus": "rivers", "chunk_id": "k", "doc_id": "d", "position": 0,
                 "start_char": 0, "end_char": len(TEXT), "text": TEXT, "n_tokens": 9,
                 "units": ["paragraph"]}  # fmt: skip
        made = [
            {"corpus": "rivers", "generation_id": f"{i:016x}{i:016x}", "request_key": "r",
             "chunk_id": "k", "task_type": task_type, "sample": i, "output": output,
             "finish_reason": "stop", "rejected_because": None if output else "over_budget"}
            for i, (task_type, output) in enumerate(outputs)
        ]  # fmt: skip
        store.write("chunks", "rivers", tables.build("chunks", [chunk]))
        store.write("generations", "rivers", tables.build("generations", made))
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions(corpora.name, ["rivers"])
            done = dg.materialize(
                [tasks],
                instance=instance,
                partition_key="rivers",
                resources={"store": store, "catalogue": Catalogue(folder=str(folder))},
                raise_on_error=False,
            )
        checks = {e.check_name: e for e in done.get_asset_check_evaluations()}
        materializations = done.asset_materializations_for_node("tasks")
        return checks, materializations[0].metadata, store.read("tasks", "rivers")

    return run


def test_the_table_and_its_report_say_what_became_of_the_outputs(materialized):
    outputs = [(kind, GOOD[kind]) for kind in GOOD for _ in range(3)]
    checks, metadata, table = materialized([*outputs, ("ynqa", BAD["ynqa"]), ("exqa", None)])
    assert tables.verdicts(table) == {"accepted": 6, "label_unknown": 1, "over_budget": 1}
    assert all(check.passed for check in checks.values())
    assert metadata["kept of ynqa"].value == 0.75
    assert metadata["accepted share"].value == 0.75
    assert metadata["kept of exqa"].value == 1
    report = metadata["verdicts by task type"].value
    assert "| ynqa | label\\_unknown | 1 | 25.0% |" in report
    assert "Perhaps \\| \\*so\\*" in report
    assert metadata["kept"].value.startswith("![shares of the verdicts](data:image/png")
    assert "| ynqa | yes | 3 | 100.0% |" in metadata["labels of kept rows"].value


def test_a_task_type_that_keeps_under_half_is_warned_of_and_stops_nothing(materialized):
    outputs = [("ynqa", GOOD["ynqa"]), ("exqa", BAD["exqa"]), ("exqa", BAD["exqa"])]
    checks, _, _ = materialized(outputs)
    assert not checks[MOST_KEPT].passed
    assert checks[MOST_KEPT].severity is dg.AssetCheckSeverity.WARN
    assert "exqa 0%" in checks[MOST_KEPT].description
    assert "take it out of 'task_types' in rivers.yaml" in checks[MOST_KEPT].description
    assert checks[SOMETHING_KEPT].passed


def test_that_nothing_was_kept_is_an_error(materialized):
    checks, _, _ = materialized([("ynqa", BAD["ynqa"])])
    assert not checks[SOMETHING_KEPT].passed
    assert checks[SOMETHING_KEPT].severity is dg.AssetCheckSeverity.ERROR
    spec = next(spec for spec in tasks.check_specs if spec.name == SOMETHING_KEPT)
    assert spec.blocking


def test_outputs_that_were_never_written_say_nothing_of_a_task_type(materialized):
    checks, _, table = materialized([("ynqa", None), ("exqa", GOOD["exqa"])])
    assert checks[MOST_KEPT].passed
    assert checks["books_balance"].passed
    assert table.num_rows == 2


def test_a_corpus_may_keep_what_the_upstream_package_keeps(materialized):
    _, _, table = materialized([("ynqa", BAD["ynqa"])], parsing={"mode": "upstream"})
    assert table["rejected_because"].to_pylist() == [None]


def test_reading_the_same_outputs_again_gives_the_same_table(materialized):
    outputs = [("ynqa", GOOD["ynqa"]), ("exqa", BAD["exqa"])]
    assert materialized(outputs)[2].equals(materialized(outputs)[2])
