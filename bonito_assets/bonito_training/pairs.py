"""From sources of text to the table of conditional-task-generation pairs."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from bonito_assets.bonito_training import grammar, templates
from bonito_assets.bonito_training import labelled as rows_to_pairs
from bonito_assets.bonito_training.data_set import file_rows
from bonito_assets.bonito_training.data_set import sha256 as file_sha256
from bonito_assets.bonito_training.templates import Passage
from bonito_assets.bonito_training.text import clean, passages
from bonito_assets.generation.prompts import prompt

SCHEMA = pa.schema(
    [
        pa.field("task_type", pa.string(), nullable=False, metadata={"meaning": "short name"}),
        pa.field("context", pa.string(), nullable=False, metadata={"meaning": "the passage"}),
        pa.field("prompt", pa.string(), nullable=False, metadata={"meaning": "Bonito's prompt"}),
        pa.field("completion", pa.string(), nullable=False, metadata={"meaning": "what to write"}),
        pa.field("source", pa.string(), nullable=False, metadata={"meaning": "name of the source"}),
        pa.field("license", pa.string(), nullable=False, metadata={"meaning": "its licence"}),
        pa.field("template", pa.string(), metadata={"meaning": "wording; null for pairs by rule"}),
    ]
)
_BATCH_ROWS = 2048
GRAMMAR = ("grammar", "cc0-1.0")


class Pair(NamedTuple):
    """One row of ``SCHEMA``."""

    task_type: str
    context: str
    prompt: str
    completion: str
    source: str
    license: str
    template: str | None = None


def write(path: Path, pairs: Iterable[Pair]) -> Counter[str]:
    """Writes `pairs` to a Parquet file as they come and gives how many there are of each type."""
    import pyarrow.parquet as pq

    counted: Counter[str] = Counter()
    waiting = iter(pairs)
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as file:
        while some := list(islice(waiting, _BATCH_ROWS)):
            counted.update(pair.task_type for pair in some)
            columns = dict(zip(SCHEMA.names, map(list, zip(*some, strict=True)), strict=True))
            file.write_batch(pa.RecordBatch.from_pydict(columns, schema=SCHEMA))
    return counted


@dataclass(frozen=True)
class Source:
    """One source of text: a JSONL, Parquet or plain text file, or ``hub:ID[/CONFIG]:SPLIT``.

    Rows whose `skip_if` field is true are left out (test contexts). With `labelled`, the rows'
    own questions and labels are turned into pairs besides.
    """

    path: str
    name: str
    license: str
    text_field: str = "text"
    skip_if: str | None = None
    labelled: bool = False


def read_rows(source: Source) -> Iterator[dict[str, Any]]:
    """Yields the rows of `source` as dictionaries; raises ``ValueError`` naming path and remedy."""
    if source.path.startswith("hub:"):
        import datasets

        ident, _, split = source.path.removeprefix("hub:").rpartition(":")
        parts = ident.split("/")
        config = parts[2] if len(parts) > 2 else None
        found = datasets.load_dataset("/".join(parts[:2]), config, split=split)
        yield from found
        return
    path = Path(source.path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; correct `path` of the source '{source.name}'")
    if path.name.endswith((".parquet", ".jsonl", ".jsonl.gz")):
        yield from file_rows(path)
    else:
        text = path.read_text(encoding="utf-8-sig")
        for paragraph in re.split(r"\n\s*\n", text):
            yield {source.text_field: paragraph.replace("\n", " ")}


def read_source(source: Source, rng: random.Random) -> tuple[list[str], list[dict[str, Any]]]:
    """Gives the plain passages of `source` without repeats, and its labelled rows if asked for."""
    texts: dict[str, None] = {}
    labelled: list[dict[str, Any]] = []
    seen: set[str] = set()
    for number, row in enumerate(read_rows(source), 1):
        if source.skip_if and row.get(source.skip_if):
            continue
        text = row.get(source.text_field)
        if not isinstance(text, str):
            raise ValueError(
                f"{source.path}: row {number} has no text in '{source.text_field}'; it has "
                f"{', '.join(row)}. Set `text_field` of the source '{source.name}'"
            )
        if source.labelled:
            labelled.append({**row, "context": clean(text)})
        if text not in seen:
            seen.add(text)
            texts.update(dict.fromkeys(passages(text, rng)))
    return list(texts), labelled


def sha256(source: Source) -> str | None:
    """Gives the digest of the file of `source`; null for a source on the hub."""
    if source.path.startswith("hub:"):
        return None
    return file_sha256(Path(source.path))


def freshened(text: str, rng: random.Random) -> str:
    """Gives `text` with its numbers and some of its names exchanged, each consistently.

    The network meets a real passage many times; only copying helps it then, not memory.
    """
    new: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        old = match[0]
        if len(old) == 4 and old[0] in "12":
            return new.setdefault(old, str(rng.randint(1700, 2024)))
        low = 10 ** (len(old) - 1)
        return new.setdefault(old, str(rng.randint(low + (low == 1), 10 * low - 1)))

    def name(match: re.Match[str]) -> str:
        if match[0] not in new:
            new[match[0]] = grammar.surname(rng) if rng.random() < 0.5 else match[0]
        return new[match[0]]

    text = re.sub(r"(?<![\d.,])\d{1,4}(?![\d.,]\d)", number, text)
    return re.sub(r"(?<=[a-z,] )[A-Z][a-z]{3,}\b", name, text)


def draw_passage(
    real: list[tuple[str, Source]], invented_share: float, rng: random.Random
) -> tuple[Passage, tuple[str, str]]:
    """Gives one passage, invented or real, and the name and licence of its source.

    One in fifty is a long one of up to 1,900 characters, joined from several.
    """
    if not real or rng.random() < invented_share:
        topic = rng.choice(grammar.TOPICS)
        count = rng.randint(4, 8) if rng.random() < 0.02 else 1
        text = " ".join(grammar.invent(rng, topic).text for _ in range(count))[:1900]
        if count > 1:
            text = text[: text.rfind(".") + 1]
        return Passage.of(laid_out(text, rng), topic), GRAMMAR
    text, source = rng.choice(real)
    if rng.random() < 0.02:
        same = [text for text, other in rng.choices(real, k=40) if other is source]
        text = " ".join([text, *same])[:1900]
        text = text[: text.rfind(".") + 1] or text
    elif rng.random() < 0.5:
        text = freshened(text, rng)
    return Passage.of(laid_out(text, rng)), (source.name, source.license)


def laid_out(text: str, rng: random.Random) -> str:
    """Gives `text` as documents have it: sometimes with a title, sometimes in paragraphs."""
    if rng.random() < 0.12:
        text = re.sub(r"(?<=[a-z]\.) (?=[A-Z])", "\n\n", text, count=rng.randint(1, 2))
    if rng.random() < 0.2:
        words = text.split()
        at = rng.randrange(len(words))
        title = " ".join(words[at : at + rng.randint(1, 4)]).strip(" .,;:!?()\"'")
        if title:
            text = rng.choice(("# ", "# ", "", "")) + title[0].upper() + title[1:] + "\n\n" + text
    return text


def build(
    sources: list[Source],
    count: int,
    seed: int,
    invented_share: float = 0.5,
    labelled_share: float = 0.01,
) -> tuple[list[Pair], list[dict[str, Any]]]:
    """Gives `count` pairs of all task types, and what each source gave to them.

    The same sources, count and seed give the same pairs.

    Types are drawn by ``templates.SHARES``. A passage that gives no pair of the drawn type is
    replaced by another, so the shares hold.
    """
    rng = random.Random(seed)
    real: list[tuple[str, Source]] = []
    labelled: list[tuple[dict[str, Any], Source]] = []
    for source in sources:
        texts, rows = read_source(source, rng)
        real += [(text, source) for text in texts]
        labelled += [(row, source) for row in rows]
    types, weights = zip(*templates.SHARES.items(), strict=True)
    pairs: list[Pair] = []

    def add(task_type: str, context: str, made: tuple[str, str], origin: tuple[str, str]) -> None:
        asked = prompt(context, task_type)
        pairs.append(Pair(task_type, context, asked, templates.completion(*made), *origin))

    while len(pairs) < count:
        if labelled and rng.random() < labelled_share:
            row, source = rng.choice(labelled)
            if pair := rows_to_pairs.pair(row, rng):
                add(pair[0], row["context"], pair[1], (source.name, source.license))
            continue
        task_type = rng.choices(types, weights)[0]
        for _ in range(60):
            passage, origin = draw_passage(real, invented_share, rng)
            if made := templates.make(task_type, passage, rng):
                add(task_type, passage.text, made, origin)
                break
    return pairs, _listed(sources, real, [pair.source for pair in pairs])


def _listed(
    sources: list[Source], real: list[tuple[str, Source]], used: list[str]
) -> list[dict[str, Any]]:
    """Gives name, path, licence, digest, number of passages and number of pairs of each source."""
    passages_of = Counter(source.name for _, source in real)
    pairs_of = Counter(used)
    listed = [
        {
            "name": source.name,
            "path": source.path,
            "license": source.license,
            "version": sha256(source),
            "passages": passages_of[source.name],
            "pairs": pairs_of[source.name],
        }
        for source in sources
    ]
    name, license_ = GRAMMAR
    invented = {"path": None, "version": None, "passages": pairs_of[name], "pairs": pairs_of[name]}
    return [*listed, {"name": name, "license": license_, **invented}]
