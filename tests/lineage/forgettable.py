"""A corpus of people who can be forgotten, its chain of assets, and a model that quotes them.

``python -m tests.lineage.forgettable PLACE ID...`` forgets in a process of its own, to be killed.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import sys
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq

from bonito_assets import settings
from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.chunking.assets import chunks
from bonito_assets.curation.assets import curated_tasks, round_trips
from bonito_assets.generation.assets import bonito_model, generations
from bonito_assets.identity import digest
from bonito_assets.ingestion.assets import documents
from bonito_assets.lineage.forget.job import forget_documents
from bonito_assets.parsing.assets import tasks
from bonito_assets.publishing.assets import instruction_dataset
from bonito_assets.tuning.base_model import BaseModel
from resources.generator import Generator, Outcome
from resources.model import resolve
from resources.store import Store

CORPUS = "people"
TABLES = (
    "documents", "source_files", "chunks", "generations", "tasks", "round_trips",
    "curated_tasks", "curation_features", "curation_passages", "curation_families",
)  # fmt: skip
_CHAIN = [
    documents, chunks, bonito_model, generations, tasks, round_trips, curated_tasks,
    instruction_dataset,
]  # fmt: skip
_SYLLABLES = "ba ke lo mi nu pa ro sa ti vu da fe go ju".split()


def word(*parts, syllables=5):
    """Gives a made-up word that no other parts give."""
    rng = random.Random(repr(parts))
    return "".join(rng.choice(_SYLLABLES) for _ in range(syllables)) + str(parts[-1])


def secret(number):
    """Gives what stands in one document alone."""
    return f"{word('first', number).title()} {word('second', number).title()}"


def text(number):
    """Gives a document of one passage, with words that all share and a secret."""
    return (
        f"The tenant {secret(number)} pays the rent on the first day of each month in advance. "
        f"The keys of house {word('house', number)} hang behind the door on a brass hook, and "
        f"whoever leaves last returns them to {word('street', number)} before the evening bell."
    )


class Quoting(Generator):
    """Asks about the passage of a prompt in words of the passage, and counts what it is asked."""

    model: str = str(settings.DEMO_MODEL)

    def resolve(self):
        return resolve(self.model, "BONITO_MODEL")

    @contextmanager
    def open(self, log):
        yield _Session()


_ASKED = []


class _Session:
    cards = 1

    def generate(self, requests):
        for request in requests:
            names = re.findall(r"tenant (\w+ \w+)", request.prompt) or ["Nobody Here"]
            if not request.key.startswith("canary"):
                _ASKED.append(request.key)
            output = f"{{{{context}}}}\n\nWhen does {names[0]} pay?\n<|pipe|>\n{names[0]}"
            yield Outcome(request.key, output, "stop", 10, 5, -0.5)


def asked():
    """Gives the keys of all requests until now in this process."""
    return _ASKED


class Place:
    """A catalogue, a data folder and Dagster's home under one folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.store = Store(root=str(self.folder / "data"))
        self.catalogue = Catalogue(folder=str(self.folder / "corpora"))

    def write(self, texts, **settings_):
        """Writes the source, a row per document: texts by the source's own ids."""
        (self.folder / "corpora").mkdir(parents=True, exist_ok=True)
        rows = [json.dumps({"id": name, "text": said}) for name, said in texts.items()]
        (self.folder / "corpora/people.jsonl").write_text("\n".join(rows) + "\n")
        content = {"source": {"files": "people.jsonl", "id_field": "id"}, "task_types": ["exqa"],
                   "publish": {"allow_shrink": True}, **settings_}  # fmt: skip
        (self.folder / f"corpora/{CORPUS}.yaml").write_text(json.dumps(content))

    @contextmanager
    def instance(self):
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        with dg.instance_for_test(temp_dir=str(home), overrides=_logs_under(home)) as instance:
            instance.add_dynamic_partitions(corpora.name, [CORPUS])
            yield instance

    def refresh(self, instance):
        """Runs the chain from the source to the published dataset."""
        base = BaseModel(name=str(settings.DEMO_MODEL))
        made = dg.materialize(
            _CHAIN,
            instance=instance,
            partition_key=CORPUS,
            resources={"catalogue": self.catalogue, "store": self.store, "generator": Quoting(),
                       "base_model": base},
            run_config=_QUIET,
        )  # fmt: skip
        assert made.success

    def forget(self, instance, *ids, reason="they asked"):
        """Runs the job; gives why it failed, None where it did not."""
        config = {"corpus": CORPUS, "doc_ids": list(ids), "reason": reason}
        result = forget_documents.execute_in_process(
            instance=instance,
            tags={"dagster/partition": CORPUS},
            run_config={**_QUIET, "ops": {"forget_them": {"config": config}}},
            resources={"catalogue": self.catalogue, "store": self.store},
            raise_on_error=False,
        )
        if result.success:
            return None
        data = result.failure_data_for_node("forget_them")
        return data.user_failure_data.description if data.user_failure_data else str(data.error)

    def digests(self):
        """Gives the digest of the content of every table, and the version of the release."""
        found = {t: self.store.stamps(t, CORPUS).get("digest") for t in TABLES}
        release = self.folder / f"data/instruction_dataset/{CORPUS}/release.json"
        return {**found, "release": json.loads(release.read_text())["version"]}

    def ids(self, table, column):
        return self.store.read(table, CORPUS, [column])[column].to_pylist()

    def files_that_say(self, *words):
        """Gives the files under data folder and home in which one of `words` stands.

        Looked at as they are, and where they are Parquet also their values.
        """
        found = []
        wanted = [w.lower().encode() for w in words]
        for path in self.folder.rglob("*"):
            if not path.is_file() or "corpora" in path.parts:
                continue
            content = path.read_bytes()
            if ".parquet" in path.name:
                with contextlib.suppress(Exception):
                    content += repr(pq.read_table(path).to_pylist()).encode()
            content = content.lower()
            found += [str(path) for w in wanted if w in content]
        return found


_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def _logs_under(home):
    return {
        "compute_logs": {
            "module": "dagster.core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(home / "logs")},
        }
    }


def doc_id(number):
    return digest(CORPUS, f"id:{number}")


def place_of(folder, numbers, **settings_):
    """Gives a place whose source holds the documents of these numbers."""
    place = Place(folder)
    place.write({str(n): text(n) for n in numbers}, **settings_)
    return place


if __name__ == "__main__":
    here = Place(sys.argv[1])
    with here.instance() as opened:
        sys.exit(here.forget(opened, *sys.argv[2:]))
