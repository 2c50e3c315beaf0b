"""A release is whole or it is said what is wrong with it, with and without this program."""

import shutil
import subprocess

import pytest

from bonito_assets.publishing.checksums import verify
from resources.checksums import SUMS, write_sums
from tests.publishing.made import letters, put, release


@pytest.fixture
def folder(store, corpus, rows_alone):
    put(store, letters(8))
    made, folder = release(store, corpus)
    # A copy: at its place a release shares its files with its own history.
    own = folder.parent / "copy"
    shutil.copytree(folder / "releases" / made.rows.version, own)
    return own


def test_a_release_is_whole_at_its_place_and_in_the_history(store, corpus, rows_alone):
    for n in (8, 9):
        put(store, letters(n))
        _, folder = release(store, corpus)
    assert verify(folder) == []
    assert [verify(path) for path in (folder / "releases").iterdir()] == [[], []]


def test_other_programs_can_check_it_too(folder):
    subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=folder, check=True)


@pytest.mark.parametrize("name", ["README.md", "data/train.parquet", "books.json"])
def test_a_changed_file_is_named(folder, name):
    with (folder / name).open("ab") as file:
        file.write(b" ")
    assert verify(folder) == [f"{name}: its content is not what was published"]


def test_a_file_that_is_gone_or_new_is_named(folder):
    (folder / "croissant.json").unlink()
    (folder / "data" / "test.parquet").write_bytes(b"")
    assert verify(folder) == [
        "croissant.json: missing",
        "data/test.parquet: not of this release",
    ]


def test_rows_of_another_version_are_noticed_even_with_checksums_made_anew(folder):
    shutil.move(folder / "data" / "validation.parquet", folder / "data" / "train.parquet")
    write_sums(folder)
    assert "not those of the version" in verify(folder)[0]


def test_a_folder_without_checksums_is_no_release(tmp_path):
    assert SUMS in verify(tmp_path)[0]
