"""What is published is tuned again exactly when something that decides it has changed.

The training itself is replaced by a fake that writes other bytes each time and keeps count.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonito_assets import tables
from bonito_assets.catalogue import Corpus, Tuning
from bonito_assets.tuning import arms, lora, record
from bonito_assets.tuning.unchanged import STALE
from resources.model import Model
from resources.store import Store

BASE = Model("base", Path("/base"), "f" * 64)
TEXTS = {"d1": "the river rises .", "d2": "storks nest in spring .", "d3": "gravel floods ."}


class Trainings(list):
    """The arms that were trained, in order; each leaves an adapter of its own."""

    def tune(self, _base, rows, _validation, _passages, _settings, folder, log, *_):
        return self._train("bonito", len(rows), folder, log)

    def tune_on_text(self, _base, train, _validation, _settings, folder, log, *_):
        return self._train("tapt", len(list(train)), folder, log)

    def _train(self, arm, rows, folder, log):
        self.append(arm)
        log("tuning on it")
        (folder / "adapter_model.safetensors").write_bytes(f"{arm} {len(self)}".encode())
        (folder / "adapter_config.json").write_text("{}")
        return lora.Outcome(
            rows=rows,
            shortened=0,
            left_out=[],
            steps=2,
            losses=[(1, 0.1 + len(self)), (2, 1 / 3)],
            validation_loss=(2.0, 1.5),
            seconds=1.0,
            trained_parameters=8,
            precision="float32",
            method="lora",
            prompt="bonito" if arm == "bonito" else None,
            tokens=100,
            cards=1,
            resumed_at=[],
        )


@pytest.fixture
def trainings(monkeypatch):
    counted = Trainings()
    monkeypatch.setattr(lora, "tune", counted.tune)
    monkeypatch.setattr(lora, "tune_on_text", counted.tune_on_text)
    return counted


@pytest.fixture
def store(tmp_path):
    store = Store(root=str(tmp_path / "data"))
    read(store, TEXTS)
    publish(store, "v1")
    return store


def read(store, texts):
    chunks = [
        {
            "corpus": "meadows",
            "chunk_id": f"c {doc_id}",
            "doc_id": doc_id,
            "position": 0,
            "start_char": 0,
            "end_char": len(text),
            "text": text,
            "units": ["paragraph"],
        }
        for doc_id, text in texts.items()
    ]
    store.write("chunks", "meadows", tables.build("chunks", chunks))


def publish(store, version, *place):
    def rows(*documents):
        return pa.Table.from_pylist(
            [
                {"doc_id": doc, "generation_id": doc, "chunk_id": doc, "input": "?", "output": "!"}
                for doc in documents
            ]
        )

    with store.new_folder(*(place or ("instruction_dataset", "meadows"))) as folder:
        (folder / "data").mkdir()
        release = {} if version is None else {"version": version}
        if release:
            (folder / "release.json").write_text(json.dumps(release))
        pq.write_table(rows("d1", "d2"), folder / "data" / "train.parquet")
        pq.write_table(rows("d3"), folder / "data" / "validation.parquet")


def refresh(store, base=BASE, again=False, lines=None, **tuning):
    corpus = Corpus(
        name="meadows",
        folder=Path("/"),
        source={"files": "*.txt"},
        task_types=["ynqa"],
        tuning=tuning,
    )
    said = lines if lines is not None else []
    return arms.refresh(store, corpus, base, again, said.append)


def files(store):
    root = Path(store.root) / "tuned_model" / "meadows"
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_second_refresh_trains_nothing_and_leaves_every_file_alone(store, trainings):
    both = {"arms": ["bonito", "tapt"]}
    first = refresh(store, **both)
    before, lines = files(store), []
    assert refresh(store, lines=lines, **both) == first
    assert trainings == ["bonito", "tapt"]
    assert files(store) == before
    assert lines == ["unchanged: nothing was trained"]


def change_one_setting_of(key, value):
    def change(monkeypatch, store):
        return {key: value}

    return change


def another_base(monkeypatch, store):
    return {"base": dataclasses.replace(BASE, fingerprint="e" * 64)}


def the_base_under_another_name(monkeypatch, store):
    return {"base": dataclasses.replace(BASE, name="moved")}


def another_release(monkeypatch, store):
    publish(store, "v2")


def a_release_that_names_no_version(monkeypatch, store):
    publish(store, None)


def another_code(monkeypatch, store):
    monkeypatch.setattr(record, "CODE", "next")


def another_seed(monkeypatch, store):
    monkeypatch.setattr(record, "SEED", 7)


def another_library(monkeypatch, store):
    monkeypatch.setattr(record, "version", lambda name: "99")


def weights_that_rotted(monkeypatch, store):
    (model(store) / "adapter_model.safetensors").write_bytes(b"bonito 2")


def weights_that_are_gone(monkeypatch, store):
    (model(store) / "adapter_model.safetensors").unlink()


def a_config_that_is_gone(monkeypatch, store):
    (model(store) / "adapter_config.json").unlink()


def a_damaged_record(monkeypatch, store):
    path = model(store) / "training.json"
    path.write_text(path.read_text()[:50])


def a_record_from_before_the_digests(monkeypatch, store):
    path = model(store) / "training.json"
    kept = json.loads(path.read_text())
    del kept["code"]
    path.write_text(json.dumps(kept))


def a_forgotten_document(monkeypatch, store):
    (model(store) / STALE).write_text("{}")


def a_model_that_is_gone(monkeypatch, store):
    shutil.rmtree(model(store))


def a_person_who_asks(monkeypatch, store):
    return {"again": True}


def model(store):
    return store.folder("tuned_model", "meadows")


CHANGES = {
    "settings": change_one_setting_of("learning_rate", 0.5),
    "base_model": another_base,
    "base_model_by_name": the_base_under_another_name,
    "dataset_version": another_release,
    "no_version": a_release_that_names_no_version,
    "code": another_code,
    "seed": another_seed,
    "libraries": another_library,
    "weights": weights_that_rotted,
    "no_weights": weights_that_are_gone,
    "no_config": a_config_that_is_gone,
    "record": a_damaged_record,
    "old_record": a_record_from_before_the_digests,
    "forgotten": a_forgotten_document,
    "gone": a_model_that_is_gone,
    "again": a_person_who_asks,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_anything_that_decides_trains_anew(store, trainings, monkeypatch, change):
    refresh(store)
    changed = change(monkeypatch, store) or {}
    lines = []
    made = refresh(store, lines=lines, **changed)
    assert trainings == ["bonito", "bonito"]
    assert lines[0].startswith("tuning, because ")
    published = json.loads((model(store) / "training.json").read_text())
    assert published == json.loads(json.dumps(made["bonito"]))
    assert not (model(store) / STALE).exists()


def test_every_setting_of_an_arm_stands_in_the_record(store, trainings):
    settings = refresh(store)["bonito"]["settings"]
    assert settings.keys() | {"arms"} == Tuning.model_fields.keys()


@pytest.mark.parametrize(
    "document", ["d1", "d3"], ids=["a passage of training", "a passage of validation"]
)
def test_the_arm_of_raw_text_is_trained_anew_for_another_passage_and_the_other_is_not(
    store, trainings, document
):
    both = {"arms": ["bonito", "tapt"]}
    first = refresh(store, **both)
    read(store, {**TEXTS, document: "it rained ."})
    second = refresh(store, **both)
    assert trainings == ["bonito", "tapt", "tapt"]
    assert second["bonito"] == first["bonito"]
    kept = model(store) / "adapter_model.safetensors"
    assert kept.read_bytes() == b"bonito 1"
    assert (model(store) / "arms" / "tapt" / "adapter_model.safetensors").read_bytes() == b"tapt 3"
    refresh(store, **both)
    assert len(trainings) == 3


def test_a_new_release_of_the_same_passages_trains_the_arm_of_tasks_alone(store, trainings):
    both = {"arms": ["bonito", "tapt"]}
    refresh(store, **both)
    publish(store, "v2")
    refresh(store, **both)
    assert trainings == ["bonito", "tapt", "bonito"]


def test_an_arm_that_joins_or_leaves_costs_the_other_nothing(store, trainings):
    refresh(store)
    refresh(store, arms=["bonito", "tapt"])
    assert trainings == ["bonito", "tapt"]
    assert (model(store) / "arms" / "tapt").exists()
    refresh(store)
    assert trainings == ["bonito", "tapt"]
    assert not (model(store) / "arms").exists()
    assert (model(store) / "adapter_model.safetensors").read_bytes() == b"bonito 1"


def test_the_mixture_is_kept_and_trained_anew_by_the_same_rule(store, trainings):
    def refreshed(version, settings, again=False):
        publish(store, version, "instruction_mixture")
        return arms.refresh_mixture(store, ["meadows"], BASE, settings, again, lambda line: None)

    first = refreshed("m1", Tuning())
    assert refreshed("m1", Tuning()) == first
    assert len(trainings) == 1
    refreshed("m2", Tuning())
    refreshed("m2", Tuning(lora_r=8))
    refreshed("m2", Tuning(lora_r=8), again=True)
    assert len(trainings) == 4
