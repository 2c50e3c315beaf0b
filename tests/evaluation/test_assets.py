"""Both assets in a real Dagster run, over a store that holds a small published dataset."""

import copy
import json
import shutil
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from bonito_assets import tables
from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.evaluation.assets import evaluation
from bonito_assets.tuning.assets import tuned_model
from bonito_assets.tuning.base_model import BaseModel
from resources.store import Store

PASSAGES = [f"the river rises in spring and floods meadow {n} ." for n in range(6)]
TUNING = {"max_steps": 4, "lora_r": 4, "batch_size": 4, "max_tokens": 200, "learning_rate": 0.01}


@pytest.fixture(autouse=True)
def few_general_questions(monkeypatch):
    from bonito_assets.evaluation import refresh, regression

    few = regression.general_questions()[::7]
    monkeypatch.setattr(refresh, "general_questions", lambda: few)


@pytest.fixture
def house(tmp_path, base):
    """A store with the tables that tuning reads, and a catalogue that names a test set."""
    return furnish(tmp_path, base)


@pytest.fixture(scope="module")
def tuned_once(tmp_path_factory, base):
    place = tmp_path_factory.mktemp("tuned")
    assert run(furnish(place, base), tuned_model).success
    return place


@pytest.fixture
def tuned(tuned_once, tmp_path, base):
    """The same with a tuned model."""
    shutil.copytree(tuned_once, tmp_path, dirs_exist_ok=True)
    store, catalogue = (
        Store(root=str(tmp_path / "data")),
        Catalogue(folder=str(tmp_path / "corpora")),
    )
    return store, catalogue, BaseModel(name=base.name)


def furnish(tmp_path, base):
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
        }
        for n, text in enumerate(PASSAGES)
    ]
    store.write("chunks", "meadows", tables.build("chunks", chunks))
    publish(store, len(PASSAGES))
    questions = [
        {
            "id": f"q{n}",
            "context": text,
            "question": "is it spring ?",
            "answers": ["yes"],
            "label": "yes" if n % 2 else "no",
            "choices": ["yes", "no"],
        }
        for n, text in enumerate(PASSAGES)
    ]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, questions)))
    catalogue = Catalogue(folder=str(tmp_path / "corpora"))
    describe(catalogue, evaluation={"test": "../test.jsonl"})
    return store, catalogue, BaseModel(name=base.name)


def publish(store, count, version="v7"):
    rows = [
        {
            "generation_id": f"g{n}",
            "chunk_id": f"c{n}",
            "task_type": "exqa",
            "input": f"{PASSAGES[n]}\n\nis it ?",
            "output": "yes",
        }
        for n in range(count)
    ]
    names = ("generation_id", "chunk_id", "task_type", "input", "output")
    schema = pa.schema([(name, pa.string()) for name in names])
    with store.new_folder("instruction_dataset", "meadows") as folder:
        (folder / "data").mkdir()
        (folder / "release.json").write_text(json.dumps({"version": version}))
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "data" / "train.parquet")


def describe(catalogue, **more):
    folder = Path(catalogue.folder)
    folder.mkdir(exist_ok=True)
    corpus = {"source": {"files": "*.txt"}, "task_types": ["exqa"], "tuning": TUNING} | more
    (folder / "meadows.yaml").write_text(yaml.safe_dump(corpus))


def run(house, *assets, base_model=None, again=False):
    store, catalogue, base = house
    ops = {asset.op.name: {"config": {"again": again}} for asset in assets}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(corpora.name, ["meadows"])
        return dg.materialize(
            list(assets),
            partition_key="meadows",
            instance=instance,
            raise_on_error=False,
            run_config={"ops": ops},
            resources={"store": store, "catalogue": catalogue, "base_model": base_model or base},
        )


def failure(result):
    [event] = result.get_step_failure_events()
    return event.step_failure_data.user_failure_data.description


def metadata(result, asset):
    [event] = result.asset_materializations_for_node(asset)
    return {key: value.value for key, value in event.metadata.items()}


def test_a_corpus_is_tuned_and_evaluated(house):
    result = run(house, tuned_model, evaluation)
    assert result.success
    store = house[0]
    training = json.loads((store.folder("tuned_model", "meadows") / "training.json").read_text())
    report = json.loads((store.folder("evaluation", "meadows") / "report.json").read_text())
    assert (training["rows"], training["steps"], training["dataset_version"]) == (6, 4, "v7")
    assert (report["n"], report["dataset_version"]) == (6, "v7")
    assert report["tuned_model"] == training["adapter_sha256"]
    shown = metadata(result, "tuned_model")
    assert (shown["rows"], shown["rows left out"], shown["steps"]) == (6, 0, 4)
    assert shown["loss curve"].startswith("![loss by step](data:image/png;base64,")
    shown = metadata(result, "evaluation")
    assert shown["macro_f1 tuned"] == report["arms"]["tuned"]["macro_f1"]
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert {name: check.severity for name, check in checks.items()} == {
        "release_is_not_worse": dg.AssetCheckSeverity.ERROR,
        "answers_fit": dg.AssetCheckSeverity.ERROR,
        "tuned_beats_base": dg.AssetCheckSeverity.WARN,
        "no_damage": dg.AssetCheckSeverity.WARN,
        "loss_fell": dg.AssetCheckSeverity.WARN,
    }
    assert "on 6 questions" in checks["tuned_beats_base"].description
    assert "saw 6 rows in 4 steps" in checks["tuned_beats_base"].description
    assert "20 general questions" in checks["no_damage"].description
    assert "only 0 rows can be compared" in checks["answers_fit"].description


def test_the_data_version_is_the_digest_of_the_adapter(house):
    result = run(house, tuned_model)
    [event] = result.asset_materializations_for_node("tuned_model")
    record = json.loads((house[0].folder("tuned_model", "meadows") / "training.json").read_text())
    assert event.tags["dagster/data_version"] == record["adapter_sha256"]


def test_a_corpus_without_test_set_passes_and_is_told_how_to_add_one(tuned):
    describe(tuned[1])
    result = run(tuned, evaluation)
    assert result.success
    report = json.loads((tuned[0].folder("evaluation", "meadows") / "report.json").read_text())
    assert report["metric"] is None
    assert "add a key 'evaluation'" in metadata(result, "evaluation")["reason"]
    assert all(check.passed for check in result.get_asset_check_evaluations())
    # What needs no test set is told all the same.
    assert report["regression"]["n"] == 20


def worse(monkeypatch, share):
    """Lets the evaluation find that the tuned model got worse, or that answers do not fit."""
    from bonito_assets.evaluation import refresh

    measured = refresh.evaluate

    def changed(*arguments):
        report, comparison = measured(*arguments)
        if share is None:
            report |= {"n": 60}
            report["differences"]["tuned - base"]["ci95"] = [-0.3, -0.1]
        else:
            report["answers_fit"] |= {"share": share, "ci95": [share - 0.05, share + 0.05]}
        return report, comparison

    monkeypatch.setattr(refresh, "evaluate", changed)


@pytest.mark.parametrize(
    ("share", "refusal"), [(None, "release_is_not_worse"), (0.3, "answers_fit")]
)
def test_a_refused_release_fails_the_run_and_leaves_the_report_that_says_why(
    tuned, monkeypatch, share, refusal
):
    worse(monkeypatch, share)
    result = run(tuned, evaluation)
    assert not result.success
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert refusal in {check.check_name for check in failed if check.blocking}
    assert (tuned[0].folder("evaluation", "meadows") / "report.md").exists()


def test_the_data_version_is_that_of_what_was_found_and_not_of_when(tuned):
    versions = {
        run(tuned, evaluation, again=True)
        .asset_materializations_for_node("evaluation")[0]
        .tags["dagster/data_version"]
        for _ in range(2)
    }
    assert len(versions) == 1


@pytest.fixture(scope="module")
def found(tuned_once, base):
    """What one evaluation in earnest finds."""
    from bonito_assets.evaluation import refresh

    store = Store(root=str(tuned_once / "data"))
    corpus = Catalogue(folder=str(tuned_once / "corpora")).corpus("meadows")
    inputs = refresh.inputs(corpus, store, BaseModel(name=base.name))
    return refresh.evaluate(inputs, lambda line: None)


@pytest.fixture
def evaluations(monkeypatch, found):
    """The evaluations that were made; all find the same."""
    from bonito_assets.evaluation import refresh

    made = []
    monkeypatch.setattr(refresh, "evaluate", lambda *_: made.append(found) or copy.deepcopy(found))
    return made


def refreshed(house, base_model=None, again=False, lines=None):
    from bonito_assets.evaluation import refresh

    store, catalogue, base = house
    said = [] if lines is None else lines
    corpus = catalogue.corpus("meadows")
    return refresh.refresh(corpus, store, base_model or base, again, said.append)


def checks(result):
    return [
        (check.check_name, check.passed, check.severity, check.description, check.metadata)
        for check in result.get_asset_check_evaluations()
    ]


@pytest.mark.parametrize("verdict", ["accepted", "refused"])
def test_an_unchanged_evaluation_is_reported_and_checked_as_when_it_was_made(
    tuned, monkeypatch, evaluations, verdict
):
    if verdict == "refused":
        worse(monkeypatch, None)
    first, second = run(tuned, evaluation), run(tuned, evaluation)
    assert len(evaluations) == 1
    assert first.success == second.success == (verdict == "accepted")
    assert checks(first) == checks(second)
    versions = [
        result.asset_materializations_for_node("evaluation")[0].tags["dagster/data_version"]
        for result in (first, second)
    ]
    assert versions[0] == versions[1]
    shown = [metadata(result, "evaluation") for result in (first, second)]
    for one in shown:
        del one["seconds"]  # of this step, and not of the evaluation that it tells of
    assert shown[0] == shown[1]


def another_adapter(house, monkeypatch):
    (adapter_of(house) / "adapter_model.safetensors").write_bytes(b"another")


def another_record_of_training(house, monkeypatch):
    path = adapter_of(house) / "training.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset_version": "v6"}))


def another_arm(house, monkeypatch):
    adapter = adapter_of(house)
    baseline = adapter / "arms" / "tapt"
    baseline.mkdir(parents=True)
    for name in ("adapter_model.safetensors", "training.json"):
        shutil.copy(adapter / name, baseline)


def the_base_under_another_name(house, monkeypatch):
    folder = shutil.copytree(house[2].name, Path(house[0].root).parent / "moved")
    return {"base_model": BaseModel(name=str(folder))}


def another_test_set(house, monkeypatch):
    with (Path(house[0].root).parent / "test.jsonl").open("a") as file:
        file.write("\n")


def another_place_of_the_test_set(house, monkeypatch):
    folder = Path(house[0].root).parent
    shutil.copy(folder / "test.jsonl", folder / "moved.jsonl")
    describe(house[1], evaluation={"test": "../moved.jsonl"})


def fewer_wordings(house, monkeypatch):
    describe(house[1], evaluation={"test": "../test.jsonl", "templates": 2})


def no_test_set(house, monkeypatch):
    describe(house[1])


def a_smaller_window(house, monkeypatch):
    tuning = TUNING | {"max_tokens": 190}
    describe(house[1], evaluation={"test": "../test.jsonl"}, tuning=tuning)


def other_answers(house, monkeypatch):
    publish(house[0], 5, "v8")


def other_general_questions(house, monkeypatch):
    from bonito_assets.evaluation import refresh

    fewer = refresh.general_questions()[1:]
    monkeypatch.setattr(refresh, "general_questions", lambda: fewer)


def another_code(house, monkeypatch):
    from bonito_assets.evaluation import refresh

    monkeypatch.setattr(refresh, "CODE", "next")


def a_report_that_is_cut(house, monkeypatch):
    path = report_of(house) / "report.json"
    path.write_text(path.read_text()[:100])


def a_file_that_is_gone(house, monkeypatch):
    (report_of(house) / "predictions.parquet").unlink()


def a_report_from_before_the_digests(house, monkeypatch):
    path = report_of(house) / "report.json"
    report = json.loads(path.read_text())
    del report["made_from"]
    path.write_text(json.dumps(report))


def a_person_who_asks(house, monkeypatch):
    return {"again": True}


def adapter_of(house):
    return house[0].folder("tuned_model", "meadows")


def report_of(house):
    return house[0].folder("evaluation", "meadows")


CHANGES = [
    another_adapter,
    another_record_of_training,
    another_arm,
    the_base_under_another_name,
    another_test_set,
    another_place_of_the_test_set,
    fewer_wordings,
    no_test_set,
    a_smaller_window,
    other_answers,
    other_general_questions,
    another_code,
    a_report_that_is_cut,
    a_file_that_is_gone,
    a_report_from_before_the_digests,
    a_person_who_asks,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_of_anything_that_decides_evaluates_anew(tuned, evaluations, monkeypatch, change):
    refreshed(tuned)
    changed = change(tuned, monkeypatch) or {}
    report = refreshed(tuned, **changed)
    assert len(evaluations) == 2
    assert json.loads((report_of(tuned) / "report.json").read_text()) == report


def test_nothing_is_evaluated_and_no_file_touched_where_nothing_changed(tuned, evaluations):
    def files():
        return {path.name: path.stat().st_ino for path in report_of(tuned).iterdir()}

    refreshed(tuned)
    before, lines = files(), []
    refreshed(tuned, lines=lines)
    assert (len(evaluations), files(), lines) == (1, before, ["unchanged: nothing was evaluated"])


def test_the_baseline_is_an_arm_where_it_was_trained(tuned):
    store = tuned[0]
    adapter = store.folder("tuned_model", "meadows")
    baseline = adapter / "arms" / "tapt"
    baseline.mkdir(parents=True)
    for path in adapter.iterdir():
        if path.is_file():
            (baseline / path.name).write_bytes(path.read_bytes())
    result = run(tuned, evaluation)
    report = json.loads((store.folder("evaluation", "meadows") / "report.json").read_text())
    assert set(report["arms"]) == {"base", "tapt", "tuned"}
    assert "tuned - tapt" in metadata(result, "evaluation")["differences"]


WRONG = {
    '{"id": "q1", "context": "x", "question": "?"}': "row 1: key 'label': is missing",
    '{"id": "q1", "context": "x", "question": "?", "label": "c", "choices": ["a", "b"]}': (
        "row 1: key 'label': 'c' is not one of the choices a, b"
    ),
    "": "holds no rows",
}


def test_a_wrong_test_set_is_named_and_the_earlier_report_stays(tuned, tmp_path):
    assert run(tuned, evaluation).success
    place = tuned[0].folder("evaluation", "meadows") / "report.json"
    before = place.read_bytes()
    for content, says in WRONG.items():
        (tmp_path / "test.jsonl").write_text(content)
        message = failure(run(tuned, evaluation))
        assert says in message
        assert message.count("test.jsonl") == 1
        assert place.read_bytes() == before


def test_an_empty_dataset_fails_clearly_and_keeps_the_earlier_model(house):
    assert run(house, tuned_model).success
    publish(house[0], 0, "v8")
    result = run(house, tuned_model)
    assert not result.success
    assert "meadows: there is nothing to tune on: of 0 rows" in failure(result)
    kept = house[0].folder("tuned_model", "meadows") / "training.json"
    assert json.loads(kept.read_text())["rows"] == 6


def test_a_base_model_that_is_not_there_names_the_setting(house, tmp_path):
    result = run(house, tuned_model, base_model=BaseModel(name=str(tmp_path / "nowhere")))
    assert "BONITO_BASE_MODEL" in failure(result)


def test_a_tuned_model_of_another_base_model_is_not_compared(tuned, tmp_path, base):
    other = shutil.copytree(base.folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"rope_theta": 5000.0}))
    result = run(tuned, evaluation, base_model=BaseModel(name=str(other)))
    assert "materialize tuned_model first" in failure(result)
