"""One refresh of `chunks`: from the documents of a corpus to its passages and their verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from bonito_assets import tables
from bonito_assets.books import Books
from bonito_assets.catalogue import CatalogueError, Corpus
from bonito_assets.chunking.chunks import Judge, chunks
from bonito_assets.chunking.filters import judge
from bonito_assets.chunking.language import in_language
from bonito_assets.chunking.passages import CountTokens
from bonito_assets.chunking.tokens import passage_counter, token_budget, token_counter
from bonito_assets.generation.prompts import prompt
from bonito_assets.identity import digest
from bonito_assets.lineage.orphans import Orphans
from resources.model import Model
from resources.store import Store, Written

TABLE = "chunks"
# Counts up when the same documents are cut or judged otherwise than before.
_RULES = 1


@dataclass(frozen=True)
class Refreshed:
    """The table that is there now, its books, and what was done to get it.

    ``unchanged`` tells that the last table was still right; ``max_tokens`` is the budget of a
    passage, ``forgotten`` the cached outputs that went with vanished documents.
    """

    written: Written
    books: Books
    max_tokens: int
    unchanged: bool
    forgotten: int


def refresh(store: Store, corpus: Corpus, model: Model, window: int) -> Refreshed:
    """Cuts the documents of `corpus` into passages, judges them and writes `chunks`.

    `window` is the largest sum of prompt and output tokens that `model` will be given. Raises
    ``TableMissing`` without documents, and ``CatalogueError`` when the settings leave a passage no
    room in the window or name a language that is not known.
    """
    count_tokens = token_counter(model)
    max_tokens = budget(corpus, window, count_tokens)
    made_from = digest(
        _RULES,
        store.stamps("documents", corpus.name).get("digest"),
        model.fingerprint,
        max_tokens,
        corpus.chunking.model_dump(mode="json"),
        units(corpus),
        corpus.languages,
        corpus.pii,
    )
    books = Books(tables.CHUNKS, "chunk_id")
    last = store.written(TABLE, corpus.name)
    if last is not None and store.stamps(TABLE, corpus.name).get("made_from") == made_from:
        for _ in books.passing(store.batches(TABLE, corpus.name)):
            pass
        return Refreshed(last, books, max_tokens, unchanged=True, forgotten=0)
    orphans = Orphans(store, corpus.name)
    made = chunks(
        store.batches("documents", corpus.name),
        corpus.chunking.max_chars,
        passage_counter(count_tokens),
        max_tokens,
        units(corpus),
        judge_of(corpus),
    )
    written = store.write_batches(
        TABLE,
        corpus.name,
        tables.CHUNKS,
        orphans.forgetting(books.passing(made)),
        made_from=made_from,
    )
    return Refreshed(written, books, max_tokens, unchanged=False, forgotten=orphans.forgotten)


def units(corpus: Corpus) -> list[str]:
    """Gives the units that the task types of `corpus` are asked of."""
    return sorted({corpus.unit_of(task_type) for task_type in corpus.task_types})


def budget(corpus: Corpus, window: int, count_tokens: CountTokens) -> int:
    """Gives the most tokens that a passage of `corpus` may add to any of its prompts.

    That is what the `window` leaves beside the longest answer, or ``chunking.max_tokens`` where
    that is less. Raises ``CatalogueError`` when nothing is left.
    """
    left = []
    for task_type in corpus.task_types:
        # The frame of the prompt, and the mark that the tokenizer puts before it.
        frame = count_tokens([prompt("", corpus.full_name(task_type))])[0] + 1
        answer = corpus.sampling.of(task_type).max_tokens
        try:
            left.append(token_budget(window, frame, answer))
        except ValueError as error:
            where = f"corpus '{corpus.name}', task type '{task_type}'"
            raise CatalogueError(f"{where}: {error}") from error
    return min([*left, corpus.chunking.max_tokens or min(left)])


def judge_of(corpus: Corpus) -> Judge | None:
    """Gives the rule by which passages of `corpus` are refused, None for a corpus without one.

    Raises ``CatalogueError`` for a language that is not known.
    """
    if corpus.languages:
        try:
            in_language("", corpus.languages)
        except ValueError as error:
            raise CatalogueError(f"corpus '{corpus.name}': language: {error}") from error
    if not corpus.chunking.filters and not corpus.languages and corpus.pii != "reject":
        return None
    return partial(
        judge,
        wanted_languages=corpus.languages,
        pii=corpus.pii,
        shape=corpus.chunking.filters,
    )
