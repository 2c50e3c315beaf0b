"""`bonito sql` reads the tables and nothing else of the machine, whatever is asked."""

import os
import subprocess
import sys

import pyarrow as pa
import pytest

from resources.store import Store

OUTSIDE = "planted outside"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("sql")
    store = Store(root=str(place / "data"))
    store.write("documents", "c", pa.table({"doc_id": ["1"], "text": ["a heron"]}))
    (place / "secret.csv").write_text(f"a\n{OUTSIDE}\n")
    (place / "data" / "link.csv").symlink_to(place / "secret.csv")
    return place


ATTACKS = {
    "a file of the system": "select * from read_csv('/etc/passwd', header = false)",
    "text of the system": "select content from read_text('/etc/passwd')",
    "the environment of this process": "select content from read_text('/proc/self/environ')",
    "bytes beside the data": "select content from read_blob('{place}/secret.csv')",
    "a path that climbs": "select * from read_csv('{place}/data/../secret.csv')",
    "a path as a table": "select * from '{place}/secret.csv'",
    "a link inside the data": "select * from read_csv('{place}/data/link.csv')",
    "a listing": "select * from glob('{place}/*')",
    "a listing of the system": "select * from glob('/etc/*')",
    "another database": "attach '{place}/new.duckdb'",
    "the warehouse for writing": "attach '{place}/data/warehouse.duckdb' as w (read_write)",
    "a copy out": "copy documents to '{place}/out.csv'",
    "a copy into the data": "copy documents to '{place}/data/out.parquet'",
    "an export": "export database '{place}/export'",
    "the network": "select * from read_csv('http://127.0.0.1:9/x.csv')",
    "a bucket": "select * from read_parquet('s3://bucket/x.parquet')",
    "an extension from afar": "install httpfs",
    "an extension from a file": "load '{place}/x.duckdb_extension'",
    "the door again": "set enable_external_access = true",
    "more folders": "set allowed_directories = ['/']",
    "the lock": "set lock_configuration = false",
    "the lock by pragma": "pragma lock_configuration = false",
    "two statements": "select 1; copy documents to '{place}/out.csv'",
    "a statement after a comment": "select 1 --\n; set enable_external_access = true",
    "a changed table": "drop view documents",
    "new rows": "insert into documents values ('2', 'x')",
    "a setting by a call": "select set_config('enable_external_access', 'true')",
    "a copy inside an explanation": "explain analyze copy documents to '{place}/out.csv'",
    "a prepared copy": "prepare p as copy documents to '{place}/out.csv'",
    "a secret": "create secret (type s3, key_id 'a', secret 'b')",
    "the secrets": "select getenv('PLANTED')",
    "the variables of the shell": "select content from read_text(getenv('PLANTED'))",
}


def sql(place, query):
    return subprocess.run(
        [sys.executable, "-c", "from bonito_assets.cli import main; main()", "sql", query],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "BONITO_DATA": str(place / "data"),
            "DAGSTER_HOME": str(place),
            "PLANTED": OUTSIDE,
        },
    )


def refused(place, query, monkeypatch, capsys):
    """Runs the command in this process; tells whether it ended with 1, and what was shown."""
    from typer.testing import CliRunner

    from bonito_assets.cli import app

    monkeypatch.setenv("BONITO_DATA", str(place / "data"))
    monkeypatch.setenv("PLANTED", OUTSIDE)
    done = CliRunner().invoke(app, ["sql", query])
    shown = done.output + "".join(capsys.readouterr())
    return done.exit_code == 1, shown


def listed(place):
    return sorted(str(p.relative_to(place)) for p in place.rglob("*"))


@pytest.mark.parametrize("name", ATTACKS)
def test_no_query_leaves_the_tables(place, name, monkeypatch, capsys):
    before = listed(place)
    was_refused, shown = refused(place, ATTACKS[name].format(place=place), monkeypatch, capsys)
    assert was_refused, shown
    assert OUTSIDE not in shown and "root:" not in shown
    assert listed(place) == before


def test_the_tables_are_read_in_a_process_of_its_own(place):
    done = sql(place, "select text from documents")
    assert done.returncode == 0 and "a heron" in done.stdout
