"""How much more to ask for, where a corpus wants so many rows kept and not so many samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping

import pyarrow as pa

from bonito_assets import tables
from bonito_assets.catalogue import Corpus
from bonito_assets.curation import refresh as curation
from bonito_assets.generation.generate import Generated, Widen
from bonito_assets.generation.requests import Plan
from bonito_assets.generation.table import generations
from bonito_assets.parsing.judge import judge_of
from bonito_assets.parsing.tasks import tasks
from resources.generator import Log
from resources.store import Store

# Asked for beyond what the kept rate calls for, so that chance does not cost another round.
_MARGIN = 1.05
# The kept rate that is assumed where next to nothing was kept: twenty asked for one kept.
_LEAST_RATE = 0.05


def widen(store: Store, corpus: Corpus, log: Log) -> Widen:
    """Gives the rule by which `corpus` asks for more until enough of each task type is kept."""

    def wider(generated: Generated) -> Plan | None:
        if corpus.accepted_per_task_type is None:
            return None
        plan = generated.plan
        rows = pa.Table.from_batches(generations(generated), tables.GENERATIONS)
        counts = kept(corpus, rows, store.read("chunks", corpus.name))
        amounts = next_amounts(plan.amounts, counts, corpus, plan.passages)
        for task_type, amount in plan.amounts.items():
            line = f"{task_type}: {counts[task_type]:,} of {amount:,} outputs kept"
            if amounts[task_type] > amount:
                line += f", {amounts[task_type] - amount:,} more are asked for"
            elif counts[task_type] < corpus.accepted_per_task_type:
                line += (
                    f", short of {corpus.accepted_per_task_type:,}: its ceiling of "
                    f"{corpus.max_samples_per_chunk:,} samples per passage is reached"
                )
            log(line)
        return None if amounts == plan.amounts else plan.widened(amounts)

    return wider


def kept(corpus: Corpus, generations: pa.Table, chunks: pa.Table) -> Counter[str]:
    """Gives the rows per task type that the stages after this one keep of `generations`."""
    read = tasks(generations, chunks, judge_of(corpus))
    return curation.kept(corpus, read, generations, chunks)


def next_amounts(
    amounts: Mapping[str, int],
    kept: Mapping[str, int],
    corpus: Corpus,
    passages: Callable[[str], int],
) -> dict[str, int]:
    """Gives the outputs to ask for per task type, so that as many are kept as the corpus wants.

    They equal `amounts` when every type has enough, or has reached its ceiling of
    ``max_samples_per_chunk`` outputs per passage, of which `passages` gives the number.
    """
    wanted = corpus.accepted_per_task_type
    following = {}
    for task_type, amount in amounts.items():
        ceiling = passages(task_type) * corpus.max_samples_per_chunk
        short = wanted - kept.get(task_type, 0)
        if short > 0 and amount < ceiling:
            rate = max(kept.get(task_type, 0) / amount, _LEAST_RATE)
            amount = min(ceiling, amount + math.ceil(short / rate * _MARGIN))
        following[task_type] = amount
    return following
