"""A release goes to the hub whole, under its version, and without what is not meant for others."""

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from bonito_assets.publishing.checksums import verify
from bonito_assets.publishing.hub import PushError, push, push_release
from tests.publishing.made import catalogue_file, letters, put, release

pytestmark = pytest.mark.usefixtures("rows_alone")


@pytest.fixture
def folder(store, corpus):
    for n in (4, 5):
        put(store, letters(n))
        folder = release(store, corpus)[1]
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that keeps what it is sent in a folder, and every call."""
    calls = []

    class Hub:
        refuses = None

        def __init__(self, token):
            calls.append(("token", token))

        def create_repo(self, repository, **options):
            calls.append(("create_repo", repository, options))
            if Hub.refuses:
                raise Hub.refuses

        def upload_folder(self, *, folder_path, **options):
            calls.append(("upload_folder", options))
            for path in Path(folder_path).rglob("*"):
                if path.is_file():
                    kept = tmp_path / "hub" / path.relative_to(folder_path)
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    kept.write_bytes(path.read_bytes())
            return SimpleNamespace(oid="c0ffee")

        def create_tag(self, repository, **options):
            calls.append(("create_tag", repository, options))

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return SimpleNamespace(calls=calls, folder=tmp_path / "hub", api=Hub)


def test_what_arrives_is_a_whole_release_and_nothing_else(folder, hub):
    push(folder, "owner/name", private=True)
    assert verify(hub.folder) == []
    names = {path.name for path in hub.folder.rglob("*") if path.is_file()}
    assert {"README.md", "train.parquet", "croissant.json", "books.json", "SHA256SUMS"} <= names
    assert not names & {"review.html", "releases"}
    assert not (hub.folder / "releases").exists()


def test_the_published_release_is_left_as_it_was(folder, hub):
    push(folder, "owner/name", private=True)
    assert verify(folder) == []


def test_it_is_private_unless_said_otherwise_and_tagged_with_its_version(folder, hub):
    address = push(folder, "owner/name", private=True)
    by_name = {call[0]: call for call in hub.calls}
    assert by_name["create_repo"][2]["private"] is True
    assert by_name["upload_folder"][1]["delete_patterns"] == "*"
    tag = by_name["create_tag"][2]
    assert tag["revision"] == "c0ffee"
    assert address.endswith(f"owner/name/tree/{tag['tag']}")


def test_a_damaged_release_is_not_sent(folder, hub):
    (folder / "README.md").write_text("other")
    with pytest.raises(PushError, match=r"README\.md"):
        push(folder, "owner/name", private=True)
    assert hub.calls == []


def test_without_a_token_in_the_environment_nothing_is_tried(folder, hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PushError, match="HF_TOKEN is not set"):
        push(folder, "owner/name", private=True)
    assert hub.calls == []


def test_what_the_hub_refuses_is_one_sentence_without_the_token(folder, hub):
    hub.api.refuses = OSError("403 Forbidden: no right to write\nlong trace")
    with pytest.raises(PushError) as refused:
        push(folder, "owner/name", private=True)
    assert "403 Forbidden" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hf_secret" not in str(refused.value)


def test_a_corpus_without_a_repository_or_a_release_says_what_to_do(store, corpus, tmp_path):
    with pytest.raises(PushError, match=r"publish: \{hub: owner/name\}.*letters\.yaml"):
        push_release(store, corpus)
    named = catalogue_file(tmp_path, publish={"hub": "owner/name"})
    with pytest.raises(PushError, match="bonito run letters"):
        push_release(store, named)
