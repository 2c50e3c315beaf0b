"""Puts a release on the Hugging Face hub, when a person asks for it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from bonito_assets.catalogue import Corpus
from bonito_assets.publishing.checksums import verify
from bonito_assets.publishing.publish import DATASET, REVIEW
from bonito_assets.publishing.release import RELEASES, link, record
from resources.checksums import SUMS, write_sums
from resources.store import Store

TOKEN = "HF_TOKEN"


class PushError(RuntimeError):
    """A release cannot be put on the hub; the message says why and what to do."""


def push_release(store: Store, corpus: Corpus) -> str:
    """Puts the newest release of `corpus` where its catalogue file says; gives its address."""
    repository = corpus.publish.hub
    if repository is None:
        raise PushError(
            f"corpus '{corpus.name}' names no repository: set 'publish: {{hub: owner/name}}' in "
            f"{corpus.folder / (corpus.name + '.yaml')}"
        )
    folder = store.published(DATASET, corpus.name)
    if folder is None:
        raise PushError(f"corpus '{corpus.name}' has no release yet: bonito run {corpus.name}")
    return push(folder, repository, corpus.publish.private)


def push(folder: Path, repository: str, private: bool) -> str:
    """Puts the release in `folder` on the hub as the dataset `repository`; gives its address.

    The repository is made where there is none, then holds this release and nothing else, and gets
    the version as a tag, so that ``load_dataset(repository, revision=version)`` finds it later.
    The review page stays here: it shows text of the documents that the dataset does not hold.
    Raises ``PushError`` for a damaged release, a missing token, and whatever the hub refuses.
    """
    if found := verify(folder):
        raise PushError(f"{folder} is not what was published: {'; '.join(found)}")
    token = os.environ.get(TOKEN)
    if not token:
        raise PushError(
            f"{TOKEN} is not set: put a token that may write (https://hf.co/settings/tokens) into "
            "the environment or into .env"
        )
    # Importing it takes half a second, which the definitions need not wait for.
    from huggingface_hub import HfApi

    hub = HfApi(token=token)
    version = record(folder)["version"]
    with tempfile.TemporaryDirectory(prefix="bonito-push-") as temporary:
        whole = Path(temporary) / "release"
        left_out = shutil.ignore_patterns(RELEASES, REVIEW, SUMS)
        shutil.copytree(folder, whole, copy_function=link, ignore=left_out)
        write_sums(whole)
        try:
            hub.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
            done = hub.upload_folder(
                repo_id=repository,
                repo_type="dataset",
                folder_path=whole,
                delete_patterns="*",
                commit_message=f"Release {version}",
            )
            hub.create_tag(
                repository, repo_type="dataset", tag=version, revision=done.oid, exist_ok=True
            )
        except Exception as error:  # the client raises many kinds; each means "not there"
            cause = str(error).strip().partition("\n")[0]
            raise PushError(f"the hub did not take release {version}: {cause}") from error
    return f"https://huggingface.co/datasets/{repository}/tree/{version}"
