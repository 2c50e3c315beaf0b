"""Cutting text to a budget of tokens: beside other splitters, and a million passages checked.

The text is what lies in every environment of this project: licences, documentation and modules of
the installed packages. Splitters that are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import resource
import statistics
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from tokenizers import Tokenizer

from bonito_assets import settings
from bonito_assets.chunking.chunks import chunks
from bonito_assets.chunking.passages import counted_passages
from bonito_assets.chunking.tokens import passage_counter, token_counter
from resources.model import resolve

DEMO = settings.PROJECT / "models" / "bonito-demo"
BUDGET = 512
ROUNDS = 3
# Short files hold little that could be cut; very long ones are tables of data.
LEAST, MOST = 3_000, 60_000
# The million: short passages, for time.
SHORT_CHARS, SHORT_TOKENS = 200, 64
# No limit in characters, so that all arms have the one in tokens.
UNLIMITED = 1_000_000_000

Span = tuple[int, int]
Splitter = Callable[[Sequence[str]], list[list[Span]]]


@dataclass
class Arm:
    """One splitter, its times per round and what it made."""

    name: str
    split: Splitter
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    spans: list[list[Span]] = field(default_factory=list)


def texts(chars: int) -> Iterator[str]:
    """Gives files of the environment, each once, until they have `chars` code points together."""
    size, seen = 0, set()
    for path in sorted(Path(sysconfig.get_path("purelib")).rglob("*")):
        if path.suffix not in (".txt", ".md", ".rst", ".py") and "LICEN" not in path.name:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if LEAST <= len(text) <= MOST and hash(text) not in seen:
            seen.add(hash(text))
            yield text
            size += len(text)
            if size >= chars:
                return


def located(text: str, parts: Sequence[str]) -> list[Span]:
    """Gives the places of `parts`, which a splitter gave without offsets."""
    spans, start = [], 0
    for part in parts:
        start = text.index(part, start)
        spans.append((start, start + len(part)))
        start += 1
    return spans


def arms(tokenizer: Tokenizer) -> list[Arm]:
    """Gives this project's splitter and those of others that are installed."""
    count_tokens = token_counter(resolve(str(DEMO), "BONITO_MODEL"))

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False))

    def ours(documents: Sequence[str]) -> list[list[Span]]:
        headless = [(text, ()) for text in documents]
        found = counted_passages(headless, UNLIMITED, BUDGET, count_tokens)
        return [[(start, end) for start, end, _ in own] for own in found]

    made = [Arm("Bonito Assets", ours)]
    if importlib.util.find_spec("semchunk"):
        import semchunk

        def semantic(documents: Sequence[str]) -> list[list[Span]]:
            # It remembers counts per function: a new one each time, so that each round is a first.
            chunker = semchunk.chunkerify(lambda text: count(text), BUDGET)
            return [chunker(text, offsets=True)[1] for text in documents]

        made.append(Arm("semchunk", semantic))
    if importlib.util.find_spec("semantic_text_splitter"):
        from semantic_text_splitter import TextSplitter

        rust = TextSplitter.from_huggingface_tokenizer_file(str(DEMO / "tokenizer.json"), BUDGET)

        def semantic_text(documents: Sequence[str]) -> list[list[Span]]:
            return [located(text, rust.chunks(text)) for text in documents]

        made.append(Arm("semantic-text-splitter", semantic_text))
    if importlib.util.find_spec("chonkie"):
        from chonkie import RecursiveChunker

        def recursive(documents: Sequence[str]) -> list[list[Span]]:
            chunker = RecursiveChunker(tokenizer=tokenizer, chunk_size=BUDGET)
            return [[(c.start_index, c.end_index) for c in chunker(text)] for text in documents]

        made.append(Arm("chonkie RecursiveChunker", recursive))
    if importlib.util.find_spec("langchain_text_splitters"):
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        def langchain(documents: Sequence[str]) -> list[list[Span]]:
            splitter = RecursiveCharacterTextSplitter(
                chunk_size=BUDGET, chunk_overlap=0, length_function=count
            )
            return [located(text, splitter.split_text(text)) for text in documents]

        made.append(Arm("langchain RecursiveCharacter", langchain))
    if importlib.util.find_spec("llama_index"):
        from llama_index.core.node_parser import SentenceSplitter

        def llama(documents: Sequence[str]) -> list[list[Span]]:
            splitter = SentenceSplitter(
                chunk_size=BUDGET,
                chunk_overlap=0,
                tokenizer=lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
            )
            return [located(text, splitter.split_text(text)) for text in documents]

        made.append(Arm("llama-index SentenceSplitter", llama))
    return made


def compare(documents: Sequence[str]) -> tuple[list[Arm], Tokenizer]:
    """Gives all arms, run in turns over `documents`; the last only counts and is the bound."""
    tokenizer = Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def bound(documents: Sequence[str]) -> list[list[Span]]:
        tokenizer.encode_batch_fast(list(documents), add_special_tokens=False)
        return []

    made = [*arms(tokenizer), Arm("bound: encode_batch_fast, once", bound)]
    for _ in range(ROUNDS):
        for arm in made:
            wall, cpu = time.monotonic(), time.process_time()
            arm.spans = arm.split(documents)
            arm.wall.append(time.monotonic() - wall)
            arm.cpu.append(time.process_time() - cpu)
    return made, tokenizer


def row(arm: Arm, documents: Sequence[str], tokenizer: Tokenizer) -> str:
    """Gives the row of one arm: speed, passages, over budget, fill, cut in a word."""
    size = sum(map(len, documents)) / 1e6
    speed = (
        f"| {arm.name} | {size / statistics.median(arm.wall):.2f} "
        f"| {size / statistics.median(arm.cpu):.2f} |"
    )
    if not arm.spans:
        return f"{speed} | | | |"
    parts = [t[a:b] for t, own in zip(documents, arm.spans, strict=True) for a, b in own]
    counted = tokenizer.encode_batch_fast(parts, add_special_tokens=False)
    lengths = [len(encoding) for encoding in counted]
    inside = sum(
        text[end - 1].isalnum() and text[end].isalnum()
        for text, own in zip(documents, arm.spans, strict=True)
        for _, end in own
        if end < len(text)
    )
    over = sum(n > BUDGET for n in lengths)
    fill = sum(lengths) / len(lengths) / BUDGET
    return f"{speed} {len(parts):,} | {over:,} | {fill:.2f} | {inside:,} |"


def million(wanted: int) -> tuple[int, float, float, int]:
    """Cuts until there are `wanted` passages and checks each: passages, MB, seconds, memory.

    Each passage is the text at its offsets, begins after the one before and keeps both limits;
    those of a document together hold all its visible characters.
    """
    count_tokens = passage_counter(token_counter(resolve(str(DEMO), "BONITO_MODEL")))
    checked, size = 0, 0
    held: dict[str, str] = {}
    cut = chunks(_batches(held), SHORT_CHARS, count_tokens, SHORT_TOKENS)
    started = time.monotonic()
    for batch in cut:
        names = ("doc_id", "start_char", "end_char", "text", "n_tokens")
        columns = [batch[name].to_pylist() for name in names]
        visible: dict[str, int] = {}
        last: tuple[str, int] = ("", 0)
        for doc_id, start, end, text, n_tokens in zip(*columns, strict=True):
            assert held[doc_id][start:end] == text
            assert last[0] != doc_id or last[1] <= start
            assert len(text) <= SHORT_CHARS and n_tokens <= SHORT_TOKENS
            last = doc_id, end
            visible[doc_id] = visible.get(doc_id, 0) + len("".join(text.split()))
        for doc_id, length in visible.items():
            text = held.pop(doc_id)
            assert length == len("".join(text.split()))
            size += len(text)
        checked += batch.num_rows
        if checked >= wanted:
            break
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return checked, size / 1e6, time.monotonic() - started, memory


def _batches(held: dict[str, str]) -> Iterator[pa.RecordBatch]:
    """Gives documents without end, each as a batch, and keeps their texts in `held`."""
    nothing = pa.nulls(1)
    number = 0
    while True:
        for text in texts(UNLIMITED):
            held[str(number)] = text
            name = pa.array([str(number)])
            columns = [pa.array(["c"]), name, name, pa.array([text]), nothing, nothing]
            names = ["corpus", "doc_id", "uri", "text", "headings", "rejected_because"]
            yield pa.RecordBatch.from_arrays(columns, names)
            number += 1


def measure(chars: int = 2_000_000, wanted: int = 1_000_000) -> str:
    """Gives the section of RESULTS.md."""
    documents = list(texts(chars))
    made, tokenizer = compare(documents)
    # In a process of its own, so that the peak of memory is its own.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        checked, size, seconds, memory = pool.apply(million, (wanted,))
    return "\n".join(
        [
            f"## Chunking: to {BUDGET} tokens, beside other splitters",
            "",
            f"`python -m benchmarks.chunking --chars {chars} --passages {wanted}`: "
            f"{sum(map(len, documents)) / 1e6:.1f} million characters in {len(documents)} files of "
            "the environment (licences, documentation, modules), the demonstration model's "
            f"tokenizer, median of {ROUNDS} rounds in turns; load {os.getloadavg()[0]:.1f}. Ours "
            "chooses its cuts by content, so that an edit stays local, and pays with fill. "
            "chonkie and llama-index add up the counts of pieces, which is fast and no guarantee.",
            "",
            "| splitter | MB/s | MB per CPU s | passages | over budget | fill | cut in a word |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            *(row(arm, documents, tokenizer) for arm in made),
            "",
            f"{checked:,} passages of at most {SHORT_CHARS} characters and {SHORT_TOKENS} tokens, "
            f"from {size:,.0f} million characters, read, cut and each checked in {seconds:,.0f} s: "
            "every one is the text at its offsets, none overlaps another or is over a limit, and "
            f"no visible character is lost. Peak of memory {memory / 1e6:,.0f} MB.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chars", type=int, default=2_000_000, help="text for the comparison")
    parser.add_argument("--passages", type=int, default=1_000_000, help="passages to check")
    options = parser.parse_args()
    print(measure(options.chars, options.passages))


if __name__ == "__main__":
    main()
