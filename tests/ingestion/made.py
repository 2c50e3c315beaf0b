"""Corpora made on the spot, and their documents."""

import hashlib
import io
import queue
from contextlib import contextmanager

import pyarrow as pa

from bonito_assets.catalogue import Corpus
from bonito_assets.ingestion import documents, rendering
from bonito_assets.ingestion.items import Item, LeftOut, items
from bonito_assets.ingestion.reading import Limits, Reading
from bonito_assets.ingestion.sandbox import Entry, Job, Sandbox


def put(folder, name, content):
    """Writes one file of a corpus and gives its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def corpus(folder, files="in", limits=None, **source):
    return Corpus(
        name="c",
        folder=folder,
        source={"files": files, **source},
        task_types=["nli"],
        limits=limits or {},
    )


def table(made):
    """Gives the rows of `documents` of a corpus, read by workers as ever."""
    return [row for batch in documents.documents(made) for row in batch.to_pylist()]


def read(name, content, limits=None, **settings):
    """Gives the items of one file, read in this process."""
    content = content if isinstance(content, bytes) else content.encode()
    reading = Reading("c", limits=Limits(**(limits or {})), **settings)
    sha256 = hashlib.sha256(content).hexdigest()
    return list(items(name, io.BytesIO(content), len(content), sha256, reading))


def texts(found):
    return [item.text for item in found if isinstance(item, Item) and item.text is not None]


def verdicts(found):
    return [item.rejected_because for item in found]


def entry(name, content):
    content = content if isinstance(content, bytes) else content.encode()
    return Entry(name, len(content), hashlib.sha256(content).hexdigest(), content)


@contextmanager
def sandbox(workers=1, limits=None, **settings):
    reading = Reading("c", limits=Limits(**(limits or {})), **settings)
    with Sandbox(reading, workers) as opened:
        yield opened


def job_rows(job):
    return [row for batch in job.batches() for row in batch.to_pylist()]


class InThisProcess:
    """Stands in for ``Sandbox`` where only the books of a refresh matter: no process is started."""

    def __init__(self, reading, workers):
        self._reading = reading

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, job: Job) -> Job:
        job.results = queue.Queue()
        for number, file in enumerate(job.entries):
            content = file.content if isinstance(file.content, bytes) else file.content.read()
            stream = io.BytesIO(content)
            found = list(items(file.uri, stream, file.size, file.sha256, self._reading))
            made = [(number, item) for item in found if not isinstance(item, LeftOut)]
            job.left_out[number] = len(found) - len(made)
            job.results.put(rendering.rows(made, self._reading))
        job.results.put(None)
        return job


def jsonl(*rows):
    import orjson

    return b"\n".join(map(orjson.dumps, rows)) + b"\n"


def parquet(columns, **options):
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()
