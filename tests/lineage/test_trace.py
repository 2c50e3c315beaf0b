"""Every id leads back to its document and forward to all that saw it, in text that harms nobody."""

import io
import json
import re
import uuid
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.generation.prompts import prompt
from bonito_assets.generation.requests import plan, seed_of
from bonito_assets.identity import digest
from bonito_assets.lineage.forget.models import mark
from bonito_assets.lineage.forget.releases import cut
from bonito_assets.lineage.lookup import RowFile
from bonito_assets.lineage.trace import CONTEXT_CHARS, TraceError, trace
from bonito_assets.lineage.trace_job import trace_metadata, trace_row
from bonito_assets.lineage.trace_terminal import plain, show_trace
from resources.generation_cache import GenerationCache
from resources.generator import Outcome
from resources.model import Model
from resources.store import Store
from tests.publishing.made import CORPUS, catalogue_file, letters, put, release, row

RUN = "7d9c6a70-5f6e-4d0a-9d51-0d1d55ac1b6f"
PASSAGE = "The ferry leaves at nine. It carries {{context}} and forty crates of tea."


@pytest.fixture
def store(tmp_path, monkeypatch):
    # Nobody asks these tables by SQL from outside, and making the views anew takes longest.
    monkeypatch.setattr(Store, "refresh_warehouse", lambda _: None)
    return Store(root=str(tmp_path / "data"))


@pytest.fixture
def published(monkeypatch):
    """Releases without the seconds that plots and review page take."""
    from bonito_assets.publishing.review import page

    monkeypatch.setattr("bonito_assets.publishing.publish._write_plots", lambda *_: {})
    monkeypatch.setattr(page, "write_review", lambda path, *_: path.write_text("a page"))


def planned(tmp_path, start=0, **settings):
    """Gives the one request that a corpus makes of the passage, as a refresh would."""
    settings = {"source": {"files": "x"}, "task_types": ["nli"], **settings}
    corpus = Corpus(name="c", folder="/", **settings)
    chunk = {"corpus": "c", "chunk_id": digest("chunk"), "doc_id": digest("doc"), "uri": "a.txt",
             "position": 0, "start_char": start, "end_char": start + len(PASSAGE), "text": PASSAGE,
             "n_tokens": 9, "units": ["paragraph"], "heading_path": ["Ports"]}  # fmt: skip
    chunks = tables.build("chunks", [chunk])
    asked = plan(chunks.to_batches, corpus, Model("m", tmp_path, "fingerprint"))
    return asked, chunks


def put_one(store, tmp_path, before="Hull ", after=" And then?", **settings):
    """Writes documents, chunks and generations of one passage; gives the generation_id."""
    asked, chunks = planned(tmp_path, len(before), **settings)
    [entry] = list(asked)
    key = asked.key(entry)
    text = before + PASSAGE + after
    document = {"corpus": "c", "doc_id": digest("doc"), "uri": "a.txt", "title": "Ports",
                "text": text, "media_type": "text/plain", "n_chars": len(text),
                "license": "cc0-1.0"}  # fmt: skip
    generation = {"corpus": "c", "generation_id": digest(entry.chunk_id, key), "request_key": key,
                  "chunk_id": entry.chunk_id, "task_type": entry.task_type, "sample": 0,
                  "output": "So? <|pipe|> No",
                  "finish_reason": "stop", "prompt_tokens": 30, "output_tokens": 4,
                  "mean_logprob": -0.5, "model": asked.model.label, "run_id": RUN,
                  "model_fingerprint": asked.model.fingerprint,
                  "sampling": asked.sampling[entry.task_type],
                  "task_name": asked.corpus.full_name(entry.task_type),
                  "created_at": datetime(2026, 1, 1, tzinfo=UTC)}  # fmt: skip
    store.write("documents", "c", tables.build("documents", [document]))
    store.write("chunks", "c", chunks)
    store.write("generations", "c", tables.build("generations", [generation]))
    return generation["generation_id"]


def tuned(store, version, place=f"tuned_model/{CORPUS}", arm="bonito", **changes):
    """Writes the record of a tuned model."""
    record = {"corpus": CORPUS, "arm": arm, "dataset_version": version, "rows": 4,
              "rows_in_split": 4, "rows_left_out": [], "base_model": {"name": "base"},
              "adapter_sha256": "0" * 64, **changes}  # fmt: skip
    with store.new_file(*place.split("/"), "training.json") as file:
        file.write(json.dumps(record).encode())


def shown(found):
    """Gives what a terminal of 200 columns gets."""
    console = Console(width=200, file=io.StringIO())
    show_trace(console, found)
    return console.file.getvalue()


# Backward


def test_a_generation_leads_to_its_prompt_model_parameters_run_passage_and_document(
    store, tmp_path
):
    found = trace(store, put_one(store, tmp_path))
    assert (found.kind, found.corpus) == ("row", "c")
    made = found.generation
    assert made["prompt"] == prompt(PASSAGE, "nli")
    assert made["prompt_is_verified"]
    assert made["model_fingerprint"] == "fingerprint"
    assert made["sampling"] == {"max_tokens": 256, "temperature": 0.5, "top_p": 0.95}
    assert (made["run_id"], made["run_path"]) == (RUN, f"/runs/{RUN}")
    assert (found.passage["before"], found.passage["after"]) == ("Hull ", " And then?")
    assert found.passage["heading_path"] == ["Ports"]
    assert (found.document["uri"], found.document["license"]) == ("a.txt", "cc0-1.0")
    assert found.notes == []


def test_the_seed_of_a_reproducible_corpus_is_the_one_that_was_sent(store, tmp_path):
    asked, _ = planned(tmp_path, reproducible=True)
    [entry] = list(asked)
    sent = asked.request(entry, asked.key(entry)).seed
    made = trace(store, put_one(store, tmp_path, reproducible=True)).generation
    assert made["seed"] == sent == seed_of(made["request_key"])
    assert trace(store, put_one(store, tmp_path)).generation["seed"] is None


def test_the_prompt_of_a_custom_type_holds_its_instruction_and_is_verified(store, tmp_path):
    risk = {"risk": {"instruction": "risk classification", "labels": ["low", "high"]}}
    generation_id = put_one(store, tmp_path, task_types=["risk"], custom_task_types=risk)
    made = trace(store, generation_id).generation
    assert "<|tasktype|>\nrisk classification\n" in made["prompt"]
    assert made["prompt_is_verified"]


def test_a_passage_that_is_not_the_one_that_was_sent_is_not_called_verified(store, tmp_path):
    generation_id = put_one(store, tmp_path)
    [chunk] = store.read("chunks", "c").to_pylist()
    store.write("chunks", "c", tables.build("chunks", [{**chunk, "text": "Another passage."}]))
    found = trace(store, generation_id)
    assert not found.generation["prompt_is_verified"]
    assert any("could not be checked" in note for note in found.notes)


def test_of_a_long_document_only_the_neighbourhood_of_the_passage_is_shown(store, tmp_path):
    generation_id = put_one(store, tmp_path, before="Hull ", after="x" * 9000)
    assert trace(store, generation_id).passage["after"] == "x" * CONTEXT_CHARS


def test_a_table_of_a_version_that_knew_no_run_is_still_traced(store, tmp_path):
    generation_id = put_one(store, tmp_path)
    new = ["run_id", "sampling", "model_fingerprint", "task_name"]
    store.write("generations", "c", store.read("generations", "c").drop_columns(new))
    found = trace(store, generation_id)
    assert found.generation["prompt"] == prompt(PASSAGE, "nli")
    assert not found.generation["prompt_is_verified"]
    assert len(found.notes) == 2
    assert "not recorded" in shown(found)


def test_the_verdict_of_each_stage_is_told_with_its_meaning(store):
    put(store, {"a.txt": [row("Q?", rejected_because="truncated")]})
    [task] = store.read("curated_tasks", CORPUS).to_pylist()
    found = trace(store, task["generation_id"])
    assert [(v["stage"], v["rejected_because"]) for v in found.verdicts] == [
        ("documents", None), ("chunks", None), ("generations", None), ("tasks", "truncated"),
        ("curated_tasks", "truncated"),
    ]  # fmt: skip
    assert found.verdicts[-1]["meaning"] == tables.REJECTIONS["truncated"]


# Ids


@pytest.mark.parametrize("digits", [8, 12, 31])
def test_the_first_digits_do_where_no_other_id_begins_so(store, tmp_path, digits):
    generation_id = put_one(store, tmp_path)
    assert trace(store, generation_id[:digits].upper()) == trace(store, generation_id)


def test_a_beginning_that_two_ids_have_is_refused_with_both(store):
    put(store, {"a.txt": []})
    [document] = store.read("documents", CORPUS).to_pylist()
    ids = ["abcdef01" + digit * 24 for digit in "01"]
    rows = [{**document, "doc_id": one} for one in ids]
    store.write("documents", CORPUS, tables.build("documents", rows))
    with pytest.raises(TraceError, match=f"more than one.*{ids[0]}.*{ids[1]}"):
        trace(store, "abcdef01")
    assert trace(store, "abcdef010").id == ids[0]


@pytest.mark.parametrize("nonsense", ["", "abc", "0123456", "g" * 32, "0" * 33, "../../etc"])
def test_what_is_no_id_is_refused_with_what_would_be_one(store, nonsense):
    with pytest.raises(TraceError, match="is no id: give the 32 hexadecimal digits"):
        trace(store, nonsense)


@pytest.mark.parametrize("asked", ["0" * 32, "0" * 8])
def test_an_unknown_id_is_told_what_was_searched(store, asked):
    with pytest.raises(TraceError, match="0 corpora \\(none has been refreshed yet\\)"):
        trace(store, asked)
    put(store, letters(2))
    with pytest.raises(TraceError, match=f"1 corpora \\({CORPUS}\\) and their releases"):
        trace(store, asked)


def test_every_id_of_every_table_is_found_as_what_it_is(store):
    put(store, letters(3))
    kinds = {("documents", "doc_id"): "document", ("chunks", "chunk_id"): "passage",
             ("generations", "generation_id"): "row"}  # fmt: skip
    for (table, column), kind in kinds.items():
        for one in store.read(table, CORPUS)[column].to_pylist():
            assert (trace(store, one).kind, trace(store, one).id) == (kind, one)


def test_a_request_lists_every_row_that_shares_its_output(store):
    put(store, {"a.txt": [row("Q?")], "b.txt": [row("Q?")]})
    generations = store.read("generations", CORPUS).to_pylist()
    [key] = {g["request_key"] for g in generations}
    found = trace(store, key)
    assert found.kind == "request"
    assert {r["generation_id"] for r in found.rows.shown} == {
        g["generation_id"] for g in generations
    }


def test_an_output_that_only_the_cache_holds_is_traced_to_its_run(store):
    with GenerationCache(store).writer(RUN) as writer:
        outcome = Outcome(digest("k"), "No.", "stop", 3, 1, -0.1)
        writer.add(outcome, model="f", task_type="nli", sampling='{"temperature":0.5}')
    found = trace(store, digest("k"))
    assert (found.generation["run_id"], found.generation["sampling"]) == (RUN, {"temperature": 0.5})
    assert "cache alone" in shown(found)


# Forward


def test_a_document_leads_to_all_its_rows_the_release_and_the_models_that_learned_it(
    store, tmp_path, published
):
    put(store, letters(3, kept=2, refused=1))
    made, folder = release(store, catalogue_file(tmp_path))
    tuned(store, made.rows.version)
    doc_id = pq.read_table(folder / "data/train.parquet")["doc_id"][0].as_py()
    found = trace(store, doc_id)
    assert (found.rows.total, found.rows.verdicts) == (3, {"accepted": 2, "truncated": 1})
    [release_] = found.releases
    assert (release_["version"], release_["is_newest"]) == (made.rows.version, True)
    assert release_["rows"] == {"train": 2}
    assert [(m["model"], m["saw"]) for m in found.models] == [(f"tuned_model/{CORPUS}", "learned")]
    assert found.gone is None


def test_a_list_shows_as_much_as_was_asked_for_and_counts_all(store):
    put(store, letters(1, kept=5, refused=4))
    doc_id = store.read("documents", CORPUS)["doc_id"][0].as_py()
    assert (trace(store, doc_id, 2).rows.total, len(trace(store, doc_id, 2).rows.shown)) == (9, 2)
    assert len(trace(store, doc_id, None).rows.shown) == 9
    assert "and 7 more: --all shows them" in shown(trace(store, doc_id, 2))


def test_a_model_has_only_measured_itself_on_the_validation_split(store, tmp_path, published):
    put(store, letters(3))
    made, folder = release(store, catalogue_file(tmp_path))
    tuned(store, made.rows.version)
    tuned(store, made.rows.version, f"tuned_model/{CORPUS}/arms/tapt", "tapt")
    validation = pq.read_table(folder / "data/validation.parquet").to_pylist()[0]
    for column in ("doc_id", "chunk_id", "generation_id"):
        found = trace(store, validation[column])
        assert [(m["arm"], m["saw"]) for m in found.models] == [
            ("bonito", "measured on"), ("tapt", "measured on"),
        ]  # fmt: skip


def test_what_a_model_learned_is_told_when_documents_are_forgotten(store, tmp_path, published):
    put(store, letters(9))
    made, folder = release(store, catalogue_file(tmp_path))
    tuned(store, made.rows.version)
    gone, other = pq.read_table(folder / "data/train.parquet")["doc_id"].unique().to_pylist()[:2]
    mark(store, ("tuned_model", CORPUS), ["bonito"], [gone], "2026-11-24")
    cut(store, ("instruction_dataset", CORPUS), [gone])
    saw = [[m["saw"] for m in trace(store, doc_id).models] for doc_id in (gone, other)]
    assert saw == [["perhaps learned, before it was forgotten"], ["learned"]]


def test_an_arm_on_raw_text_saw_a_passage_of_which_no_row_was_kept(store, tmp_path, published):
    rejected = {"z.txt": [row("Q?", rejected_because="truncated")]}
    put(store, {**letters(3), **rejected})
    made, _ = release(store, catalogue_file(tmp_path))
    tuned(store, made.rows.version)
    tuned(store, made.rows.version, f"tuned_model/{CORPUS}/arms/tapt", "tapt")
    found = trace(store, digest(CORPUS, "z.txt"))
    assert [(m["arm"], m["saw"]) for m in found.models] == [("tapt", "learned its passages")]


def test_rows_that_a_model_left_out_or_drew_by_chance_are_told_apart(store, tmp_path, published):
    put(store, letters(3))
    made, folder = release(store, catalogue_file(tmp_path))
    first, second = pq.read_table(folder / "data/train.parquet")["generation_id"].to_pylist()[:2]
    tuned(store, made.rows.version, rows_left_out=[first])
    assert trace(store, first).models == []
    assert [m["saw"] for m in trace(store, second).models] == ["learned"]
    tuned(store, made.rows.version, rows_in_split=1000)
    assert [m["saw"] for m in trace(store, second).models] == ["perhaps learned"]


def test_a_model_of_another_release_did_not_see_a_row_of_this_one(store, tmp_path, published):
    put(store, letters(3))
    _, folder = release(store, catalogue_file(tmp_path))
    tuned(store, "another")
    one = pq.read_table(folder / "data/train.parquet")["generation_id"][0].as_py()
    assert trace(store, one).models == []


def test_a_row_that_only_an_earlier_release_holds_is_told_with_what_is_still_known(
    store, tmp_path, published
):
    corpus = catalogue_file(tmp_path)
    put(store, letters(4))
    old, folder = release(store, corpus)
    gone = next(
        row
        for split in ("train", "validation")
        for row in pq.read_table(folder / f"data/{split}.parquet").to_pylist()
        if row["doc_id"] == digest(CORPUS, "0.txt")
    )
    tuned(store, old.rows.version)
    left = {name: rows for name, rows in letters(4).items() if name != "0.txt"}
    put(store, left)
    new, _ = release(store, corpus)
    assert new.rows.version != old.rows.version
    found = trace(store, gone["generation_id"])
    assert found.generation is None
    assert (found.row["input"], found.row["output"]) == (gone["input"], gone["output"])
    assert [(r["version"], r["is_newest"]) for r in found.releases] == [(old.rows.version, False)]
    assert len(found.models) == 1
    assert any("tables no longer hold this row" in note for note in found.notes)
    document = trace(store, gone["doc_id"])
    assert document.document is None
    assert document.rows.total == 0
    assert (document.gone.total, document.gone.shown[0]["versions"]) == (2, [old.rows.version])
    assert "Rows that only releases still hold: 2" in shown(document)


def test_the_mixture_and_its_model_are_found_too(store, tmp_path, published):
    put(store, letters(3))
    _, folder = release(store, catalogue_file(tmp_path))
    train = pq.read_table(folder / "data/train.parquet")
    with store.new_folder("instruction_mixture") as place:
        record = {"version": "mixed", "splits": {"train": 1}, "corpora": {CORPUS: "x"}}
        for at in (place, place / "releases/mixed"):
            (at / "data").mkdir(parents=True)
            (at / "release.json").write_text(json.dumps(record))
            pq.write_table(train.slice(0, 1), at / "data/train.parquet")
    tuned(store, "mixed", "mixture_model")
    first, second = train["generation_id"].to_pylist()[:2]
    found = trace(store, first)
    assert [r["dataset"] for r in found.releases][1:] == ["instruction_mixture"]
    assert [m["model"] for m in found.models] == ["mixture_model"]
    assert trace(store, second).models == []


def test_half_written_folders_are_no_releases(store, tmp_path, published):
    put(store, letters(3))
    _, folder = release(store, catalogue_file(tmp_path))
    one = pq.read_table(folder / "data/train.parquet")["generation_id"][0].as_py()
    before = trace(store, one)
    folder.parent.joinpath(".letters.0.tmp").symlink_to(folder)
    assert trace(store, one) == before


def test_tables_and_releases_in_an_object_store_are_traced_alike(store, tmp_path, published):
    corpus = catalogue_file(tmp_path)
    remote = Store(root=f"memory://{uuid.uuid4().hex}/data")
    found = []
    for place in (store, remote):
        put(place, letters(3))
        made, folder = release(place, corpus)
        tuned(place, made.rows.version)
        one = pq.read_table(folder / "data/train.parquet")["generation_id"][0].as_py()
        entry = trace(place, one).as_json()
        for of_it in entry["releases"]:
            del of_it["created_at"]
        found.append(entry)
    assert found[0] == found[1]
    assert len(found[1]["releases"]) == len(found[1]["models"]) == 1


# Views


def test_json_and_metadata_hold_what_the_trace_does(store, tmp_path):
    found = trace(store, put_one(store, tmp_path))
    assert json.loads(json.dumps(found.as_json()))["passage"]["text"] == PASSAGE
    metadata = trace_metadata(found)
    assert metadata["trace"].data["generation"]["prompt"] == found.generation["prompt"]
    assert metadata["run"].run_id == RUN


def test_the_job_gives_the_trace_as_metadata_of_its_step(store, tmp_path):
    generation_id = put_one(store, tmp_path)
    done = trace_row.execute_in_process(
        run_config={"ops": {"trace_id": {"config": {"id": generation_id[:10]}}}},
        resources={"store": store},
    )
    [output] = [e for e in done.all_events if e.event_type_value == "STEP_OUTPUT"]
    assert output.step_output_data.metadata["trace"].data["id"] == generation_id


def test_the_job_fails_with_the_sentence_of_an_unknown_id(store):
    done = trace_row.execute_in_process(
        run_config={"ops": {"trace_id": {"config": {"id": "0" * 32}}}},
        resources={"store": store},
        raise_on_error=False,
    )
    assert not done.success
    [failure] = [e for e in done.all_events if e.is_step_failure]
    assert "no id is" in failure.step_failure_data.user_failure_data.description


@given(st.text())
def test_no_text_can_steer_a_terminal(text):
    assert plain(text).isprintable()
    assert re.sub(r"\s", "", plain(text)) == "".join(
        c for c in text if c.isprintable() and not c.isspace()
    )


def test_a_document_with_escapes_and_markup_is_shown_as_text(store, tmp_path):
    found = trace(store, put_one(store, tmp_path, before="\x1b[31m[bold]\u202e\x07"))
    assert "\x1b" not in shown(found)
    assert "\u202e" not in shown(found)
    assert "[bold]" in shown(found)


def test_metadata_of_long_texts_stays_small(store, tmp_path):
    found = trace(store, put_one(store, tmp_path))
    found.passage["text"] = "<b>" * 100_000
    metadata = trace_metadata(found)
    assert len(str(metadata)) < 40_000
    assert "<b>" not in metadata["passage"].value


# Reading


@settings(max_examples=30)  # each writes a file
@given(st.data())
def test_rows_are_found_wherever_they_stand(tmp_path_factory, data):
    ids = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=30))
    path = tmp_path_factory.mktemp("rows") / "data.parquet"
    values = [f"{number:032x}" for number in ids]
    size = data.draw(st.integers(1, 7))
    pq.write_table(pa.table({"id": values, "n": range(len(ids))}), path, row_group_size=size)
    file = RowFile(Store(root=str(path.parent)), str(path), "c")
    wanted = data.draw(st.sampled_from(values))
    near = data.draw(st.floats(0, 1))
    assert values[file.place("id", wanted, near)] == wanted
    places = file.places("id", [wanted])
    assert places == [n for n, value in enumerate(values) if value == wanted]
    assert [row["n"] for row in file.rows(places, ("n", "absent"))] == places
    assert file.beginning_with("id", wanted) == {wanted}
