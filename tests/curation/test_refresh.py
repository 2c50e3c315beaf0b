"""A refresh judges the rows of a corpus as a set, loses none, and works nothing out twice."""

import io
import json
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from bonito_assets.curation import semantic
from bonito_assets.curation.passages import StaleTable
from bonito_assets.curation.refresh import kept, refresh
from bonito_assets.curation.side_tables import FAMILIES, FEATURES, OVERLAPS, PASSAGES
from resources.store import Store
from tests.curation.made import HARBOUR, RENT, corpus, put, row


@pytest.fixture
def store(tmp_path):
    return Store(root=str(tmp_path / "data"))


def run(store, made):
    return refresh(store, made, lambda line: None)


def curated(store, name="c"):
    return store.read("curated_tasks", name).to_pylist()


def verdicts(store, name="c"):
    return [row["rejected_because"] for row in curated(store, name)]


def test_every_row_of_tasks_is_there_once_in_its_place(store):
    ids = put(store, [row(f"What is {i}?", "the rent") for i in range(5)])
    made = run(store, corpus())
    assert [r["generation_id"] for r in curated(store)] == ids
    assert made.books.rows == made.books.accepted == 5


def test_a_verdict_of_the_parser_stands_and_its_row_has_no_scores_of_an_answer(store):
    put(store, [row(None, None, rejected_because="no_pipe"), row("Who pays?", "The tenant")])
    run(store, corpus(thresholds={"output_chars": {"max": 1}}))
    assert verdicts(store) == ["no_pipe", "low_quality"]
    first = curated(store)[0]
    assert first["output_chars"] is first["template"] is first["lexical_overlap"] is None
    assert first["passage_chars"] == len(RENT)


def test_of_equal_rows_the_surest_is_kept_and_named_by_the_others(store):
    rows = [
        row("Who pays the rent?", "The tenant", mean_logprob=-2.0),
        row("who pays\n the rent?", "the  tenant", mean_logprob=-1.0),
        row("Who pays the rent?", "The tenant", mean_logprob=None),
    ]
    ids = put(store, rows)
    run(store, corpus())
    assert verdicts(store) == ["exact_duplicate", None, "exact_duplicate"]
    assert [r["duplicate_of"] for r in curated(store)] == [ids[1], None, ids[1]]


def test_one_question_with_two_answers_is_two_rows(store):
    put(store, [row("Who?", "The tenant"), row("Who?", "the rent")])
    run(store, corpus())
    assert verdicts(store) == [None, None]


def test_the_same_question_on_a_copy_of_a_passage_is_one_and_on_another_passage_is_not(store):
    nearly = RENT.replace("signed", "sealed")
    put(
        store,
        [
            row("What is it about?", "keys", RENT, document="a"),
            row("What is it about?", "keys", nearly, document="b"),
            row("What is it about?", "keys", HARBOUR, document="c"),
        ],
    )
    run(store, corpus())
    assert verdicts(store) == [None, "near_duplicate", None]


def test_a_corpus_decides_where_copies_are_looked_for(store):
    put(
        store,
        [row("Who pays?", "The tenant", document=d) for d in ("a", "a", "b")],
    )
    run(store, corpus(duplicates="document"))
    assert verdicts(store) == [None, "exact_duplicate", None]
    run(store, corpus(duplicates="off"))
    assert verdicts(store) == [None, None, None]


def test_when_the_document_of_a_kept_row_is_gone_the_runner_up_takes_its_place(store):
    nearly = RENT.replace("signed", "sealed")
    best = row("Who pays the rent?", "The tenant", RENT, document="a", mean_logprob=-0.5)
    second = row("Who pays the rent?", "The tenant", nearly, document="b", mean_logprob=-1.0)
    third = row("Who pays the rent?", "the tenant", nearly, document="c", mean_logprob=-1.5)
    put(store, [third, best, second])
    run(store, corpus())
    # Nearness counts before equality is settled: the third is a copy of the second, which is one
    # of the first.
    assert verdicts(store) == ["exact_duplicate", None, "near_duplicate"]
    ids = put(store, [third, second])
    run(store, corpus())
    assert verdicts(store) == ["exact_duplicate", None]
    assert curated(store)[0]["duplicate_of"] == ids[1]


def test_rows_that_overlap_with_a_test_set_are_refused_with_its_name(store, tmp_path):
    asked = (
        "Which brickyard bought the mud that the council had the dredger take out of the harbour?"
    )
    question = {"id": "q7", "context": "Mud.", "question": asked, "answers": ["the other bank"]}
    (tmp_path / "tests.jsonl").write_text(json.dumps(question) + "\n", encoding="utf-8")
    put(store, [row(asked, "a brickyard", HARBOUR), row("Who paid?", "the council", HARBOUR)])
    made = run(store, corpus(tmp_path, evaluation={"test": "tests.jsonl", "metric": "squad"}))
    assert verdicts(store) == ["contaminated", None]
    assert "q7" in curated(store)[0]["contaminated_by"]
    assert curated(store)[1]["transductive"] is False
    assert made.report.overlapping == 0
    assert made.report.rechecked == 1


def test_without_a_test_set_nobody_knows_whether_a_row_is_transductive(store):
    put(store, [row("Who?", "The tenant")])
    run(store, corpus())
    assert curated(store)[0]["transductive"] is None


def test_a_changed_threshold_or_cap_works_nothing_out_again(store):
    put(store, [row(f"Who pays {i}?", "The tenant") for i in range(4)])
    first = run(store, corpus())
    assert first.report.worked_out == {
        "curation_features": 4,
        "curation_passages": 1,
        "curation_families": 4,
    }
    second = run(store, corpus(max_per_passage=3, thresholds={"input_chars": {"max": 10_000}}))
    assert second.report.worked_out == {}
    assert verdicts(store).count("over_represented") == 1


def test_of_changed_rows_only_those_are_worked_out(store):
    rows = [row(f"Who pays {i}?", "The tenant") for i in range(4)]
    put(store, rows)
    run(store, corpus())
    put(store, [row("Who sold it?", "the council", HARBOUR), *rows[1:]])
    made = run(store, corpus())
    assert made.report.worked_out["curation_features"] == 1
    assert made.report.worked_out["curation_passages"] == 1


def test_what_is_remembered_gives_the_table_that_a_first_refresh_gives(store, tmp_path):
    rows = [row(f"Who pays {i % 3}?", "The tenant", (RENT, HARBOUR)[i % 2]) for i in range(6)]
    put(store, rows[2:] + rows[:1])
    run(store, corpus())
    fresh = Store(root=str(tmp_path / "fresh"))
    put(store, rows)
    put(fresh, rows)
    assert run(store, corpus()).written.digest == run(fresh, corpus()).written.digest


def test_a_row_whose_answer_changed_under_its_id_is_worked_out_anew(store):
    put(store, [row("Who?", "The tenant")])
    run(store, corpus())
    put(store, [row("Who?", "the brickyard")])
    run(store, corpus())
    assert curated(store)[0]["lexical_overlap"] == 0.5


def test_a_changed_test_set_is_looked_up_again_and_nothing_else(store, tmp_path):
    made = corpus(tmp_path, evaluation={"test": "tests.jsonl", "metric": "squad"})
    for n in range(2):
        question = {"id": f"q{n}", "context": "Mud.", "question": "What?", "answers": ["x"]}
        (tmp_path / "tests.jsonl").write_text(json.dumps(question) + "\n", encoding="utf-8")
        put(store, [row("Who?", "The tenant")])
        found = run(store, made)
    assert found.report.worked_out == {"curation_overlaps": 1}


def test_rows_that_say_the_same_in_other_words_are_one_where_a_model_is_named(store, monkeypatch):
    def all_alike(texts):
        return np.ones((len(texts), 1), np.float32)

    monkeypatch.setattr(semantic, "embedder", lambda model, library: all_alike)
    rows = [
        row("Who pays the rent?", "The tenant", mean_logprob=-2.0),
        row("By whom is the money for the house paid?", "The tenant"),
        row("Who pays for it?", "The tenant", HARBOUR),
    ]
    put(store, rows)
    run(store, corpus())
    assert verdicts(store) == [None, None, None]
    run(store, corpus(semantic_duplicates={"model": "/any"}))
    assert verdicts(store) == ["semantic_duplicate", None, None]


def test_tasks_of_other_generations_are_not_judged(store):
    put(store, [row("Who?", "The tenant"), row("What?", "the rent")])
    tasks = store.read("tasks", "c")
    put(store, [row("Who?", "The tenant")])
    store.write("tasks", "c", tasks)
    with pytest.raises(StaleTable, match="materialize the asset 'tasks' first"):
        run(store, corpus())


def test_tasks_whose_passages_are_gone_are_not_judged(store):
    put(store, [row("Who?", "The tenant"), row("What?", "mud", HARBOUR)])
    store.write("chunks", "c", store.read("chunks", "c").slice(1))
    with pytest.raises(StaleTable, match="materialize the assets 'generations' and 'tasks' first"):
        run(store, corpus())


@pytest.mark.parametrize("table", ["tasks", "chunks"])
def test_a_table_of_a_version_that_kept_no_digest_is_not_judged(store, table):
    put(store, [row("Who?", "The tenant")])
    path = store.table_path(table, "c")
    pq.write_table(pq.read_table(path), path)
    with pytest.raises(StaleTable, match=f"materialize the asset '{table}' first"):
        run(store, corpus())


SIDE_TABLES = [FEATURES, PASSAGES, OVERLAPS, FAMILIES]


def cut_short(raw):
    return raw[: len(raw) // 2]


def overwritten(raw):
    return raw[:4] + bytes(b ^ 255 for b in raw[4:200]) + raw[200:]


def without_its_last_column(raw):
    whole = pq.read_table(io.BytesIO(raw))
    sink = io.BytesIO()
    pq.write_table(whole.drop_columns(whole.column_names[-1]), sink)
    return sink.getvalue()


@pytest.mark.parametrize("table", SIDE_TABLES)
@pytest.mark.parametrize("damaged", [cut_short, overwritten, without_its_last_column])
def test_a_side_table_that_cannot_be_relied_on_is_made_anew(store, tmp_path, table, damaged):
    question = {"id": "q1", "context": "Mud.", "question": "What is it?", "answers": ["x"]}
    (tmp_path / "tests.jsonl").write_text(json.dumps(question), encoding="utf-8")
    made = corpus(tmp_path, evaluation={"test": "tests.jsonl", "metric": "squad"})
    put(store, rows := [row(f"Who pays {i % 3}?", "The tenant") for i in range(6)])
    first = run(store, made)
    path = Path(store.table_path(table, "c"))
    sound = path.read_bytes()
    path.write_bytes(damaged(sound))
    # Signatures of passages are looked at only where rows are to be compared.
    if table == PASSAGES:
        Path(store.table_path(FAMILIES, "c")).unlink()
    again = run(store, made)
    assert again.written.digest == first.written.digest
    assert again.report.worked_out[table] == (1 if table == PASSAGES else 6)
    assert path.read_bytes() == sound
    assert run(store, corpus(max_per_passage=1)).books.rows == len(rows)


def test_a_corpus_without_rows_gives_an_empty_table(store):
    put(store, [])
    made = run(store, corpus(max_share_per_label=0.5, max_per_template=1))
    assert made.books.rows == 0
    assert curated(store) == []


def test_the_rows_that_will_be_kept_can_be_counted_before_they_are_written(store):
    rows = [
        row("Who pays?", "The tenant"),
        row("Who pays?", "The tenant"),
        row("Is it paid?", "Yes", task_type="ynqa", label="yes"),
        row(None, None, rejected_because="no_pipe"),
    ]
    put(store, rows)
    tables = [store.read(name, "c") for name in ("tasks", "generations", "chunks")]
    rules = corpus(round_trip={"min_agreement": 1}, thresholds={"round_trip": {"min": 1}})
    assert kept(rules, *tables) == {"exqa": 1, "ynqa": 1}


QUESTIONS = st.tuples(
    st.sampled_from(["Who pays?", "who pays ?", "When is it due?", None]),
    st.sampled_from(["The tenant", "the rent"]),
    st.sampled_from([RENT, RENT.replace("signed", "sealed"), HARBOUR]),
    st.sampled_from("ab"),
    st.sampled_from([None, -1.0, -2.0]),
)


def _row(question, answer, passage, document, mean_logprob):
    return row(
        question,
        question and answer,
        passage,
        document=document,
        mean_logprob=mean_logprob,
        rejected_because=None if question else "no_pipe",
    )


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8, deadline=None
)
@given(
    rows=st.lists(QUESTIONS, max_size=8),
    caps=st.fixed_dictionaries(
        {}, optional={"max_per_document": st.just(2), "max_share_per_task_type": st.just(0.5)}
    ),
)
def test_no_row_is_lost_and_no_two_accepted_rows_are_equal(store, rows, caps):
    ids = put(store, [_row(*values) for values in rows])
    run(store, corpus(**caps))
    found = curated(store)
    assert [r["generation_id"] for r in found] == ids
    accepted = [r for r in found if r["rejected_because"] is None]
    texts = [" ".join(f"{r['input']} | {r['output']}".lower().split()) for r in accepted]
    assert len(texts) == len(set(texts))
    named = {r["duplicate_of"] for r in found} - {None}
    assert named <= {r["generation_id"] for r in found if not r["duplicate_of"]}


SETTINGS = st.fixed_dictionaries(
    {
        "duplicates": st.sampled_from(["corpus", "document", "off"]),
        "near_duplicates": st.sampled_from([0.8, 0.95, None]),
    },
    optional={
        "max_per_passage": st.just(2),
        "max_per_template": st.just(3),
        "max_share_per_task_type": st.just(0.5),
        "thresholds": st.just({"lexical_overlap": {"min": 0.5}}),
    },
)
TEST_SETS = st.sampled_from(
    [
        None,
        [{"id": "rent", "context": "Mud.", "question": "Who pays?", "answers": ["The tenant"]}],
        [{"id": "harbour", "context": HARBOUR, "question": "When is it due?", "answers": ["x"]}],
    ]
)
REFRESHES = st.tuples(st.lists(QUESTIONS, max_size=8), SETTINGS, TEST_SETS)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=6, deadline=None
)
@given(history=st.lists(REFRESHES, min_size=2, max_size=4))
def test_whatever_changed_since_the_last_refresh_the_table_is_that_of_a_first_one(
    tmp_path_factory, history
):
    folder = tmp_path_factory.mktemp("history")
    old, new = Store(root=str(folder / "old")), Store(root=str(folder / "new"))
    for number, (rows, curation, questions) in enumerate(history):
        made = corpus(folder, **curation)
        if questions is not None:
            lines = "\n".join(map(json.dumps, questions))
            (folder / "tests.jsonl").write_text(lines, encoding="utf-8")
            evaluation = {"test": "tests.jsonl", "metric": "squad"}
            made = corpus(folder, evaluation=evaluation, **curation)
        if number == len(history) - 1:
            put(new, [_row(*values) for values in rows])
            first = run(new, made)
        put(old, [_row(*values) for values in rows])
        last = run(old, made)
    assert curated(old) == curated(new)
    path = "curated_tasks", "c"
    assert Path(old.table_path(*path)).read_bytes() == Path(new.table_path(*path)).read_bytes()
    assert last.report.contamination == first.report.contamination
    assert (last.report.before, last.report.after) == (first.report.before, first.report.after)
