"""What reading and judging outputs costs, beside the ways in which others read them.

Arms run in turns in one process over the same rows; ratios are of CPU time. Memory is measured
over tables on disk, each size in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pyarrow as pa

from benchmarks.cache import alone, peak
from bonito_assets import tables
from bonito_assets.catalogue import TASK_TYPES
from bonito_assets.parsing.judge import CHECKS, strict, upstream
from bonito_assets.parsing.tasks import (
    CHUNK_COLUMNS,
    GENERATION_COLUMNS,
    Passages,
    read,
)
from bonito_assets.tables import CONTEXT_SLOT, PIPE
from resources.store import BATCH_ROWS, Store

_WORDS = (
    "harbour river council bridge winter market engine letter garden window teacher village "
    "station contract minister forest copper railway harvest library surgeon island festival "
    "painter kitchen valley signal archive castle pepper weather budget student journey bottle"
).split()
_VERBS = "opened moved built sold found kept changed closed painted carried reached left".split()


def passage(number: int) -> str:
    """Gives a passage of about 700 characters, another one for each `number`."""
    rng = random.Random(number)
    sentences = []
    while sum(map(len, sentences)) < 640:
        one, two, three = rng.choices(_WORDS, k=3)
        sentences.append(
            f"The {one} of the {two} {rng.choice(_VERBS)} a {three} in {rng.randrange(1800, 2020)}."
        )
    return " ".join(sentences)


def output(task_type: str, text: str, rng: random.Random) -> str:
    """Gives an output for the passage `text`; about one in seven is not as it should be."""
    first, second = text.split(". ")[:2]
    noun = first.split()[1]
    c = CONTEXT_SLOT
    sides = {
        "exqa": (
            f"{c}\n\nQuestion: What did the {noun} do?\nAnswer with words from it.",
            first[4:],
        ),
        "mcqa": (f"{c}\n\nWhich one is named?\nA. {noun}\nB. a violin\nC. an otter", "A"),
        "qg": (f'{c}\n\nThe answer is "{noun}". What was the question?', "Who or what did it?"),
        "qa": (f"{c}\n\nWhat is said about the {noun}?", f"{second}."),
        "ynqa": (f"{c}\n\nQuestion: Is the {noun} named in it? Yes or No?", "Yes"),
        "coref": (f'{c}\n\nDoes "The" refer to the {noun}? Yes or No?', "No"),
        "paraphrase": (f"Say it in other words: {c}", f"A {noun} did so, and {second[4:]}"),
        "paraphrase_id": (f'{c}\n\nDoes "A {noun} was there" say the same? Yes or No?', "No"),
        "sent_comp": (f"{c}\n\nWhat is next?\n- It rained.\n- The sun fell down.", "It rained."),
        "sentiment": (f"Is the tone positive, negative or neutral?\n{c}", "neutral"),
        "summarization": (f"{c}\n\nSummarize this text.", f"{first}."),
        "text_gen": (f"Write a text on these points:\n- {first[4:]}\n- {second[4:]}", c),
        "topic_class": (f"{c}\n\nTopics: law, history or travel\nTopic of the text:", "history"),
        "wsd": (f'{c}\nThe {noun} is new.\nDoes "{noun}" mean the same in both? Yes or No?', "Yes"),
        "te": (f'{c}\nDoes it follow that "the {noun} is old"? Yes or No?', "No"),
        "nli": (f'{c}\nCan we say that "the {noun} is old"? Yes, No or Maybe?', "Maybe"),
    }
    instruction, answer = sides[task_type]
    chance = rng.random()
    if chance < 0.06:
        return instruction
    if chance < 0.09:
        return f"{instruction}\n{PIPE}\n{answer}\n{PIPE}\n"
    if chance < 0.12:
        return f"{instruction.replace(c, '')}\n{PIPE}\n{answer}"
    return f"{instruction}\n{PIPE}\n{answer if chance < 0.97 else 'a thing of its own'}"


def chunk_batches(passages: int) -> Iterator[pa.RecordBatch]:
    """Gives the table `chunks` in batches."""
    for start in range(0, passages, BATCH_ROWS):
        rows = [
            {"corpus": "bench", "chunk_id": f"{n:032x}", "doc_id": f"d{n // 8}", "position": n % 8,
             "start_char": 0, "end_char": len(text := passage(n)), "text": text, "n_tokens": 0,
             "units": ["paragraph"]}
            for n in range(start, min(start + BATCH_ROWS, passages))
        ]  # fmt: skip
        yield from tables.build("chunks", rows).to_batches()


def varied(output: str, rng: random.Random) -> str:
    """Gives `output` with words before its instruction that few other outputs have too."""
    one, two = rng.choices(_WORDS, k=2)
    return f"Somebody {rng.choice(_VERBS)} a {one} and a {two} to get this.\n{output}"


def generation_batches(passages: int, types: int = len(TASK_TYPES)) -> Iterator[pa.RecordBatch]:
    """Gives the table `generations` in batches: `types` task types once for every passage.

    Where that is not all of them, the types take turns and their instructions vary: nothing that
    was worked out for one output helps with many others.
    """
    names, per_batch = list(TASK_TYPES), BATCH_ROWS // types
    for start in range(0, passages, per_batch):
        rows = []
        for n in range(start, min(start + per_batch, passages)):
            text, rng = passage(n), random.Random(n)
            for row in range(n * types, (n + 1) * types):
                task_type = names[row % len(names)]
                made = output(task_type, text, rng)
                rows.append(
                    {"corpus": "bench", "generation_id": f"{row:032x}", "request_key": "",
                     "chunk_id": f"{n:032x}", "task_type": task_type, "sample": 0,
                     "output": made if types == len(names) else varied(made, rng),
                     "finish_reason": "stop"}
                )  # fmt: skip
        yield from tables.build("generations", rows).to_batches()


def ours(judge: Callable, made: pa.Table, chunks: pa.Table) -> int:
    """Gives the accepted rows of this project's way, from batches to batches of `tasks`."""
    passages = Passages(lambda: chunks.select(list(CHUNK_COLUMNS)).to_batches())
    batches = made.select(list(GENERATION_COLUMNS)).to_batches()
    return sum(b["rejected_because"].null_count for b in read(batches, passages, judge))


def by_datasets(outputs: pa.Table) -> int:
    """Gives the kept rows of the upstream package's way: a filter and a map, row by row."""
    import datasets

    data = datasets.Dataset(outputs)
    data = data.filter(
        lambda row: len(row["prediction"].split(PIPE)) == 2, load_from_cache_file=False
    )

    def sides(row: dict[str, str]) -> dict[str, str]:
        left, right = row["prediction"].split(PIPE)
        text = row["context"].strip()
        return {
            "input": left.strip().replace(CONTEXT_SLOT, text),
            "output": right.strip().replace(CONTEXT_SLOT, text),
        }

    return len(data.map(sides, remove_columns=data.column_names, load_from_cache_file=False))


def by_loop(outputs: pa.Table) -> int:
    """Gives the kept rows of a plain loop over Python lists."""
    inputs, answers = [], []
    pairs = zip(outputs["prediction"].to_pylist(), outputs["context"].to_pylist(), strict=True)
    for prediction, context in pairs:
        sides = prediction.split(PIPE)
        if len(sides) == 2:
            context = context.strip()
            inputs.append(sides[0].strip().replace(CONTEXT_SLOT, context))
            answers.append(sides[1].strip().replace(CONTEXT_SLOT, context))
    return pa.table({"input": inputs, "output": answers}).num_rows


def by_pandas(outputs: pa.Table) -> int:
    """Gives the kept rows of pandas: its string methods, and a loop where they have none."""
    frame = outputs.to_pandas()
    frame = frame[frame["prediction"].str.count(r"<\|pipe\|>") == 1]
    sides = frame["prediction"].str.split(PIPE, regex=False, expand=True)
    context = frame["context"].str.strip()
    kept = {
        name: [
            side.replace(CONTEXT_SLOT, text)
            for side, text in zip(column.str.strip(), context, strict=True)
        ]
        for name, column in (("input", sides[0]), ("output", sides[1]))
    }
    return pa.table(kept).num_rows


def by_polars(outputs: pa.Table) -> int:
    """Gives the kept rows of polars expressions."""
    import polars as pl

    sides = pl.col("prediction").str.split(PIPE)
    context = pl.col("context").str.strip_chars()
    return (
        pl.from_arrow(outputs)
        .filter(sides.list.len() == 2)
        .select(
            *(
                sides.list.get(place)
                .str.strip_chars()
                .str.replace_all(CONTEXT_SLOT, context, literal=True)
                .alias(name)
                for place, name in enumerate(("input", "output"))
            )
        )
        .to_arrow()
        .num_rows
    )


def arms(passages: int, rounds: int) -> dict[str, tuple[float, float, int]]:
    """Gives rows per second by the clock and by the CPU, and the kept rows, of every arm."""
    made = pa.Table.from_batches(generation_batches(passages))
    chunks = pa.Table.from_batches(chunk_batches(passages))
    texts = chunks["text"].take(pa.array([i // 16 for i in range(made.num_rows)]))
    apart = passages * len(TASK_TYPES) // 2
    made_apart = pa.Table.from_batches(generation_batches(apart, types=2))
    chunks_apart = pa.Table.from_batches(chunk_batches(apart))
    outputs = pa.table({"prediction": made["output"], "context": texts}).combine_chunks()
    ways: dict[str, Callable[[], int]] = {
        "datasets, row by row, as upstream does": lambda: by_datasets(outputs),
        "a plain loop": lambda: by_loop(outputs),
        "pandas": lambda: by_pandas(outputs),
        "this project, `parsing: {mode: upstream}`": lambda: ours(upstream, made, chunks),
        "this project, general checks": lambda: ours(partial(strict, {}), made, chunks),
        "this project, all checks": lambda: ours(partial(strict, CHECKS), made, chunks),
        "this project, all checks, two types per passage": lambda: ours(
            partial(strict, CHECKS), made_apart, chunks_apart
        ),
    }
    try:
        import polars  # noqa: F401
    except ImportError:
        pass
    else:
        ways["polars"] = lambda: by_polars(outputs)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    kept = {}
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()
            started, cpu = time.perf_counter(), time.process_time()
            kept[name] = way()
            seconds[name].append((time.perf_counter() - started, time.process_time() - cpu))
    middle = {
        name: tuple(map(statistics.median, zip(*taken, strict=True)))
        for name, taken in seconds.items()
    }
    return {
        n: (made.num_rows / clock, made.num_rows / cpu, kept[n])
        for n, (clock, cpu) in middle.items()
    }


def memory(passages: int) -> int:
    """Gives the peak of memory, in bytes, of reading a table from disk and writing another."""
    with tempfile.TemporaryDirectory() as root:
        store = Store(root=root)
        store.write_batches("chunks", "bench", tables.CHUNKS, chunk_batches(passages))
        store.write_batches(
            "generations", "bench", tables.GENERATIONS, generation_batches(passages)
        )
        found = Passages(lambda: store.batches("chunks", "bench", CHUNK_COLUMNS))
        batches: Iterable[pa.RecordBatch] = store.batches(
            "generations", "bench", GENERATION_COLUMNS
        )
        rows = read(batches, found, partial(strict, CHECKS))
        store.write_batches("tasks", "bench", tables.TASKS, rows)
        return peak()


def measure(rows: int = 500_000, rounds: int = 2) -> str:
    """Gives the section of RESULTS.md."""
    import datasets

    datasets.disable_progress_bars()
    passages = rows // len(TASK_TYPES)
    load = os.getloadavg()[0]
    # First, since a new process begins with its parent's peak.
    sizes = (rows // 10, rows)
    peaks = [alone(memory, size // len(TASK_TYPES)) for size in sizes]
    found = arms(passages, rounds)
    base = found["datasets, row by row, as upstream does"]
    lines = [
        "## Reading outputs: from `generations` to `tasks`",
        "",
        f"`python -m benchmarks.parsing --rows {rows} --rounds {rounds}`: {rows:,} outputs, "
        f"sixteen task types for each of {passages:,} passages of about 700 characters; arms in "
        f"turns in one process, medians; load {load:.1f}. The first three arms and polars do what "
        "the upstream package does and no more; this project's arms carry ids, verdicts and "
        f"labels. The last of them has {rows // 2:,} passages with two task types for each, and "
        "instructions that vary, so that little of what is worked out once is used again.",
        "",
        "| arm | rows/s | rows/CPU-s | times upstream (CPU) | kept |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, (clock, cpu, kept) in found.items():
        lines.append(f"| {name} | {clock:,.0f} | {cpu:,.0f} | {cpu / base[1]:.1f} | {kept:,} |")
    lines += [
        "",
        "Peak memory of the whole step over tables on disk, in a process of its own: "
        + ", ".join(f"{p / 1e6:,.0f} MB at {n:,} rows" for n, p in zip(sizes, peaks, strict=True))
        + ".",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, help="outputs, about 16 per passage")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    print(measure(options.rows, options.rounds))


if __name__ == "__main__":
    main()
