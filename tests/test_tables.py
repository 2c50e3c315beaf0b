"""Schemas hold what the contract promises, and no verdict outside the published list passes."""

import pytest

from bonito_assets import tables


def test_every_table_has_the_contracts_columns():
    contract = {
        "documents": "corpus doc_id uri title text media_type n_chars content_sha256",
        "chunks": "corpus chunk_id doc_id position start_char end_char text n_tokens",
        "generations": "corpus generation_id request_key chunk_id task_type sample output "
        "finish_reason prompt_tokens output_tokens mean_logprob model created_at",
        "tasks": "corpus generation_id chunk_id task_type input output",
        "curated_tasks": "corpus generation_id chunk_id task_type input output duplicate_of",
    }
    for table, columns in contract.items():
        assert {*columns.split(), "rejected_because"} <= set(tables.SCHEMAS[table].names)


def test_every_column_says_what_it_means():
    for table in tables.SCHEMAS:
        assert all(tables.meanings(table).values())


def test_an_unpublished_verdict_is_refused():
    row = {"corpus": "c", "doc_id": "d", "uri": "u", "rejected_because": "did_not_like_it"}
    with pytest.raises(ValueError, match="did_not_like_it"):
        tables.build("documents", [row])


def test_a_row_without_its_id_is_refused():
    with pytest.raises(ValueError, match="doc_id"):
        tables.build("documents", [{"corpus": "c", "uri": "u"}])


def test_verdicts_count_every_row_once():
    rows = [
        {"corpus": "c", "doc_id": str(i), "uri": "u", "rejected_because": verdict}
        for i, verdict in enumerate([None, "empty", None, "unreadable", None])
    ]
    counts = tables.verdicts(tables.build("documents", rows))
    assert counts == {"accepted": 3, "empty": 1, "unreadable": 1}
