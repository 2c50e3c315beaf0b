"""The assets `instruction_dataset` and, of all corpora together, `instruction_mixture`."""

from collections.abc import Iterator

import dagster as dg
import pyarrow.parquet as pq

from bonito_assets.catalogue import Catalogue, Corpus, corpora
from bonito_assets.checks import BOOKS_BALANCE, corpus_check
from bonito_assets.metadata import markdown_table
from bonito_assets.publishing import mixture
from bonito_assets.publishing.books import ACCEPTED, PUBLISHED, Books, problems, stage_books
from bonito_assets.publishing.mixture import MIXTURE, MixtureError
from bonito_assets.publishing.mixture_release import publish_mixture
from bonito_assets.publishing.publish import DATASET, Published, publish
from bonito_assets.publishing.release import data_file, record
from resources.store import Store

_ALL_PUBLISHED = "accepted_rows_are_published"
_NOT_SMALLER = "release_not_smaller"
_SAMPLE_ROWS = 5


@dg.asset(
    partitions_def=corpora,
    deps=["curated_tasks", "chunks", "documents"],
    group_name="publishing",
    kinds={"huggingface", "parquet"},
    owners=["team:bonito"],
    code_version="2",
    check_specs=[
        corpus_check(
            _NOT_SMALLER,
            DATASET,
            "No release is much smaller than the last unless a person says so.",
        ),
        corpus_check(
            BOOKS_BALANCE, DATASET, "From documents to published rows no row is lost or doubled."
        ),
        corpus_check(_ALL_PUBLISHED, DATASET, "Every accepted row is in exactly one split."),
    ],
)
def instruction_dataset(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """The published dataset: accepted rows only, in `train` and `validation`, with a card.

    `datasets.load_dataset(folder)` opens it. The splits share no document. The version is the
    digest of the content; earlier releases stay under `releases/`. Each has its books, its bill,
    a Croissant manifest, checksums, and a page for the person who looks before training.
    """
    corpus = catalogue.corpus(context.partition_key)
    books = stage_books(store, corpus.name)
    previous = store.published(DATASET, corpus.name)
    last = sum(record(previous)["splits"].values()) if previous else 0
    yield from _stopping(_judge_size(corpus, books, last))
    with store.new_folder(DATASET, corpus.name) as folder:
        made = publish(store, corpus, books, folder, previous)
        sample = pq.ParquetFile(data_file(folder, "train")).iter_batches(_SAMPLE_ROWS)
        metadata = _metadata(made, store.uri(DATASET, corpus.name), next(sample).to_pylist())
        yield from _stopping(_judge_books(made.books))
        yield from _stopping(_judge_rows(made.books))
    yield dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(made.rows.version))


@dg.asset(
    deps=[instruction_dataset],
    group_name="publishing",
    kinds={"huggingface", "parquet"},
    owners=["team:bonito"],
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec(
            BOOKS_BALANCE,
            asset=MIXTURE,
            description="Each published row of each corpus is here once, or has a reason.",
            blocking=True,
        )
    ],
)
def instruction_mixture(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """All published corpora as one dataset, to tune one model on.

    What more than one corpus holds, exactly or nearly, stands in it once, and corpora whose
    catalogue file has a `mixture_weight` stand in that proportion to each other. Splits, columns,
    releases and card are those of any published dataset.
    """
    try:
        given = mixture.sources(store, catalogue)
        previous = store.published(MIXTURE)
        with store.new_folder(MIXTURE) as folder:
            made = publish_mixture(store, given, folder, previous)
            yield from _stopping(_judge_mixture(made.books))
    except MixtureError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if given.missing:
        context.log.warning(f"not published yet, so not in the mixture: {', '.join(given.missing)}")
    yield dg.MaterializeResult(
        metadata=_mixture_metadata(made, store.uri(MIXTURE)),
        data_version=dg.DataVersion(made.rows.version),
    )


def _judge_mixture(books: Books) -> dg.AssetCheckResult:
    """Judges that every row of every corpus is accounted for."""
    found = mixture.problems(books, books[PUBLISHED])
    line = ", ".join(
        f"{name} {entry['kept']:,} of {entry['rows']:,}" for name, entry in books["corpora"].items()
    )
    return dg.AssetCheckResult(
        passed=not found, check_name=BOOKS_BALANCE, description="; ".join(found) or line
    )


def _mixture_metadata(made: Published, uri: str) -> dict[str, object]:
    rows = [{"corpus": name, **entry} for name, entry in made.books["corpora"].items()]
    return {
        "dagster/row_count": made.rows.total,
        "dagster/uri": uri,
        "version": made.rows.version,
        "follows": made.record["follows"] or "no release",
        **{split: made.rows.splits.get(split, 0) for split in ("train", "validation")},
        "corpora": dg.MetadataValue.md(markdown_table(rows)),
        "not published yet": ", ".join(made.books["missing"]) or "none",
    }


def _stopping(check: dg.AssetCheckResult) -> Iterator[dg.AssetCheckResult]:
    """Reports a check; where it fails nothing is published, so the last release stays."""
    yield check
    if not check.passed:
        raise dg.Failure(
            f"{check.description}; nothing was published and the last release stays",
            allow_retries=False,
        )


def _judge_size(corpus: Corpus, books: Books, last: int) -> dg.AssetCheckResult:
    """Judges that the new release keeps enough of the `last` one's rows, and has rows at all."""
    rows = books["curated_tasks"]["verdicts"].get(ACCEPTED, 0)
    sentence = f"{rows:,} rows, {last:,} in the last release"
    if not rows:
        sentence = (
            f"corpus '{corpus.name}': none of {books['curated_tasks']['rows']:,} generations was "
            f"accepted; the verdicts stand in table curated_tasks: bonito status {corpus.name}"
        )
    allowed = corpus.publish.allow_shrink or rows >= last * (1 - corpus.publish.max_shrink)
    if not allowed:
        sentence += (
            f": more than {corpus.publish.max_shrink:.0%} would be gone; if that is meant, set "
            f"'publish: {{allow_shrink: true}}' in {corpus.name}.yaml and publish again"
        )
    return dg.AssetCheckResult(
        passed=rows > 0 and allowed,
        check_name=_NOT_SMALLER,
        description=sentence,
        metadata={"rows": rows, "rows of the last release": last},
    )


def _judge_books(books: Books) -> dg.AssetCheckResult:
    """Judges that the books reconcile from documents to published rows."""
    found = problems(books)
    line = ", ".join(f"{name} {entry['rows']:,}" for name, entry in books.items())
    return dg.AssetCheckResult(
        passed=not found, check_name=BOOKS_BALANCE, description="; ".join(found) or line
    )


def _judge_rows(books: Books) -> dg.AssetCheckResult:
    """Judges by the files as they were written that each accepted row is there once."""
    published = books[PUBLISHED]
    accepted = books["curated_tasks"]["verdicts"].get(ACCEPTED, 0)
    return dg.AssetCheckResult(
        passed=published["ids"] == published["rows"] == accepted,
        check_name=_ALL_PUBLISHED,
        description=f"{accepted:,} rows accepted, {published['rows']:,} published",
        metadata={"accepted": accepted, "published": published["rows"]},
    )


def _metadata(made: Published, uri: str, sample: list[dict[str, object]]) -> dict[str, object]:
    bill = made.record["bill"]
    shown = [{name: row[name] for name in ("task_type", "input", "output")} for row in sample]
    return {
        "dagster/partition_row_count": made.rows.total,
        "dagster/uri": uri,
        "version": made.rows.version,
        "follows": made.record["follows"] or "no release",
        **{split: made.rows.splits.get(split, 0) for split in ("train", "validation")},
        "tokens per row": round(
            bill["per_row"]["prompt_tokens"] + bill["per_row"]["output_tokens"], 1
        ),
        "GPU seconds per row": round(bill["per_row"]["gpu_seconds"], 4),
        "money per row": bill["per_row"]["money"],
        "sample": dg.MetadataValue.md(markdown_table(shown)),
    }
