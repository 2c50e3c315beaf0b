"""The assets in a real Dagster run, over a store that holds a small published dataset."""

import json
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from bonito_assets import tables
from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.tuning import assets
from bonito_assets.tuning.assets import mixture_model, tuned_model
from bonito_assets.tuning.base_model import BaseModel
from resources.store import Store

TUNING = {"max_steps": 2, "lora_r": 4, "batch_size": 4, "max_tokens": 64, "learning_rate": 0.01}
PASSAGES = [f"the river rises in spring and floods meadow {n} ." for n in range(8)]


@pytest.fixture
def house(tmp_path, base):
    """A store with passages of eight documents, of which the last two are for validation."""
    store = Store(root=str(tmp_path / "data"))
    chunks = [
        {
            "corpus": "meadows",
            "chunk_id": f"c{n}",
            "doc_id": f"d{n}",
            "position": 0,
            "start_char": 0,
            "end_char": len(text),
            "text": text,
            "units": ["paragraph"],
            "rejected_because": "boilerplate" if n == 0 else None,
        }
        for n, text in enumerate(PASSAGES)
    ]
    store.write("chunks", "meadows", tables.build("chunks", chunks))
    publish(store, "instruction_dataset", "meadows")
    catalogue = Catalogue(folder=str(tmp_path / "corpora"))
    describe(catalogue, TUNING)
    return store, catalogue, BaseModel(name=base.name)


def publish(store, *place, version="v7"):
    rows = [
        {
            "corpus": "meadows",
            "doc_id": f"d{n}",
            "generation_id": f"g{n}",
            "chunk_id": f"c{n}",
            "input": f"{PASSAGES[n]}\n\nis it ?",
            "output": "yes",
        }
        for n in range(1, 8)
    ]
    with store.new_folder(*place) as folder:
        (folder / "data").mkdir()
        (folder / "release.json").write_text(json.dumps({"version": version}))
        for split, part in (("train", rows[:-2]), ("validation", rows[-2:])):
            pq.write_table(pa.Table.from_pylist(part), folder / "data" / f"{split}.parquet")


def describe(catalogue, tuning):
    folder = Path(catalogue.folder)
    folder.mkdir(exist_ok=True)
    corpus = {"source": {"files": "*.txt"}, "task_types": ["ynqa"], "tuning": tuning}
    (folder / "meadows.yaml").write_text(yaml.safe_dump(corpus))


def run(house, asset, config=None):
    store, catalogue, base_model = house
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(corpora.name, ["meadows"])
        return dg.materialize(
            [asset],
            partition_key="meadows" if asset is tuned_model else None,
            instance=instance,
            raise_on_error=False,
            run_config={"ops": {asset.op.name: {"config": config}}} if config else None,
            resources={"store": store, "catalogue": catalogue, "base_model": base_model},
        )


def metadata(result, asset):
    [event] = result.asset_materializations_for_node(asset)
    return {key: value.value for key, value in event.metadata.items()}


def version(result, asset):
    [event] = result.asset_materializations_for_node(asset)
    return event.tags["dagster/data_version"]


def failure(result):
    [event] = result.get_step_failure_events()
    return event.step_failure_data.user_failure_data.description


def test_the_second_arm_reads_the_accepted_passages_of_training_documents(house, tokenizer):
    describe(house[1], {**TUNING, "arms": ["bonito", "tapt"]})
    result = run(house, tuned_model)
    assert result.success
    folder = house[0].folder("tuned_model", "meadows")
    bonito = json.loads((folder / "training.json").read_text())
    tapt = json.loads((folder / "arms" / "tapt" / "training.json").read_text())
    assert (bonito["arm"], tapt["arm"]) == ("bonito", "tapt")
    assert bonito["adapter_sha256"] != tapt["adapter_sha256"]
    read = sum(len(tokenizer(text)["input_ids"]) + 1 for text in PASSAGES[1:-2])
    assert tapt["rows"] == -(-read // TUNING["max_tokens"])
    assert tapt["validation_loss"]["after"] < tapt["validation_loss"]["before"]
    shown = metadata(result, "tuned_model")
    assert shown["tapt: steps"] == shown["steps"] == 2


def test_one_adapter_is_published_where_no_arm_is_asked_for(house):
    assert run(house, tuned_model).success
    folder = house[0].folder("tuned_model", "meadows")
    assert not (folder / "arms").exists()
    assert (folder / "adapter_config.json").exists()


def test_nothing_unfinished_is_left_when_a_model_is_published(house):
    assert run(house, tuned_model).success
    root = Path(house[0].root) / "tuned_model"
    assert [path.name for path in root.rglob("checkpoint-*")] == []
    assert [path.name for path in root.iterdir() if path.name != ".checkpoints"] == ["meadows"]


def test_an_unchanged_model_is_reported_as_when_it_was_trained(house):
    describe(house[1], {**TUNING, "arms": ["bonito", "tapt"]})
    first, second = run(house, tuned_model), run(house, tuned_model)
    assert metadata(first, "tuned_model") == metadata(second, "tuned_model")
    assert version(first, "tuned_model") == version(second, "tuned_model")
    publish(house[0], "instruction_mixture")
    first, second = (run(house, mixture_model, {"tuning": TUNING}) for _ in range(2))
    assert metadata(first, "mixture_model") == metadata(second, "mixture_model")
    assert version(first, "mixture_model") == version(second, "mixture_model")


def test_a_person_has_an_unchanged_model_trained_again_by_config(house):
    folders = []
    for config in (None, None, {"again": True}):
        assert run(house, tuned_model, config).success
        folders.append(house[0].folder("tuned_model", "meadows").stat().st_ino)
    assert folders[0] == folders[1] != folders[2]


def test_a_damaged_dataset_is_told_and_the_earlier_model_stays(house):
    assert run(house, tuned_model).success
    publish(house[0], "instruction_dataset", "meadows", version="v8")
    split = house[0].folder("instruction_dataset", "meadows") / "data" / "train.parquet"
    split.write_bytes(split.read_bytes()[:100])
    assert "train.parquet is damaged" in failure(run(house, tuned_model))
    assert (house[0].folder("tuned_model", "meadows") / "training.json").exists()


def test_the_mixture_is_tuned_as_a_corpus_is(house):
    publish(house[0], "instruction_mixture")
    result = run(house, mixture_model, {"tuning": TUNING})
    assert result.success
    record = json.loads((house[0].folder("mixture_model") / "training.json").read_text())
    assert (record["corpus"], record["rows"], record["steps"]) == ("instruction_mixture", 5, 2)
    assert metadata(result, "mixture_model")["dataset version"] == "v7"


def test_a_wrong_setting_of_the_mixture_is_named(house):
    publish(house[0], "instruction_mixture")
    message = failure(run(house, mixture_model, {"tuning": {"max_step": 2}}))
    assert "unknown key 'max_step'; did you mean 'max_steps'?" in message


def test_a_published_model_is_exported_by_the_command(house, monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from bonito_assets.cli import app

    store, _, base = house
    monkeypatch.setenv("BONITO_DATA", store.root)
    monkeypatch.setenv("BONITO_BASE_MODEL", base.name)
    call = CliRunner().invoke
    missing = call(app, ["export", "meadows", str(tmp_path / "merged")])
    assert missing.exit_code == 1
    assert "no tuned model yet: bonito run meadows" in missing.stderr
    assert run(house, tuned_model).success
    assert call(app, ["export", "meadows", str(tmp_path / "merged")]).exit_code == 0
    assert (tmp_path / "merged" / "model.safetensors").exists()
    other = call(app, ["export", "meadows", str(tmp_path / "tapt"), "--arm", "tapt"])
    assert "has no arm 'tapt'" in other.stderr


@pytest.mark.parametrize(
    ("losses", "held_out", "passed"),
    [
        ([3, 1, 2, 0], None, True),
        ([1, 1, 2, 2], None, False),
        # What was held out counts where there is any, whatever the training loss does.
        ([3, 0], {"before": 1.0, "after": 1.5}, False),
        ([0, 3], {"before": 1.5, "after": 1.0}, True),
    ],
)
def test_a_loss_that_did_not_fall_is_a_warning_that_says_where_to_look(losses, held_out, passed):
    points = [{"step": step, "loss": loss} for step, loss in enumerate(losses)]
    check = assets._loss_fell({"losses": points, "validation_loss": held_out})
    assert check.passed is passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert ("learning_rate" in check.description) is not passed
