"""A catalogue file is read as the contract says, and a wrong one is explained."""

from pathlib import Path

import pytest

from bonito_assets.catalogue import TASK_TYPES, Catalogue, CatalogueError, load
from resources.generator import Sampling

GOOD = """
source:
  files: notes/*.txt
task_types: [nli, extractive question answering]
"""


@pytest.fixture
def write(tmp_path):
    def _write(text: str, name: str = "notes.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def test_a_minimal_file_gets_the_defaults_of_bonitos_model_card(write):
    corpus = load(write(GOOD))
    assert corpus.name == "notes"
    assert corpus.samples_per_chunk == 1
    assert corpus.chunking.max_chars == 2000
    assert corpus.sampling.of("nli") == Sampling(0.5, 0.95, 256)
    assert corpus.accepted_per_task_type is None
    assert not corpus.reproducible
    assert set(corpus.budget.model_dump().values()) == {None}


def test_full_names_of_task_types_become_short_ones(write):
    assert load(write(GOOD)).task_types == ["nli", "exqa"]


def test_all_sixteen_task_types_are_known(write):
    assert len(TASK_TYPES) == 16
    corpus = load(write(f"source: {{files: x.txt}}\ntask_types: [{', '.join(TASK_TYPES)}]"))
    assert corpus.task_types == list(TASK_TYPES)


def test_relative_paths_start_at_the_folder_of_the_file(write, tmp_path):
    corpus = load(write(GOOD))
    assert corpus.path("a/b.jsonl") == str(tmp_path / "a/b.jsonl")
    assert corpus.path("/abs/b.jsonl") == "/abs/b.jsonl"
    assert corpus.path("s3://bucket/b.jsonl") == "s3://bucket/b.jsonl"


def test_off_needs_no_quotes(write):
    text = "source: {files: x}\ntask_types: [nli]\ncuration: {duplicates: off}"
    assert load(write(text)).curation.duplicates == "off"


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("source: {files: x}\ntask_types: [nli]\nsampels: 1", ["sampels", "samples_per_chunk"]),
        ("source: {file: x}\ntask_types: [nli]", ["source", "'file'", "did you mean 'files'"]),
        ("source: {files: x}\ntask_types: [nly]", ["task type 'nly'", "did you mean 'nli'"]),
        ("source: {files: x}\ntask_types: [nli, nli]", ["'nli' stands twice"]),
        ("source: {files: x}\ntask_types: []", ["task_types"]),
        ("task_types: [nli]", ["key 'source' is missing"]),
        ("source: {}\ntask_types: [nli]", ["exactly one of 'files' and 'dataset'"]),
        (
            "source: {files: x, dataset: {path: y}}\ntask_types: [nli]",
            ["exactly one of 'files' and 'dataset'"],
        ),
        (
            "source: {files: x}\ntask_types: [nli]\nsampling: {temprature: 1}",
            ["sampling", "did you mean 'temperature'"],
        ),
        ("source: {files: x}\ntask_types: [nli]\nsampling: {top_p: 3}", ["sampling.top_p"]),
        ("source: {files: x}\ntask_types: [nli]\nrefresh: nightly", ["refresh", "0 3 * * *"]),
        ("source: {files: x}\ntask_types: [nli]\nname: other", ["'name'", "remove it"]),
        (
            "source: {files: x}\ntask_types: [nli]\ncuration: {round_trip: true}",
            ["curation.round_trip", "a section with keys of its own", "True"],
        ),
        (
            "source: {files: x}\ntask_types: [nli]\n"
            "curation: {thresholds: {mean_logprob: {min: .nan}}}",
            ["curation.thresholds.mean_logprob.min", "finite"],
        ),
        ("source: [", ["not valid YAML"]),
        ("", ["holds no keys"]),
    ],
)
def test_a_wrong_file_is_explained_with_file_key_and_remedy(write, text, fragments):
    path = write(text)
    with pytest.raises(CatalogueError) as error:
        load(path)
    for fragment in [str(path), *fragments]:
        assert fragment in str(error.value)


@pytest.mark.parametrize("name", ["Notes.yaml", "a b.yaml", "-x.yaml", "a'; drop.yaml", "ä.yaml"])
def test_a_file_name_that_cannot_be_a_partition_key_is_refused(write, name):
    with pytest.raises(CatalogueError, match="lower-case letters"):
        load(write(GOOD, name))


def test_an_unknown_corpus_is_answered_with_the_nearest(write, tmp_path):
    write(GOOD, "contracts.yaml")
    with pytest.raises(CatalogueError, match="did you mean 'contracts'"):
        Catalogue(folder=str(tmp_path)).corpus("contract")


def test_a_catalogue_folder_that_is_not_there_names_the_setting(tmp_path):
    with pytest.raises(CatalogueError, match="BONITO_CORPORA"):
        Catalogue(folder=str(tmp_path / "none")).names()


def test_one_task_type_may_be_drawn_in_another_way(write):
    changes = "{natural language inference: {temperature: 0.8}}"
    corpus = load(write(GOOD + f"sampling: {{top_p: 0.9, per_task_type: {changes}}}\n"))
    assert corpus.sampling.of("nli") == Sampling(0.8, 0.9, 256)
    assert corpus.sampling.of("exqa") == Sampling(0.5, 0.9, 256)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("samples_per_chunk: 2\naccepted_per_task_type: 50", "one of 'samples_per_chunk'"),
        ("max_samples_per_chunk: 2", "ceiling of 'accepted_per_task_type'"),
        ("sampling: {per_task_type: {wsd: {temperature: 1}}}", "'wsd' is not one of"),
        ("sampling: {per_task_type: {nil: {temperature: 1}}}", "did you mean 'nli'"),
        ("budget: {euros: 3}", "unknown key 'euros'"),
        ("budget: {tokens: 0}", "budget.tokens"),
    ],
)
def test_amounts_and_budgets_that_contradict_themselves_are_refused(write, lines, sentence):
    with pytest.raises(CatalogueError, match=sentence):
        load(write(GOOD + lines + "\n"))
