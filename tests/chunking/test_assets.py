"""The checks of the asset `chunks`: what stops a run before a token is paid for."""

import pyarrow as pa

from bonito_assets.books import Books
from bonito_assets.catalogue import Corpus
from bonito_assets.chunking.assets import _covered, _usable
from bonito_assets.chunking.coverage import Coverage


def books(*verdicts):
    ids = [f"{number:032x}" for number in range(len(verdicts))]
    columns = {"id": ids, "rejected_because": pa.array(verdicts, pa.string())}
    return Books.of(pa.table(columns), "id")


def test_text_that_is_in_no_passage_fails_where_paragraphs_are_asked_about():
    found = Coverage(documents=3, passages=9, uncovered=["d1"])
    check = _covered(found, wholly=True)
    assert not check.passed
    assert "1 documents have text that is in no passage" in check.description
    assert check.metadata["failing ids"].value == "d1"
    assert _covered(found, wholly=False).passed


def test_a_passage_out_of_its_place_always_fails():
    for wholly in (True, False):
        check = _covered(Coverage(1, 2, misplaced=["k1"]), wholly)
        assert not check.passed
        assert check.metadata["rows failed"].value == 1
        assert check.metadata["failing ids"].value == "k1"


def test_a_corpus_without_a_usable_passage_is_told_why_and_where_to_look(tmp_path):
    corpus = Corpus(name="c", folder=tmp_path, source={"files": "in"}, task_types=["nli"])
    check = _usable(corpus, books("too_short", "too_short", "boilerplate"))
    assert not check.passed
    assert "the commonest reason is too_short" in check.description
    assert "c.yaml" in check.description
    assert _usable(corpus, books("too_short", None)).passed
    assert not _usable(corpus, books()).passed
