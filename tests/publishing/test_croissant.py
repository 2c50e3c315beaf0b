"""The manifest is Croissant by the vocabulary's own library, which reads the rows through it."""

import warnings

import mlcroissant
import pytest

from resources.checksums import sha256
from tests.publishing.made import letters, put, read_json, release

pytestmark = pytest.mark.usefixtures("rows_alone")


@pytest.fixture
def folder(store, corpus):
    put(store, letters(8))
    return release(store, corpus)[1]


def test_the_library_finds_nothing_wrong_with_it(folder):
    issues = mlcroissant.Dataset(jsonld=folder / "croissant.json").metadata.issues
    assert not issues.errors
    # A corpus does not know how it wants to be cited, and a version is a digest: nothing else.
    assert all("citeAs" in w or "MAJOR.MINOR.PATCH" in w for w in issues.warnings), issues.warnings


def test_the_library_reads_the_rows_through_it(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = mlcroissant.Dataset(jsonld=folder / "croissant.json")
        rows = list(dataset.records("train"))
    assert len(rows) == read_json(folder / "release.json")["splits"]["train"]
    row = {name.rpartition("/")[2]: value for name, value in rows[0].items()}
    assert row["input"].startswith(b"Letter")
    assert row["start_char"] == 0


def test_it_names_every_data_file_with_its_checksum(folder):
    listed = read_json(folder / "croissant.json")["distribution"]
    assert {f["contentUrl"]: f["sha256"] for f in listed} == {
        f"data/{split}.parquet": sha256(folder / "data" / f"{split}.parquet")
        for split in ("train", "validation")
    }
