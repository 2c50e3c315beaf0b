"""The asset `instruction_dataset`."""

import dagster as dg

from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.checks import corpus_check
from bonito_assets.metadata import markdown_table
from bonito_assets.publishing.card import card
from bonito_assets.publishing.release import Release, build, write
from resources.store import Store

_ALL_PUBLISHED = "accepted_rows_are_published"


@dg.asset(
    partitions_def=corpora,
    deps=["curated_tasks", "chunks", "documents"],
    group_name="publishing",
    kinds={"huggingface", "parquet"},
    owners=["team:bonito"],
    code_version="1",
    check_specs=[
        corpus_check(
            _ALL_PUBLISHED, "instruction_dataset", "Every accepted row is in exactly one split."
        )
    ],
)
def instruction_dataset(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store
) -> dg.MaterializeResult:
    """The published dataset: accepted rows only, in `train` and `validation`, with a card.

    `datasets.load_dataset(folder)` opens it. The splits share no document. The version is the
    digest of the content; earlier releases stay under `releases/`.
    """
    corpus = catalogue.corpus(context.partition_key)
    # Of the texts only those of the tasks are published.
    books = {
        "documents": store.read("documents", corpus.name, ["license", "rejected_because"]),
        "chunks": store.read(
            "chunks", corpus.name, ["chunk_id", "start_char", "end_char", "rejected_because"]
        ),
        "curated_tasks": store.read("curated_tasks", corpus.name),
    }
    accepted = books["curated_tasks"]["rejected_because"].null_count
    if not accepted:
        raise dg.Failure(
            f"corpus '{corpus.name}': none of {books['curated_tasks'].num_rows:,} generations was "
            "accepted, so nothing was published and the last release stays; the verdicts stand in "
            f"table curated_tasks: bonito status {corpus.name}",
            allow_retries=False,
        )
    release = build(books["curated_tasks"], books["chunks"])
    models = store.read("generations", corpus.name, columns=["model"])["model"].unique().to_pylist()
    text = card(corpus, release, books, ", ".join(models))
    previous = store.published("instruction_dataset", corpus.name)
    with store.new_folder("instruction_dataset", corpus.name) as folder:
        write(release, text, folder, previous)
    return dg.MaterializeResult(
        metadata=_metadata(release, store.uri("instruction_dataset", corpus.name)),
        data_version=dg.DataVersion(release.version),
        check_results=[_check(release, accepted)],
    )


def _metadata(release: Release, uri: str) -> dict[str, object]:
    sample = [
        {name: row[name] for name in ("task_type", "input", "output")}
        for row in release.train.slice(0, 5).to_pylist()
    ]
    return {
        "dagster/partition_row_count": sum(rows.num_rows for rows in release.splits.values()),
        "dagster/uri": uri,
        "version": release.version,
        "train": release.train.num_rows,
        "validation": release.validation.num_rows,
        "sample": dg.MetadataValue.md(markdown_table(sample)),
    }


def _check(release: Release, accepted: int) -> dg.AssetCheckResult:
    published = [i for rows in release.splits.values() for i in rows["generation_id"].to_pylist()]
    return dg.AssetCheckResult(
        passed=len(published) == len(set(published)) == accepted,
        check_name=_ALL_PUBLISHED,
        description=f"{accepted:,} rows accepted, {len(published):,} published",
        metadata={"accepted": accepted, "published": len(published)},
    )
