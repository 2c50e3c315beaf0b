"""What a corpus would give, told from a sample of its source: nothing is written or generated."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.chunking.chunks import chunks
from bonito_assets.chunking.refresh import budget, judge_of, units
from bonito_assets.chunking.tokens import passage_counter, token_counter
from bonito_assets.generation.bill import Bill, rate
from bonito_assets.generation.estimate import Estimate, estimate
from bonito_assets.generation.requests import plan
from bonito_assets.ingestion.documents import documents
from bonito_assets.ingestion.files import Listing, find_files
from resources.generation_cache import GenerationCache
from resources.generator import Generator
from resources.store import Store

# What is read of a large source: half a minute's work, and enough to tell a per cent of anything.
MOST_BYTES = 64_000_000


@dataclass(frozen=True)
class Preview:
    """A sample of a source as `documents`, and what is known of the whole.

    ``share`` is the part of the source that was read, by its size; ``formats`` counts all files by
    their suffix. Of a dataset nothing is known but what was read.
    """

    documents: pa.Table
    share: float
    files: int = 0
    bytes: int = 0
    hidden: int = 0
    formats: Counter[str] | None = None


def look(corpus: Corpus, most_bytes: int = MOST_BYTES) -> Preview:
    """Reads `most_bytes` of the source of `corpus` at most, files drawn by chance.

    Raises ``SourceError`` when there is no such source or nothing in it.
    """
    if corpus.source.dataset is not None:
        read, whole = _some(documents(corpus), most_bytes)
        return Preview(read, 1.0 if whole else 0.0)
    listing = find_files(corpus)
    total = sum(file.size or 0 for file in listing.files)
    drawn = _drawn(listing, most_bytes)
    read, whole = _some(documents(corpus, listing=drawn), most_bytes)
    size = sum(file.size or 0 for file in drawn.files)
    if not whole:
        # A table longer than the sample: as many characters as bytes is about right for text.
        size = min(size, sum(read["n_chars"].drop_null().to_pylist()))
    share = size / total if total else 1.0
    if corpus.source.limit is not None:
        # The whole has no more rows than that, however large the source is.
        share = max(share, min(1.0, read.num_rows / corpus.source.limit))
    return Preview(
        read,
        share,
        len(listing.files),
        total,
        listing.hidden,
        Counter(PurePosixPath(file.uri).suffix.lower() or "none" for file in listing.files),
    )


def _drawn(listing: Listing, most_bytes: int) -> Listing:
    if sum(file.size or 0 for file in listing.files) <= most_bytes:
        return listing
    order = random.Random(0).sample(listing.files, len(listing.files))
    drawn, size = [], 0
    for file in order:
        drawn.append(file)
        size += file.size or 0
        if size >= most_bytes:
            break
    return Listing(sorted(drawn, key=lambda file: file.uri), listing.hidden)


def _some(batches: Iterator[pa.RecordBatch], most_chars: int) -> tuple[pa.Table, bool]:
    """Gives the first rows of `batches`, and whether these are all of them."""
    held: list[pa.RecordBatch] = []
    chars = 0
    for batch in batches:
        held.append(batch)
        chars += sum(batch["n_chars"].drop_null().to_pylist())
        if chars > most_chars:
            return pa.Table.from_batches(held), False
    return pa.Table.from_batches(held, tables.DOCUMENTS), True


def cut(corpus: Corpus, preview: Preview, generator: Generator) -> pa.Table:
    """Gives the passages of the sample with their verdicts, as rows of `chunks`.

    Raises ``ModelError`` without the model's tokenizer.
    """
    model = generator.resolve()
    count_tokens = token_counter(model)
    made = chunks(
        preview.documents.to_batches(),
        corpus.chunking.max_chars,
        passage_counter(count_tokens),
        budget(corpus, generator.window(model), count_tokens),
        units(corpus),
        judge_of(corpus),
    )
    return pa.Table.from_batches(made, tables.CHUNKS)


def forecast(
    store: Store, corpus: Corpus, preview: Preview, passages: pa.Table, generator: Generator
) -> Estimate:
    """Gives what a refresh of the whole source would generate, judged by the sample."""
    model = generator.resolve()
    asked = plan(passages.to_batches, corpus, model)
    cache = GenerationCache(store)
    history = cache.lengths(model.fingerprint), rate(store, model)
    bill = Bill(corpus.budget, generator.price_per_gpu_hour)
    found = cache.find(asked.key_batches())
    of_sample = estimate(asked, found, *history, bill, token_counter(model))
    return of_sample.scaled(1 / preview.share) if preview.share else of_sample
