"""Runs datatrove's MinHash deduplication; for a Python that has it, which is not the project's.

Called with a Parquet file with the column `text` and a folder, into which `kept.npy` is written:
the numbers of the rows that were left.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import JsonlWriter

WORKERS = 2


def main(path: str, folder: str) -> None:
    """Runs the four stages: signatures, buckets, clusters, filter."""
    # One file per worker, for a reader takes whole files.
    texts = pq.read_table(path)["text"]
    Path(folder, "in").mkdir()
    share = -(-len(texts) // WORKERS)
    for worker in range(WORKERS):
        part = texts.slice(worker * share, share)
        ids = [str(worker * share + row) for row in range(len(part))]
        pq.write_table(pa.table({"text": part, "id": ids}), Path(folder, "in", f"{worker}.parquet"))
    config = MinhashConfig(n_grams=5)
    reader = ParquetReader(f"{folder}/in")
    stages = [
        ([reader, MinhashDedupSignature(f"{folder}/signatures", config)], WORKERS),
        (
            [MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)],
            config.num_buckets,
        ),
        ([MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config=config)], 1),
        (
            [reader, MinhashDedupFilter(f"{folder}/remove"), JsonlWriter(f"{folder}/out",
             compression=None)],
            WORKERS,
        ),
    ]  # fmt: skip
    for number, (pipeline, tasks) in enumerate(stages):
        LocalPipelineExecutor(
            pipeline, tasks=tasks, workers=WORKERS, logging_dir=f"{folder}/logs/{number}"
        ).run()
    kept = [
        int(json.loads(line)["id"])
        for file in Path(folder, "out").glob("*.jsonl")
        for line in file.open(encoding="utf-8")
    ]
    np.save(Path(folder, "kept.npy"), np.array(kept, np.int64))


if __name__ == "__main__":
    main(*sys.argv[1:])
