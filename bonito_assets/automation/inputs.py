"""What the stages read beside each other's tables: external assets with a data version each.

A stage depends on just what it reads of a catalogue file, so that a changed threshold makes
`curated_tasks` stale and not `chunks`. The versions are digests; nothing here reads or writes data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg
from fsspec.core import url_to_fs

from bonito_assets import settings
from bonito_assets.catalogue import CatalogueError, Corpus, corpora
from bonito_assets.identity import digest
from bonito_assets.ingestion.files import SourceError, SourceFile, find_files
from resources.checksums import sha256
from resources.model import is_path
from resources.secrets import expand

GROUP = "catalogue"
CATALOGUE, SOURCE, TEST_SETS = "catalogue", "source", "test_sets"
GENERATING_MODEL, BASE_MODEL = "generating_model_setting", "base_model_setting"
_MODELS = {GENERATING_MODEL: "BONITO_MODEL", BASE_MODEL: "BONITO_BASE_MODEL"}
# Dagster's own tag; it has no public name in 1.13.
_DATA_VERSION = "dagster/data_version"


def _ingestion(corpus: Corpus) -> Any:
    return corpus.source.model_dump(mode="json"), corpus.limits.model_dump(), corpus.pii == "mask"


def _chunking(corpus: Corpus) -> Any:
    # A passage must leave room for the prompt's frame and the longest answer.
    room = [[corpus.full_name(t), corpus.sampling.of(t).max_tokens] for t in corpus.task_types]
    return corpus.chunking.model_dump(), _units(corpus), sorted(room), corpus.languages, corpus.pii


def _generation(corpus: Corpus) -> Any:
    drawn = [
        [t, corpus.full_name(t), corpus.unit_of(t), asdict(corpus.sampling.of(t))]
        for t in corpus.task_types
    ]
    amount = [corpus.samples_per_chunk, corpus.accepted_per_task_type, corpus.max_samples_per_chunk]
    return drawn, amount, corpus.reproducible, corpus.budget.model_dump()


def _parsing(corpus: Corpus) -> Any:
    own = {name: kind.model_dump() for name, kind in corpus.custom_task_types.items()}
    return corpus.parsing.model_dump(), own


def _round_trip(corpus: Corpus) -> Any:
    asked = corpus.curation.round_trip
    return None if asked is None else (asked.model, corpus.budget.model_dump(), _parsing(corpus))


def _curation(corpus: Corpus) -> Any:
    return corpus.curation.model_dump()


def _publishing(corpus: Corpus) -> Any:
    size = corpus.publish.max_shrink, corpus.publish.allow_shrink
    return corpus.description, corpus.license, corpus.languages, corpus.pii, size


def _mixture(corpus: Corpus) -> Any:
    return corpus.mixture_weight, corpus.license, corpus.languages


def _tuning(corpus: Corpus) -> Any:
    # Raw passages are of the units that the task types are asked of.
    units = _units(corpus) if "tapt" in corpus.tuning.arms else None
    return corpus.tuning.model_dump(), units


def _evaluation(corpus: Corpus) -> Any:
    own = corpus.evaluation.model_dump() if corpus.evaluation else None
    return own, corpus.tuning.max_tokens, corpus.task_types, _parsing(corpus)


def _units(corpus: Corpus) -> list[str]:
    return sorted({corpus.unit_of(task_type) for task_type in corpus.task_types})


# Name of the asset -> what its version is made of, and what to tell of it in the UI.
_SETTINGS: dict[str, tuple[Callable[[Corpus], Any], str]] = {
    "ingestion_settings": (
        _ingestion,
        "where the documents come from, what one file may cost, and whether personal data is"
        " masked",
    ),
    "chunking_settings": (
        _chunking,
        "how long a passage may be, in which languages, and which units the task types ask for",
    ),
    "generation_settings": (
        _generation,
        "the task types, how many samples, how they are drawn, and what they may cost",
    ),
    "parsing_settings": (_parsing, "how outputs are judged, and the corpus's own task types"),
    "round_trip_settings": (_round_trip, "whether another model answers too, and which one"),
    "curation_settings": (_curation, "duplicates, thresholds and caps"),
    "publishing_settings": (
        _publishing,
        "what the card says, and how much smaller a release may be",
    ),
    "mixture_settings": (_mixture, "the share in the mixture, the licence and the languages"),
    "tuning_settings": (_tuning, "how the base model is tuned on the published dataset"),
    "evaluation_settings": (_evaluation, "which test set is asked, and how it is scored"),
}


EXTERNAL = (CATALOGUE, SOURCE, TEST_SETS, *_SETTINGS, *_MODELS)


def setting_versions(corpus: Corpus) -> dict[str, str]:
    """Gives, by asset, the digest of what each stage reads of the catalogue file of `corpus`."""
    return {name: digest(read(corpus)) for name, (read, _) in _SETTINGS.items()}


def source_version(corpus: Corpus) -> str:
    """Gives the digest of the source's listing: names, sizes, dates, and what stores vouch for.

    It reads no file: an edit that keeps size and date is found by the next refresh, which hashes
    bytes. A dataset of the hub has the version of its name and revision. Raises ``SourceError``
    where the source cannot be listed.
    """
    if corpus.source.dataset is not None:
        wanted = corpus.source.dataset
        local = Path(corpus.path(wanted.path))
        return digest(
            wanted.model_dump(), _folder_stamps(local) if local.is_dir() else "on the hub"
        )
    return digest(*(_stamp(file) for file in find_files(corpus).files))


def test_sets_version(corpus: Corpus) -> str:
    """Gives the digest of the bytes of the test sets that `corpus` names.

    Raises ``CatalogueError`` for one that is not there.
    """
    named = [corpus.evaluation.test] if corpus.evaluation else []
    places = [corpus.path(place) for place in [*named, *corpus.curation.decontaminate_against]]
    return digest(*(_content(place, corpus.name) for place in places))


test_sets_version.__test__ = False  # pytest would take it for a test


def model_version(name: str) -> str:
    """Gives what tells cheaply that a model setting means another model: its name and its files.

    `bonito_model` hashes the weights when it is made; a hub id counts by name and revision.
    """
    folder = Path(name).expanduser()
    return digest(name, _folder_stamps(folder) if is_path(name) and folder.is_dir() else None)


def found_versions(corpus: Corpus) -> dict[str, str]:
    """Gives the versions of the source and of the test sets of `corpus`.

    Raises ``SourceError`` or ``CatalogueError`` for what is not there or cannot be reached.
    """
    return {SOURCE: source_version(corpus), TEST_SETS: test_sets_version(corpus)}


def model_versions() -> dict[str, str]:
    """Gives the versions of the two settings that name models."""
    return {
        GENERATING_MODEL: model_version(settings.model()),
        BASE_MODEL: model_version(settings.base_model()),
    }


def external_assets() -> list[dg.AssetSpec]:
    """Gives the external assets of group `catalogue`, for the definitions."""
    whole = _external(
        CATALOGUE,
        "The folder of catalogue files: one file, one corpus, one partition. A file that is added"
        " becomes a partition within seconds; one that is removed retires its corpus, whose data"
        " stays until somebody deletes it.",
    )
    source = _external(
        SOURCE,
        "What the catalogue file points to, known by a listing: names, sizes and dates, or what an"
        " object store says of each file. A changed listing makes `documents` stale.",
        partitioned=True,
    )
    test_sets = _external(
        TEST_SETS,
        "The labelled test sets that a corpus names, for its evaluation and to keep its dataset"
        " free of them, known by the digest of their bytes.",
        partitioned=True,
    )
    keys = [
        _external(
            name,
            f"Keys of the catalogue file: {told}. Its data version is their digest, so that a"
            " change makes stale what reads them and nothing else.",
            partitioned=True,
        )
        for name, (_, told) in _SETTINGS.items()
    ]
    models = [
        _external(name, f"The model that {variable} names: the setting, and the files of a folder.")
        for name, variable in (
            (GENERATING_MODEL, "BONITO_MODEL"),
            (BASE_MODEL, "BONITO_BASE_MODEL"),
        )
    ]
    return [whole, source, test_sets, *keys, *models]


def _external(name: str, description: str, partitioned: bool = False) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        description=description,
        group_name=GROUP,
        partitions_def=corpora if partitioned else None,
        deps=[CATALOGUE] if partitioned else [],
        kinds={"yaml"},
        owners=["team:bonito"],
    )


def report(instance: dg.DagsterInstance, wanted: list[Corpus]) -> None:
    """Tells Dagster what the stages of some corpora are about to read, and of the models.

    The sensors do so too. Who starts runs without them calls this first, so that what a run has
    seen is not taken for a change after it. A source that cannot be listed is left to the run.
    """
    events = list(changes(instance, model_versions()))
    for corpus in wanted:
        versions = setting_versions(corpus)
        with suppress(SourceError, CatalogueError):
            versions |= found_versions(corpus)
        events += changes(instance, versions, corpus.name)
    for event in events:
        instance.report_runless_asset_event(event)


def changes(
    instance: dg.DagsterInstance, versions: dict[str, str], corpus: str | None = None
) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
    """Gives the events that tell Dagster those of `versions` which it does not know yet."""
    for name, version in versions.items():
        if version != known_version(instance, name, corpus):
            tags = {_DATA_VERSION: version}
            # Dagster 1.13 judges an external asset by both: staleness of a partition looks for
            # observations, automation and the UI's partition bar for materializations.
            yield dg.AssetObservation(asset_key=name, partition=corpus, tags=tags)
            yield dg.AssetMaterialization(asset_key=name, partition=corpus, tags=tags)


def known_version(instance: dg.DagsterInstance, name: str, corpus: str | None) -> str | None:
    """Gives the version of an external asset that was reported last."""
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(name), asset_partitions=None if corpus is None else [corpus]
        ),
        limit=1,
    ).records
    return found[0].asset_materialization.tags.get(_DATA_VERSION) if found else None


def _stamp(file: SourceFile) -> tuple[Any, ...]:
    if file.token is not None:
        return file.uri, file.token
    if file.root is not None:
        return file.uri, _date_and_size(file.path)
    return file.uri, file.size


def _date_and_size(path: str) -> tuple[int, int] | None:
    try:
        known = Path(path).stat()
    except OSError:
        return None
    return known.st_mtime_ns, known.st_size


def _folder_stamps(folder: Path) -> list[tuple[str, Any]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path.relative_to(folder)), _date_and_size(str(path))) for path in files]


def _content(place: str, corpus: str) -> Any:
    filesystem, path = url_to_fs(expand(place))
    if filesystem.protocol in ("file", ("file", "local")):
        stamp = _date_and_size(path)
        if stamp is None:
            raise CatalogueError(
                f"corpus '{corpus}': test set '{place}' does not exist; point 'evaluation.test' and"
                " 'curation.decontaminate_against' at JSONL or Parquet files"
            )
        return _bytes_digest(path, stamp)
    try:
        return {key: str(value) for key, value in filesystem.info(path).items()}
    except Exception as error:  # the client of a store may raise anything
        raise CatalogueError(
            f"corpus '{corpus}': test set '{place}' cannot be reached: {error}"
        ) from error


@lru_cache(maxsize=1024)
def _bytes_digest(path: str, stamp: tuple[int, int]) -> str:
    """Gives the digest of a file's bytes, worked out once for each date and size."""
    return sha256(Path(path))
