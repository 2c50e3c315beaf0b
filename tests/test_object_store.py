"""Sources and tables in an object store behave as on a disk; the store here speaks S3."""

import os
import subprocess
import sys

import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from bonito_assets.catalogue import Corpus
from bonito_assets.chunking.refresh import refresh as cut
from bonito_assets.ingestion.documents import refresh as ingest
from resources.generation_cache import GenerationCache
from resources.generator import Outcome
from resources.model import resolve
from resources.store import Store
from tests.test_end_to_end import CATALOGUE, DOCUMENTS

MODEL = "models/bonito-demo"
WINDOW = 1024


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint, monkeypatch):
    """The store, by settings that any S3 client reads; a bucket of its own for each test."""
    settings = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    # Clients are kept and used again, whatever the settings are by then.
    S3FileSystem.clear_instance_cache()
    filesystem = S3FileSystem()
    filesystem.mkdir("letters")
    yield filesystem
    filesystem.rm("letters", recursive=True)
    S3FileSystem.clear_instance_cache()


def corpus(tmp_path, **changes):
    settings = {"source": {"files": "s3://letters/in/**/*.txt"}, "task_types": ["nli"], **changes}
    return Corpus(name="c", folder=tmp_path, **settings)


def letter(number):
    return (
        f"Letter {number}. The ferry leaves at {number} past nine and carries forty cars.".encode()
    )


def test_only_what_changed_in_a_bucket_is_fetched_again(s3, tmp_path):
    for number in range(20):
        s3.pipe(f"letters/in/{number:02}.txt", letter(number))
    store = Store(root="s3://letters/data")
    first = ingest(store, corpus(tmp_path), print)
    assert (first.seen.read, first.books.accepted) == (20, 20)
    s3.pipe("letters/in/03.txt", letter("X")[: len(letter(3))])  # as long as it was
    s3.rm("letters/in/04.txt")
    second = ingest(store, corpus(tmp_path), print)
    assert (second.seen.read, second.seen.unchanged, second.books.rows) == (1, 18, 19)
    rows = {row["uri"]: row["text"] for row in store.read("documents", "c").to_pylist()}
    assert rows["s3://letters/in/03.txt"].startswith("Letter X.")
    assert "s3://letters/in/04.txt" not in rows


def test_tables_and_folders_in_a_bucket_are_read_as_they_were_written(s3, tmp_path):
    s3.pipe("letters/in/a.txt", letter(1))
    store = Store(root="s3://letters/data")
    ingest(store, corpus(tmp_path), print)
    made = cut(store, corpus(tmp_path), resolve(MODEL, "BONITO_MODEL"), WINDOW)
    assert made.books.accepted == 1
    again = cut(store, corpus(tmp_path), resolve(MODEL, "BONITO_MODEL"), WINDOW)
    assert again.unchanged and again.written.digest == made.written.digest
    with store.new_folder("report", "c") as folder:
        (folder / "report.md").write_text("one")
    with store.new_folder("report", "c") as folder:
        (folder / "again.md").write_text("two")
    found = {path.name for path in store.folder("report", "c").iterdir()}
    assert found == {"again.md", "SHA256SUMS"}
    with store.reader() as connection:
        assert connection.sql("select count(*) from chunks").fetchall() == [(1,)]


def test_the_cache_of_generations_lives_in_a_bucket(s3):
    store = Store(root="s3://letters/data")
    keys = [f"{number:032x}" for number in range(300)]
    with GenerationCache(store).writer() as writer:
        for key in keys:
            writer.add(
                Outcome(key, f"output {key}", "stop", 1, 1, -0.1), model="m", task_type="nli"
            )
    found = GenerationCache(store).find([pa.array(keys)])
    assert found.present.all()
    assert GenerationCache(store).forget(keys[:100]) == 100
    assert GenerationCache(store).find([keys]).present.sum() == 200


@pytest.mark.slow
def test_the_whole_chain_runs_from_a_bucket_into_a_bucket(s3, tmp_path):
    for name, content in DOCUMENTS.items():
        content = content if isinstance(content, bytes) else content.encode()
        s3.pipe(f"letters/docs/{name}", content)
    (tmp_path / "three.yaml").write_text(
        CATALOGUE.replace("files: docs", "files: s3://letters/docs").replace(
            "evaluation: {test: test.jsonl, metric: choice_f1}", ""
        )
    )
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    done = subprocess.run(
        [sys.executable, "-c", "from bonito_assets.cli import main; main()", "run", "three"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "DAGSTER_HOME": str(home),
            "BONITO_CORPORA": str(tmp_path),
            "BONITO_DATA": "s3://letters/data",
            "HF_HUB_OFFLINE": "1",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert s3.exists("letters/data/tuned_model/three/adapter_model.safetensors")
