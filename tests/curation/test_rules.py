"""What a corpus may ask of curation; a wrong key or score is named, with the right ones."""

import pytest

from bonito_assets.catalogue import CatalogueError, load
from bonito_assets.tables import SCORES


@pytest.fixture
def loaded(tmp_path):
    def read(curation):
        path = tmp_path / "c.yaml"
        head = "source: {files: x}\ntask_types: [nli]\ncuration: "
        path.write_text(head + curation, encoding="utf-8")
        return load(path).curation

    return read


def test_a_threshold_is_set_for_a_score_by_its_name(loaded):
    rules = loaded("{thresholds: {extractive_density: {max: 20}, mean_logprob: {min: -1.5}}}")
    assert rules.thresholds["mean_logprob"].min == -1.5


def test_an_unknown_score_is_an_error_that_names_the_valid_ones(loaded):
    with pytest.raises(CatalogueError) as caught:
        loaded("{thresholds: {lexical_overlaps: {min: 0.1}}}")
    message = str(caught.value)
    assert "c.yaml" in message
    assert "did you mean 'lexical_overlap'?" in message
    assert all(score in message for score in SCORES)


@pytest.mark.parametrize(
    ("curation", "said"),
    [
        ("{thresholds: {repetition: {}}}", "give 'min', 'max' or both"),
        ("{thresholds: {repetition: {min: 1, max: 0}}}", "no value is at least"),
        ("{max_per_documents: 3}", "did you mean 'max_per_document'?"),
        ("{max_share_per_label: 0}", "greater than 0"),
        ("{thresholds: {round_trip: {min: 0.5}}}", "give 'round_trip' too"),
    ],
)
def test_a_rule_that_no_row_could_keep_is_an_error(loaded, curation, said):
    with pytest.raises(CatalogueError, match=r"c\.yaml") as caught:
        loaded(curation)
    assert said in str(caught.value)
