"""What the gate on the data notices, and what the two engines of evaluation cost.

Needs a refreshed demo corpus (`bonito run demo`) in the data folder that BONITO_DATA names. The
clean release is measured beside copies of it in which a share of the answers was exchanged, among
the rows of one task type or among all.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bonito_assets import settings
from bonito_assets.catalogue import load
from bonito_assets.evaluation import answers_fit
from bonito_assets.evaluation.answers_fit import Row
from bonito_assets.evaluation.exam import prepare, sit
from bonito_assets.evaluation.regression import general_questions
from bonito_assets.evaluation.scorers import open_arms
from bonito_assets.evaluation.test_set import CHOICE
from bonito_assets.tuning.base_model import load_tokenizer
from bonito_assets.tuning.prompts import Encoder
from resources.model import resolve
from resources.store import Store

DEMO = settings.PROJECT / "corpora" / "demo.yaml"
_BUDGET = 1024
_SEEDS = range(5)
_COLUMNS = ["generation_id", "task_type", "input", "output", "chunk_id"]


def release(store: Store) -> list[Row]:
    """Gives all rows of the demo's release with their passages."""
    folder = store.folder("instruction_dataset", "demo") / "data"
    parts = [pq.read_table(path, columns=_COLUMNS) for path in sorted(folder.glob("*.parquet"))]
    chunks = store.read("chunks", "demo", ["chunk_id", "text"]).to_pydict()
    texts = dict(zip(chunks["chunk_id"], chunks["text"], strict=True))
    return [
        Row(*(row[name] for name in _COLUMNS[:4]), texts[row["chunk_id"]])
        for row in pa.concat_tables(parts).to_pylist()
    ]


def shuffled(rows: Sequence[Row], share: float, seed: int, within_type: bool) -> list[Row]:
    """Gives `rows` with a share of their answers exchanged, of one task type each or of all."""
    chance = random.Random(seed)
    kinds = sorted({row.task_type for row in rows}) if within_type else [None]
    made = list(rows)
    for kind in kinds:
        group = [n for n, row in enumerate(rows) if kind is None or row.task_type == kind]
        places = chance.sample(group, int(share * len(group)))
        answers = [rows[place].output for place in places]
        chance.shuffle(answers)
        for place, answer in zip(places, answers, strict=True):
            made[place] = dataclasses.replace(made[place], output=answer)
    return made


def gate(rows: Sequence[Row], judge: Callable[[Sequence[Row]], dict[str, Any]]) -> list[str]:
    """Gives the lines of the table: what is found of which share in how many rows."""
    lines = []
    for size in (len(rows), len(rows) // 2, len(rows) // 4):
        cases = [("none", 0.0, False), ("all rows", 0.3, False), ("one task type", 0.3, True)]
        if size == len(rows):
            cases.insert(1, ("all rows", 0.2, False))
        for among, share, within_type in cases:
            found = []
            for seed in _SEEDS:
                drawn = random.Random(seed).sample(list(rows), size)
                found.append(judge(shuffled(drawn, share, seed, within_type)))
                if not share and size == len(rows):
                    break  # every seed draws all rows
            refused = sum(not answers_fit.verdict(one)[0] for one in found)
            told = [one for one in found if one["share"] is not None]
            shares = ", ".join(f"{one['share']:.2f}" for one in told)
            lows = ", ".join(f"{one['ci95'][0]:.2f}" for one in told)
            lines.append(
                f"| {found[0]['rows']:,} | {share:.0%} | {among} | {refused} of {len(found)} | "
                f"{shares} | {lows} |"
            )
            print(lines[-1], flush=True)
    return lines


def engines(base: Any, encoder: Encoder) -> list[str]:
    """Gives the lines of the table: seconds of both engines for the general questions."""
    exam = prepare(general_questions(), CHOICE, 5, encoder, _BUDGET)
    lines = []
    for engine in ("transformers", "vllm"):
        began = time.perf_counter()
        with open_arms(engine, base, {}, _BUDGET, print) as arms:
            [(_, scorer)] = [next(arms)]
            opened = time.perf_counter()
            sit(exam, scorer, encoder, engine, lambda line: None)
            done = time.perf_counter()
        prompts = len(exam.asked) * exam.templates
        lines.append(f"| {engine} | {opened - began:.1f} | {prompts / (done - opened):.0f} |")
        print(lines[-1], flush=True)
    return lines


def measure() -> str:
    """Gives the section of RESULTS.md."""
    store, base = (
        Store(root=settings.data_root()),
        resolve(settings.base_model(), "BONITO_BASE_MODEL"),
    )
    encoder = Encoder(load_tokenizer(base))
    kinds = answers_fit.open_types(load(DEMO))
    with open_arms("transformers", base, {}, _BUDGET, print) as arms:
        _, scorer = next(arms)

        def judge(rows: Sequence[Row]) -> dict[str, Any]:
            rows = [row for row in rows if row.task_type in kinds][: answers_fit.MOST_ROWS]
            return answers_fit.report(
                answers_fit.compare(rows, scorer, encoder, _BUDGET, lambda line: None)
            )

        noticed = gate(release(store), judge)
    return "\n".join(
        [
            "## Evaluation: what is noticed, what it costs",
            "",
            "`python -m benchmarks.evaluation`: demo releases with answers exchanged, "
            "five seeds each. `rows` are those compared; estimated shares and the lower ends of "
            "their 95% intervals, of which a release is refused above 0.10.",
            "",
            "| rows | exchanged | among | refused | estimated | lower end |",
            "| ---: | ---: | --- | ---: | --- | --- |",
            *noticed,
            "",
            "The general questions under five templates, three choices each, base model alone:",
            "",
            "| engine | s to start | prompts/s |",
            "| --- | ---: | ---: |",
            *engines(base, encoder),
        ]
    )


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(measure())
