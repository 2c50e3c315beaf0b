"""The assets `instruction_dataset` and, of all corpora together, `instruction_mixture`."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq

from bonito_assets.automation.conditions import (
    REFRESHED_MONTHLY,
    WHEN_ANY_CORPUS_CHANGED,
    WHEN_CHANGED,
)
from bonito_assets.catalogue import Catalogue, CatalogueError, Corpus, corpora
from bonito_assets.checks import (
    BOOKS_BALANCE,
    SCHEMA,
    corpus_check,
    judged,
    schema_result,
    schema_spec,
)
from bonito_assets.metadata import (
    capped,
    definition_metadata,
    link,
    markdown_table,
    placed,
    written_columns,
)
from bonito_assets.publishing import mixture
from bonito_assets.publishing.books import ACCEPTED, PUBLISHED, Books, problems, stage_books
from bonito_assets.publishing.mixture import MIXTURE, MixtureError
from bonito_assets.publishing.mixture_release import publish_mixture
from bonito_assets.publishing.publish import DATASET, REVIEW, Published, publish
from bonito_assets.publishing.release import data_file, data_files, record
from bonito_assets.publishing.rows import SCHEMA as PUBLISHED_COLUMNS
from bonito_assets.tuning.plots import as_markdown
from resources.store import Store

_NOT_SMALLER = "release_not_smaller"
_SAMPLE_ROWS = 5
# Of the plots on the card those two that say most, since Dagster stores each four times.
_PLOTS = ("funnel", "task-types")


@dg.asset(
    partitions_def=corpora,
    deps=["curated_tasks", "chunks", "documents", "publishing_settings"],
    automation_condition=WHEN_CHANGED,
    freshness_policy=REFRESHED_MONTHLY,
    group_name="publishing",
    kinds={"huggingface", "parquet"},
    owners=["team:bonito"],
    tags={"stage": "release", "device": "cpu"},
    code_version="2",
    metadata=definition_metadata(DATASET),
    check_specs=[
        corpus_check(
            _NOT_SMALLER,
            DATASET,
            "No release is much smaller than the last unless a person says so.",
        ),
        corpus_check(
            BOOKS_BALANCE, DATASET, "From documents to published rows no row is lost or doubled."
        ),
        schema_spec(DATASET),
    ],
)
def instruction_dataset(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """One row per accepted task: the published dataset, in `train` and `validation`, with a card.

    `datasets.load_dataset(folder)` opens it. The splits share no document, so that validation
    tells something. Look at `review.html` first, twenty rows of each task type, before you train.
    The version is the digest of the content; earlier releases stay under `releases/`. Each has its
    books, its bill, a Croissant manifest and checksums. It costs no model, only writing.
    """
    corpus = catalogue.corpus(context.partition_key)
    books = stage_books(store, corpus.name)
    previous = store.published(DATASET, corpus.name)
    last = sum(record(previous)["splits"].values()) if previous else 0
    yield from _stopping(_judge_size(corpus, books, last))
    with store.new_folder(DATASET, corpus.name) as folder:
        made = publish(store, corpus, books, folder, previous)
        sample = pq.ParquetFile(data_file(folder, "train")).iter_batches(_SAMPLE_ROWS)
        shown = _metadata(made, store.uri(DATASET, corpus.name), next(sample).to_pylist())
        shown |= _plots(folder)
        yield from _stopping(_judge_books(made.books))
        yield from _stopping(_judge_columns(folder))
    yield dg.MaterializeResult(
        metadata=capped(shown), data_version=dg.DataVersion(made.rows.version)
    )


@dg.asset(
    deps=["instruction_dataset", "mixture_settings"],
    automation_condition=WHEN_ANY_CORPUS_CHANGED,
    group_name="publishing",
    kinds={"huggingface", "parquet"},
    owners=["team:bonito"],
    tags={"stage": "release", "device": "cpu"},
    code_version="1",
    metadata=definition_metadata(MIXTURE),
    check_specs=[
        dg.AssetCheckSpec(
            BOOKS_BALANCE,
            asset=MIXTURE,
            description="Each published row of each corpus is here once, or has a reason.",
            blocking=True,
        ),
        dg.AssetCheckSpec(
            SCHEMA,
            asset=MIXTURE,
            description="The files have exactly the columns and types of any published dataset.",
            blocking=True,
        ),
    ],
)
def instruction_mixture(
    context: dg.AssetExecutionContext, catalogue: Catalogue, store: Store
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """One row per published row that no other corpus has too: all corpora, to tune one model on.

    What more than one corpus holds, exactly or nearly, stands in it once, and corpora whose
    catalogue file has a `mixture_weight` stand in that proportion to each other. Splits, columns,
    releases and card are those of any published dataset. Look at the table of corpora first: one
    large corpus can drown the others. It costs no model, only comparing and writing.
    """
    try:
        given = mixture.sources(store, catalogue)
        previous = store.published(MIXTURE)
        with store.new_folder(MIXTURE) as folder:
            made = publish_mixture(store, given, folder, previous)
            yield from _stopping(_judge_mixture(made.books))
            yield from _stopping(_judge_columns(folder))
    except (MixtureError, CatalogueError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if given.missing:
        context.log.warning(f"not published yet, so not in the mixture: {', '.join(given.missing)}")
    yield dg.MaterializeResult(
        metadata=capped(_mixture_metadata(made, store.uri(MIXTURE))),
        data_version=dg.DataVersion(made.rows.version),
    )


def _judge_mixture(books: Books) -> dg.AssetCheckResult:
    """Judges that every row of every corpus is accounted for."""
    found = mixture.problems(books, books[PUBLISHED])
    line = ", ".join(
        f"{name} {entry['kept']:,} of {entry['rows']:,}" for name, entry in books["corpora"].items()
    )
    numbers = {"rows examined": books[PUBLISHED]["rows"], "accounts that do not add up": len(found)}
    return judged(BOOKS_BALANCE, not found, "; ".join(found) or line, numbers)


def _judge_columns(folder: Path) -> dg.AssetCheckResult:
    """Judges by their footers that the files of a release have the published columns."""
    found = [pq.read_schema(file) for file in data_files(folder).values()]
    return schema_result(found, PUBLISHED_COLUMNS)


def _plots(folder: Path) -> dict[str, object]:
    """Gives the plots of a release that stand on its card, for the metadata."""
    places = {name: folder / "images" / f"{name}.png" for name in _PLOTS}
    return {
        name.replace("-", " "): dg.MetadataValue.md(as_markdown(place.read_bytes(), name))
        for name, place in places.items()
        if place.exists()
    }


def _mixture_metadata(made: Published, uri: str) -> dict[str, object]:
    rows = [{"corpus": name, **entry} for name, entry in made.books["corpora"].items()]
    return {
        "dagster/row_count": made.rows.total,
        **placed(uri),
        **written_columns(MIXTURE),
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
    numbers = {
        "rows": rows,
        "rows of the last release": last,
        "threshold": round(last * (1 - corpus.publish.max_shrink)),
    }
    return judged(_NOT_SMALLER, rows > 0 and allowed, sentence, numbers)


def _judge_books(books: Books) -> dg.AssetCheckResult:
    """Judges that the books reconcile from documents to published rows."""
    found = problems(books)
    line = ", ".join(f"{name} {entry['rows']:,}" for name, entry in books.items())
    numbers = {
        "rows due": books["curated_tasks"]["verdicts"].get(ACCEPTED, 0),
        "rows examined": books[PUBLISHED]["rows"],
        "accounts that do not add up": len(found),
    }
    return judged(BOOKS_BALANCE, not found, "; ".join(found) or line, numbers)


def _metadata(made: Published, uri: str, sample: list[dict[str, object]]) -> dict[str, object]:
    bill = made.record["bill"]
    shown = [{name: row[name] for name in ("task_type", "input", "output")} for row in sample]
    return {
        "dagster/partition_row_count": made.rows.total,
        **placed(uri),
        "page to review": link(f"{uri}/{REVIEW}"),
        **written_columns(DATASET),
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
