"""The asset in a real Dagster run: what it reports, and what keeps the last release in place."""

import dagster as dg
import pyarrow as pa
import pytest
import yaml

from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.publishing import assets
from bonito_assets.publishing.assets import instruction_dataset
from tests.publishing.made import CORPUS, catalogue_file, letters, put, read_json

pytestmark = pytest.mark.usefixtures("rows_alone")


@pytest.fixture
def publish(store, tmp_path):
    def run(content, **settings):
        put(store, content)
        catalogue_file(tmp_path, **settings)
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions(corpora.name, [CORPUS])
            done = dg.materialize(
                [instruction_dataset],
                instance=instance,
                partition_key=CORPUS,
                resources={"store": store, "catalogue": Catalogue(folder=str(tmp_path))},
                raise_on_error=False,
            )
        checks = {e.check_name: e for e in done.get_asset_check_evaluations()}
        made = done.asset_materializations_for_node("instruction_dataset")
        return done.success, checks, made[0].metadata if made else None

    return run


def version(store):
    return read_json(store.folder("instruction_dataset", CORPUS) / "release.json")["version"]


def test_a_release_reports_its_version_rows_and_checks(publish, store):
    success, checks, metadata = publish(letters(10))
    assert success
    assert set(checks) == {"release_not_smaller", "books_balance", "schema_holds"}
    assert all(check.passed for check in checks.values())
    assert metadata["version"].value == version(store)
    assert metadata["train"].value + metadata["validation"].value == 20
    assert metadata["page to review"].value.endswith(f"{CORPUS}/review.html")
    lineage = metadata["dagster/column_lineage"].value.deps_by_column
    assert lineage["start_char"][0].asset_key == dg.AssetKey("chunks")


def test_a_much_smaller_release_is_not_published_and_says_how_to_allow_it(publish, store):
    publish(letters(10))
    kept = version(store)
    success, checks, _ = publish(letters(4))
    assert not success
    check = checks["release_not_smaller"]
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert "8 rows, 20 in the last release" in check.description
    assert "publish: {allow_shrink: true}" in check.description
    assert f"{CORPUS}.yaml" in check.description
    assert version(store) == kept


def test_a_persons_word_allows_a_smaller_release(publish, store):
    publish(letters(10))
    before = version(store)
    assert publish(letters(4), publish={"allow_shrink": True})[0]
    assert version(store) != before


@pytest.mark.parametrize(("share", "success"), [(0.59, False), (0.6, True)])
def test_how_much_smaller_it_may_be_is_the_corpus_s_to_say(publish, share, success):
    publish(letters(10))
    assert publish(letters(4), publish={"max_shrink": share})[0] is success


def test_nothing_accepted_publishes_nothing_even_where_shrinking_is_allowed(publish, store):
    publish(letters(10))
    kept = version(store)
    success, checks, _ = publish(letters(10, kept=0), publish={"allow_shrink": True})
    assert not success
    assert "none of 10 generations was accepted" in checks["release_not_smaller"].description
    assert version(store) == kept


def test_books_that_do_not_reconcile_keep_the_last_release(publish, store, monkeypatch):
    publish(letters(10))
    kept = version(store)
    monkeypatch.setattr(assets, "problems", lambda _: ["a row is missing"])
    success, checks, metadata = publish(letters(11))
    assert not success
    assert metadata is None
    assert "a row is missing" in checks["books_balance"].description
    assert version(store) == kept


def test_files_with_other_columns_keep_the_last_release(publish, store, monkeypatch):
    publish(letters(10))
    kept = version(store)
    more = assets.PUBLISHED_COLUMNS.append(pa.field("answered_by", pa.string()))
    monkeypatch.setattr(assets, "PUBLISHED_COLUMNS", more)
    success, checks, _ = publish(letters(11))
    assert not success
    assert "column answered_by is missing" in checks["schema_holds"].description
    assert version(store) == kept


def test_every_check_stops_what_comes_after(publish):
    assert all(spec.blocking for spec in instruction_dataset.check_specs)


def test_the_catalogue_names_the_key_that_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="owner/name"):
        catalogue_file(tmp_path, publish={"hub": "name-alone"})
    text = (tmp_path / f"{CORPUS}.yaml").read_text()
    assert yaml.safe_load(text)["publish"] == {"hub": "name-alone"}
