"""One refresh of `generations`: from the passages of a corpus to its table and its bill."""

from __future__ import annotations

from dataclasses import dataclass

from bonito_assets import tables
from bonito_assets.books import Books
from bonito_assets.catalogue import CatalogueError, Corpus
from bonito_assets.chunking.tokens import token_counter
from bonito_assets.generation import bill as bills
from bonito_assets.generation.bill import Bill
from bonito_assets.generation.estimate import Estimate, estimate
from bonito_assets.generation.generate import generate
from bonito_assets.generation.requests import CHUNK_COLUMNS, plan
from bonito_assets.generation.table import generations
from bonito_assets.generation.targets import widen
from resources.generation_cache import GenerationCache
from resources.generator import Generator, Log
from resources.store import Store, Written


@dataclass(frozen=True)
class Refreshed:
    """The table that was written, its books, and what it cost beside what was foreseen.

    ``due`` are the rows that were called for, ``stopped_by`` the cap that ended it early.
    """

    written: Written
    books: Books
    due: int
    cached: int
    estimate: Estimate
    bill: Bill
    stopped_by: str | None


def refresh(
    store: Store,
    corpus: Corpus,
    generator: Generator,
    run_id: str,
    log: Log,
    retry_engine_errors: bool = False,
) -> Refreshed:
    """Generates what is missing for the passages of `corpus` and writes the table `generations`.

    Raises ``TableMissing`` without passages, ``CatalogueError`` for a cap in money without a price,
    ``ModelError`` for a model that is not there or not sane, and ``GeneratorError`` for a backend
    that is beyond help.
    """
    if corpus.budget.money is not None and not generator.price_per_gpu_hour:
        raise CatalogueError(
            f"corpus '{corpus.name}': budget.money caps nothing without a price; set "
            "BONITO_GPU_HOUR_PRICE to what a GPU hour costs, or use budget.gpu_seconds"
        )
    model = generator.resolve()
    cache = GenerationCache(store, log)
    bill = Bill(corpus.budget, generator.price_per_gpu_hour)
    asked = plan(lambda: store.batches("chunks", corpus.name, CHUNK_COLUMNS), corpus, model)
    found = cache.find(asked.key_batches(), retry_engine_errors)
    history = cache.lengths(model.fingerprint), bills.rate(store, model)
    foreseen = estimate(asked, found, *history, bill, token_counter(model))
    log(foreseen.sentence())
    widening = widen(store, corpus, log)
    made = generate(asked, found, generator, cache, bill, log, widening, run_id)
    books = Books(tables.GENERATIONS, "generation_id")
    batches = books.passing(generations(made))
    written = store.write_batches("generations", corpus.name, tables.GENERATIONS, batches)
    bills.write_down(store, corpus.name, run_id, model, bill)
    cache.compact()
    log(f"bill: {bill.sentence()}")
    due, stopped_by = len(made.plan), made.stopped_by
    return Refreshed(written, books, due, foreseen.cached, foreseen, bill, stopped_by)
