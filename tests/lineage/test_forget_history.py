"""What Dagster remembers of a document goes, while others use its files, and the rest stays."""

import sqlite3
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from bonito_assets.lineage.forget.fingerprints import Fingerprints
from bonito_assets.lineage.forget.history import REMOVED, History, materialization

PARTITIONS = dg.DynamicPartitionsDefinition(name="corpora")
SAID = "The lighthouse keeper wrote the name of the drowned captain into the book of the harbour."
OTHER = "The baker counts the loaves on the upper shelf and writes the number on a slate."
SHORT = "Old Amadeus"  # too short for a fingerprint


@pytest.fixture
def instance(tmp_path):
    logs = {
        "module": "dagster.core.storage.local_compute_log_manager",
        "class": "LocalComputeLogManager",
        "config": {"base_dir": str(tmp_path / "logs")},
    }
    home = tmp_path / "home"
    home.mkdir()
    with dg.instance_for_test(temp_dir=str(home), overrides={"compute_logs": logs}) as opened:
        opened.add_dynamic_partitions("corpora", ["letters", "others"])
        yield opened


def materialized(instance, partition="letters", version="1", sample=OTHER, log=OTHER, fails=False):
    """Runs an asset that shows and says something, and one that comes after it."""

    @dg.asset(partitions_def=PARTITIONS, code_version="1")
    def documents(context: dg.AssetExecutionContext):
        context.log.info(log)
        if fails:
            raise ValueError(log)
        print(log)  # noqa: T201 - a step's own output, which Dagster keeps
        shown = {"rows": 7, "sample": dg.MetadataValue.md(sample)}
        return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(version))

    @dg.asset(deps=[documents], partitions_def=PARTITIONS, code_version="1")
    def chunks():
        return dg.MaterializeResult(data_version=dg.DataVersion("c" + version))

    dg.materialize(
        [documents, chunks], instance=instance, partition_key=partition, raise_on_error=False
    )
    return [documents, chunks]


def files_that_say(folder, *texts):
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and any(text.encode() in path.read_bytes() for text in texts)
    ]


def forget(instance, *texts):
    return History(instance, "run").forget("letters", Fingerprints.of(texts))


def last_metadata(instance, partition="letters"):
    record = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("documents"), asset_partitions=[partition]), limit=1
    ).records[0]
    return record.asset_materialization.metadata


def test_no_byte_of_it_is_left_in_samples_logs_and_errors(instance, tmp_path):
    materialized(instance, sample=f"| text |\n| --- |\n| {SHORT} |", log=SAID)
    materialized(instance, log=SAID, fails=True)
    assert len(files_that_say(tmp_path, SAID, SHORT)) > 2
    done = forget(instance, SAID)
    assert files_that_say(tmp_path, SAID, SHORT) == []
    assert done.events > 0
    assert done.logs > 0


def test_events_can_still_be_read_and_the_other_values_are_as_they_were(instance):
    materialized(instance, sample=SAID)
    forget(instance, SAID)
    metadata = last_metadata(instance)
    assert metadata["rows"].value == 7
    assert metadata["sample"].value == REMOVED
    [run] = instance.get_runs()
    assert all(
        record.event_log_entry for record in instance.get_records_for_run(run.run_id).records
    )
    assert instance.get_latest_materialization_event(dg.AssetKey("documents"))


def test_samples_of_another_corpus_stay_unless_they_say_it(instance):
    materialized(instance, partition="others", sample=OTHER)
    forget(instance, SAID)
    assert last_metadata(instance, "others")["sample"].value == OTHER
    materialized(instance, partition="others", sample=SAID)
    forget(instance, SAID)
    assert last_metadata(instance, "others")["sample"].value == REMOVED


def test_what_a_later_event_had_replaced_is_gone_from_free_pages_too(instance, tmp_path):
    materialized(instance, sample=SAID)
    materialized(instance, sample=OTHER)
    forget(instance, SAID)
    assert files_that_say(tmp_path, SAID) == []


@contextmanager
def open_elsewhere(instance):
    """Keeps a connection to each of Dagster's files, as the UI and the daemon do."""
    folder = Path(instance.event_log_storage.path_for_shard("index")).parent
    opened = [sqlite3.connect(path) for path in folder.glob("*.db")]
    for connection in opened:
        connection.execute("select count(*) from event_logs").fetchall()
    yield
    for connection in opened:
        assert connection.execute("select count(*) from event_logs").fetchone()[0]
        connection.close()


def test_it_goes_while_others_have_the_files_open(instance, tmp_path):
    materialized(instance, sample=SAID)
    with open_elsewhere(instance):
        forget(instance, SAID)
        assert files_that_say(tmp_path, SAID) == []


def test_forgetting_again_changes_nothing(instance):
    materialized(instance, sample=SAID, log=SAID)
    forget(instance, SAID)
    assert (done := forget(instance, SAID)).events == done.logs == 0


def test_the_folders_that_are_searched_hold_all_of_dagsters_files(instance, tmp_path):
    materialized(instance)
    folders = History(instance, "run").folders()
    files = [str(p) for p in (tmp_path / "home").rglob("*.db")]
    files += [str(p) for p in (tmp_path / "logs").rglob("*.out")]
    assert all(any(file.startswith(f"{folder}/") for folder in folders) for file in files)


# Whether what is cut is fresh


def causes(instance, assets, name):
    from dagster._core.definitions.data_version import CachingStaleStatusResolver
    from dagster._core.loader import LoadingContextForTest

    graph = dg.Definitions(assets=assets).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return [cause.reason for cause in resolver.get_stale_causes(dg.AssetKey(name), "letters")]


def lost_rows(instance, name, version):
    made = materialization(instance, name, "letters", version, {})
    if made is not None:
        instance.report_runless_asset_event(made)
    return made


def test_what_was_fresh_is_fresh_after_rows_were_lost(instance):
    assets = materialized(instance)
    assert lost_rows(instance, "documents", "1 without")
    assert causes(instance, assets, "chunks")
    assert lost_rows(instance, "chunks", "c1 without")
    assert causes(instance, assets, "chunks") == []


def test_what_was_stale_is_stale_after_rows_were_lost(instance):
    assets = materialized(instance)
    version = {"dagster/data_version": "2"}
    instance.report_runless_asset_event(
        dg.AssetMaterialization("documents", partition="letters", tags=version)
    )
    lost_rows(instance, "documents", "2 without")
    lost_rows(instance, "chunks", "c1 without")
    assert causes(instance, assets, "chunks")


def test_nothing_is_told_of_what_lost_nothing_or_was_never_made(instance):
    materialized(instance)
    assert lost_rows(instance, "documents", "1") is None
    assert lost_rows(instance, "tasks", "1") is None
