"""The command shows what will go, and does nothing without a person's word."""

import contextlib

import dagster as dg
import pytest
import typer
from typer.testing import CliRunner

from bonito_assets import runs, settings
from bonito_assets.commands.forget import forget
from bonito_assets.lineage.tombstones import Tombstones
from resources.store import Store
from tests.lineage.test_forget_releases import letter
from tests.lineage.test_tombstones import stone
from tests.publishing.made import CORPUS, letters, put


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "data_root", lambda: str(tmp_path))
    found = Store(root=str(tmp_path))
    put(found, letters(3))
    return found


def said(*arguments):
    app = typer.Typer()
    app.command()(forget)
    result = CliRunner().invoke(app, [CORPUS, *arguments])
    return result.exit_code, result.output


def test_it_shows_what_will_go_and_asks_for_yes_where_it_cannot_ask(store):
    code, output = said(letter(1))
    assert code == 1
    assert "documents 1, chunks 1, generations 3, tasks 3, curated_tasks 3" in output
    assert "1.txt" in output
    assert "say --yes" in output
    assert Tombstones.read(store, CORPUS) == Tombstones()


def test_an_id_may_be_shortened_as_long_as_it_names_one_document(store):
    assert "1.txt" in said(letter(1)[:12])[1]
    code, output = said("")
    assert code == 1
    assert "no document ''" in output


def test_an_unknown_document_is_named_with_the_remedy(store):
    code, output = said(letter(1), "ffffffff")
    assert code == 1
    assert "has no document 'ffffffff'; nothing was forgotten" in output
    assert "bonito sql" in output


@pytest.fixture
def instance(monkeypatch):
    with dg.instance_for_test() as opened:
        monkeypatch.setattr(runs, "instance", lambda: contextlib.nullcontext(opened))
        yield opened


def test_what_was_not_forgotten_cannot_be_taken_back(store, instance):
    code, output = said(letter(1), "--undo")
    assert code == 1
    assert "names 0 of the 0 forgotten documents" in output


def test_copies_are_taken_back_together_since_one_would_keep_the_other_out(store, instance):
    stones = [stone(letter(1)), stone(letter(2)), stone(letter(3), "other", "other")]
    Tombstones(tuple(stones)).write(store, CORPUS)
    assert "2 documents come in again" in said(letter(1), "--undo")[1]
    assert Tombstones.read(store, CORPUS).doc_ids == {letter(3)}


def test_nothing_is_taken_back_while_a_run_of_the_corpus_is_under_way(store, instance):
    from dagster._core.test_utils import create_run_for_test

    Tombstones((stone(letter(1)),)).write(store, CORPUS)
    tags = {"dagster/partition": CORPUS}
    create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=tags)
    code, output = said(letter(1), "--undo")
    assert code == 1
    assert f"corpus '{CORPUS}'" in output
    assert Tombstones.read(store, CORPUS).doc_ids == {letter(1)}
