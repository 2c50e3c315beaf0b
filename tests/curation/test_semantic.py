"""Rows that ask the same in other words are found among those on one passage."""

import sys

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from bonito_assets.curation import semantic
from bonito_assets.curation.semantic import (
    Asked,
    MissingLibraryError,
    MissingModelError,
    embedder,
    families,
)


def unit(*numbers):
    return np.array(numbers, np.float32) / np.linalg.norm(numbers)


def found(group, rows, vectors, threshold=0.95):
    """Links rows of (question, answer, label), given the vector of each text."""

    def asked(numbers):
        chosen = [rows[number] for number in numbers]
        return Asked(*(list(side) for side in zip(*chosen, strict=True)))

    def embed(texts):
        return np.array([vectors.get(text, unit(1, 0, 0)) for text in texts], np.float32)

    return families(np.array(group), asked, embed, threshold).tolist()


WHO, RENTS, WHEN = "Who is the tenant?", "Who rents the flat?", "When does it end?"
VECTORS = {
    "Who is the tenant": unit(1, 0, 0),
    "Who rents the flat": unit(1, 0.1, 0),
    "When does it end": unit(0, 1, 0),
    "Ann": unit(0, 0, 1),
    "Bob": unit(0, 1, 1),
}


def test_a_question_in_other_words_is_of_the_family_of_the_first():
    rows = [(WHEN, "Ann", None), (WHO, "Ann", None), (RENTS, "Ann", None)]
    assert found([0, 0, 0], rows, VECTORS) == [0, 1, 1]


def test_rows_of_other_groups_are_not_compared():
    rows = [(WHO, "Ann", None), (WHO, "Ann", None), (WHO, "Ann", None), (WHO, "Ann", None)]
    assert found([0, 1, -1, -1], rows, VECTORS) == [0, 1, 2, 3]


def test_groups_may_lie_among_each_other():
    rows = [(WHO, "Ann", None), (WHEN, "Bob", None), (RENTS, "Ann", None), (WHEN, "Bob", None)]
    assert found([0, 1, 0, 1], rows, VECTORS) == [0, 1, 0, 1]


def test_another_answer_makes_another_row():
    assert found([0, 0], [(WHO, "Ann", None), (RENTS, "Bob", None)], VECTORS) == [0, 1]


def test_the_wording_around_the_subject_does_not_drown_it():
    frame = "Read the passage with care and answer the question in a few words.\n\n{{context}}\n\n"
    rows = [(f"{frame}Question: {asked}", "Ann", None) for asked in (WHO, WHEN, RENTS)]
    assert found([0, 0, 0], rows, VECTORS) == [0, 1, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Did 5 come?", "Ann", None), ("Did 6 come?", "Ann", None)),
        (("Was it 3.5?", "Ann", None), ("Was it 35?", "Ann", None)),
        (("Was it -5?", "Ann", None), ("Was it 5?", "Ann", None)),
        (("Did it open?", "Ann", None), ("Did it not open?", "Ann", None)),
        (("Did it open?", "Ann", None), ("Didn't it open?", "Ann", None)),
        (("Who?", "Ann was", None), ("Who?", "Ann was not", None)),
        (("Who?", "it cost 5", None), ("Who?", "it cost 50", None)),
        (("Who?", "Ann", "yes"), ("Who?", "Ann", "no")),
    ],
)
def test_numbers_negations_and_labels_count_whatever_the_vectors_say(one, other):
    assert found([0, 0], [one, other], {}) == [0, 1]


def test_the_threshold_is_a_cosine():
    rows = [("who", "Ann", None), ("rents", "Ann", None)]
    vectors = {"who": unit(1, 0), "rents": unit(0.8, 0.6), "Ann": unit(1, 0)}
    assert found([0, 0], rows, vectors, 0.8) == [0, 0]
    assert found([0, 0], rows, vectors, 0.81) == [0, 1]


def test_equal_vectors_are_near_at_the_highest_threshold():
    rows = [("who", "Ann", None), ("rents", "Ann", None)]
    same = unit(*np.arange(1, 385))
    assert found([0, 0], rows, {"who": same, "rents": same, "Ann": same}, 1.0) == [0, 0]


def test_a_chain_joins_no_strangers():
    rows = [(word, "Ann", None) for word in "abc"]
    turned = {
        word: unit(np.cos(turn), np.sin(turn))
        for word, turn in zip("abc", (0, 0.3, 0.6), strict=True)
    }
    assert found([0, 0, 0], rows, {**turned, "Ann": unit(1, 0)}) == [0, 0, 2]


def test_no_rows_have_no_families():
    assert found([], [], {}) == []


ROWS = st.lists(
    st.tuples(st.integers(-1, 3), st.floats(0, 3), st.floats(0, 3), st.sampled_from(["a", "b"])),
    max_size=30,
)


@given(ROWS, st.integers(1, 8))
def test_families_are_the_same_however_many_rows_are_held_at_once(drawn, at_once):
    group = [row[0] for row in drawn]
    rows = [(f"q{chr(97 + i)}", f"a{chr(97 + i)}", row[3]) for i, row in enumerate(drawn)]
    vectors = {}
    for (question, answer, _), (_, turn, other, _) in zip(rows, drawn, strict=True):
        vectors[question] = unit(np.cos(turn), np.sin(turn))
        vectors[answer] = unit(np.cos(other), np.sin(other))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(semantic, "_ROWS_AT_ONCE", at_once)
        made = found(group, rows, vectors, 0.9)
    # The definition, row by row.
    for i, (_, _, label) in enumerate(rows):
        joined = next(
            (j for j in range(i)
             if group[i] >= 0 and group[j] == group[i] and made[j] == j and rows[j][2] == label
             and all(vectors[rows[i][k]] @ vectors[rows[j][k]] >= 0.9 - 1e-5 for k in (0, 1))),
            i,
        )  # fmt: skip
        assert made[i] == joined


@pytest.mark.parametrize(
    ("library", "module"),
    [("sentence-transformers", "sentence_transformers"), ("model2vec", "model2vec")],
)
def test_a_library_that_is_missing_is_named_with_the_remedy(library, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingLibraryError, match=rf"{library}.*extra 'semantic'"):
        embedder("a/model", library)


WORDS = "[UNK] [PAD] [CLS] [SEP] who is the tenant landlord of flat ?".split()


@pytest.fixture(scope="module")
def static_model(tmp_path_factory):
    """A model of model2vec with a random vector per word."""
    model2vec = pytest.importorskip("model2vec")
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 16)).astype(np.float32)
    folder = tmp_path_factory.mktemp("static")
    model2vec.StaticModel(vectors, tokenizer).save_pretrained(folder)
    return folder, "model2vec"


@pytest.fixture(scope="module")
def sentence_model(tmp_path_factory):
    """A folder of sentence-transformers: a BERT of a few thousand random weights, and pooling."""
    parts = pytest.importorskip("sentence_transformers")
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    # Of a plain folder of transformers it makes one of its own, with mean pooling.
    whole = folder / "whole"
    parts.SentenceTransformer(str(folder), device="cpu").save(str(whole))
    return whole, "sentence-transformers"


# Loading torch and what sentence-transformers brings takes longer than all else here.
@pytest.mark.parametrize(
    "model", ["static_model", pytest.param("sentence_model", marks=pytest.mark.slow)]
)
def test_a_folder_of_the_library_gives_vectors_of_length_one_by_text(model, request):
    folder, library = request.getfixturevalue(model)
    embed = embedder(str(folder), library)
    texts = ["who is the tenant", "who is the landlord", "who is the tenant"]
    vectors = embed(texts)
    assert vectors.shape == (3, 16)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-5)
    assert vectors[0] @ vectors[1] < 0.9999


def test_a_text_without_a_known_word_is_near_to_none(static_model):
    embed = embedder(str(static_model[0]), static_model[1])
    assert not np.isnan(embed(["", "who"])).any()


def test_a_model_that_cannot_be_loaded_is_named_with_its_key(tmp_path):
    pytest.importorskip("model2vec")
    with pytest.raises(
        MissingModelError, match=r"gone.*correct curation.semantic_duplicates.model"
    ):
        embedder(str(tmp_path / "gone"), "model2vec")
