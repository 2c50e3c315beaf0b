"""Takes what was forgotten out of what Dagster remembers: events of runs, and logs of steps.

An event may hold a sample of rows, a sentence in a log or an error; each is stored several times.
The tables are those of the pinned version of Dagster, which has no public way to change an event.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from bonito_assets.lineage.forget.fingerprints import Fingerprints

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

REMOVED = "removed: a document was forgotten"
# What these are called holds rows of a table, of whichever document; an earlier text of a document
# may be among them, which nobody could know.
_SAMPLES = "sample"
# The kind of a packed value, without which it could not be read again.
_STRUCTURE = ("__class__", "__enum__", "label", "name", "type")
_ROWS = 200
_SECONDS = 30.0  # as Dagster itself waits for others who use its files
# The version that a materialization stands for one of the same rows without the forgotten ones.
_INSTEAD_OF = "bonito/forgotten_from"
_TAG_CHARS = 63  # Dagster takes no longer values


@dataclass
class Scrubbed:
    """What was changed: events and log files; and what lies where it could not be reached."""

    events: int = 0
    logs: int = 0
    unreachable: list[str] = field(default_factory=list)


class History:
    """The memory of one Dagster instance; the run `run_id` is the one that forgets."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self._instance = instance
        self._run_id = run_id

    def folders(self) -> list[str]:
        """Gives the folders that Dagster writes to, none inside another."""
        found = [Path(self._instance.storage_directory())]
        # Without DAGSTER_HOME the root is the project, which is nobody's memory.
        root = Path(self._instance.root_directory)
        if (root / "dagster.yaml").exists() and not (root / "pyproject.toml").exists():
            found.append(root)
        parts = (self._instance.event_log_storage, self._instance.run_storage)
        bases = [getattr(part, "_base_dir", None) for part in parts]
        found += [Path(base) for base in bases if base is not None]
        if (logs := self._log_folder()) is not None:
            found.append(logs)
        found = sorted({path.resolve() for path in found if path.exists()})
        return [str(p) for p in found if not any(q in p.parents for q in found)]

    def _log_folder(self) -> Path | None:
        base = getattr(self._instance.compute_log_manager, "_base_dir", None)
        return None if base is None else Path(base)

    def forget(self, corpus: str, fingerprints: Fingerprints) -> Scrubbed:
        """Replaces samples of `corpus`, and whatever says what was forgotten, in all events.

        Step logs in which it stands are deleted. Raises ``OSError`` for a file of Dagster's that
        somebody keeps locked.
        """
        done = Scrubbed()
        changes = _Changes(corpus, self._runs_of(corpus), fingerprints)
        for connection, file in self._databases():
            with connection as opened:
                changed = changes.applied(opened)
            done.events += changed
            if file is not None:
                _compact(file, fingerprints, changed > 0 or file.name == "index.db")
        if not self._is_sqlite():
            done.unreachable.append("old row versions in Dagster's database, until its next VACUUM")
        logs = self._log_folder()
        if logs is None:
            done.unreachable.append("step logs that Dagster keeps elsewhere")
        else:
            for path in sorted(logs.rglob("*")):
                if path.is_file() and self._run_id not in path.parts:
                    with path.open("rb") as file_:
                        says_it = fingerprints.in_file(file_)
                    if says_it:
                        path.unlink(missing_ok=True)
                        done.logs += 1
        return done

    def _runs_of(self, corpus: str) -> set[str]:
        """Gives the ids of the runs that made something of a corpus."""
        import sqlalchemy
        from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

        tagged = self._instance.get_run_ids(dg.RunsFilter(tags={"dagster/partition": corpus}))
        storage: Any = self._instance.event_log_storage
        with storage.index_connection() as connection:
            column = SqlEventLogStorageTable.c
            query = sqlalchemy.select(column.run_id).where(column.partition == corpus)
            return {*tagged, *connection.execute(query.distinct()).scalars()}

    def _is_sqlite(self) -> bool:
        return hasattr(self._instance.event_log_storage, "path_for_shard")

    def _databases(
        self,
    ) -> Iterator[tuple[contextlib.AbstractContextManager[Connection], Path | None]]:
        """Gives a connection to each database of events, and its file where it is one of SQLite."""
        storage: Any = self._instance.event_log_storage
        if not self._is_sqlite():
            yield storage.index_connection(), None
            return
        import sqlalchemy
        from dagster._core.storage.sql import create_engine

        shards = [run_id for run_id in storage.get_all_run_ids() if run_id != self._run_id]
        for shard in ["index", *sorted(shards)]:
            engine = create_engine(
                storage.conn_string_for_shard(shard),
                poolclass=sqlalchemy.pool.NullPool,
                connect_args={"timeout": _SECONDS},
            )
            yield engine.begin(), Path(storage.path_for_shard(shard))


class _Changes:
    """What is changed in the rows of one database."""

    def __init__(self, corpus: str, runs: set[str], fingerprints: Fingerprints) -> None:
        self._mark = json.dumps(corpus)
        self._runs = runs
        self._fingerprints = fingerprints

    def applied(self, connection: Connection) -> int:
        """Changes all rows that have to be; gives how many."""
        from dagster._core.storage.event_log.schema import (
            AssetCheckExecutionsTable,
            AssetKeyTable,
            SqlEventLogStorageTable,
        )

        return sum(
            self._in_column(connection, table, column, run)
            for table, column, run in (
                (SqlEventLogStorageTable, "event", "run_id"),
                (AssetKeyTable, "last_materialization", "last_run_id"),
                (AssetCheckExecutionsTable, "evaluation_event", "run_id"),
            )
        )

    def _in_column(self, connection: Connection, table: Any, column: str, run: str) -> int:
        import sqlalchemy

        changed, last = 0, -1
        if not sqlalchemy.inspect(connection).has_table(table.name):
            return 0
        while True:
            rows = connection.execute(
                sqlalchemy.select(table.c.id, table.c[column], table.c[run])
                .where(table.c.id > last)
                .order_by(table.c.id)
                .limit(_ROWS)
            ).fetchall()
            if not rows:
                return changed
            for number, content, run_id in rows:
                if content and (new := self.of(content, run_id)) != content:
                    update = sqlalchemy.update(table).where(table.c.id == number)
                    connection.execute(update.values({column: new}))
                    changed += 1
            last = rows[-1][0]

    def of(self, content: str, run_id: str) -> str:
        """Gives the JSON of an event of a run without what was forgotten."""
        # The output of a step has the same samples and does not name the partition.
        of_corpus = run_id in self._runs or self._mark in content
        is_ours = of_corpus and f'"{_SAMPLES}' in content
        if not is_ours and not self._fingerprints.in_text(content):
            return content
        event = json.loads(content)
        new = self._cleaned(event, is_ours, doomed=False)
        return content if new == event else json.dumps(new)

    def _cleaned(self, value: Any, is_ours: bool, doomed: bool) -> Any:
        if isinstance(value, str):
            return REMOVED if doomed or self._fingerprints.in_text(value) else value
        if isinstance(value, list):
            return [self._cleaned(one, is_ours, doomed) for one in value]
        if not isinstance(value, dict):
            return value
        of_sample = is_ours and str(value.get("label", "")).startswith(_SAMPLES)
        return {
            key: one
            if key in _STRUCTURE and isinstance(one, str)
            else self._cleaned(
                one,
                is_ours,
                doomed
                or (of_sample and key == "entry_data")
                or (is_ours and key.startswith(_SAMPLES) and isinstance(one, dict)),
            )
            for key, one in value.items()
        }


def _compact(path: Path, fingerprints: Fingerprints, changed: bool) -> None:
    """Writes an SQLite file anew where free pages or its log may still hold what was changed."""
    if not changed:
        with path.open("rb") as file:
            changed = fingerprints.in_file(file)
        log = path.with_name(f"{path.name}-wal")
        if not changed and log.exists():
            with log.open("rb") as file:
                changed = fingerprints.in_file(file)
    if not changed:
        return
    with contextlib.closing(sqlite3.connect(path, _SECONDS, isolation_level=None)) as connection:
        try:
            connection.execute("vacuum")
            # Whoever reads at this moment keeps the log from being emptied, so it waits for them.
            busy = connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
        except sqlite3.OperationalError as error:
            raise OSError(f"{path}: {error}") from error
    if busy:
        raise OSError(f"{path}: is in use")


def materialization(
    instance: dg.DagsterInstance,
    asset: str,
    partition: str | None,
    data_version: str,
    metadata: dict[str, Any],
) -> dg.AssetMaterialization | None:
    """Gives the event by which Dagster learns that an asset lost rows; None where it lost none.

    What was fresh is fresh afterwards and what was stale is stale: of the inputs only those are
    brought up to date that lost rows themselves and were used as they were before. None too for an
    asset that Dagster has never seen made.
    """
    # Dagster has no public names for these tags; a job of assets could not run without the model.
    from dagster._core.definitions import data_version as names

    def latest(key: dg.AssetKey, before: int | None = None) -> Any:
        return instance.get_latest_data_version_record(
            key, is_source=False, partition_key=partition, before_cursor=before
        )

    last = latest(dg.AssetKey(asset))
    if last is None:
        return None
    old = dict(last.asset_materialization.tags or {})
    new = dict(old)
    if old.get(names.DATA_VERSION_TAG) != data_version:
        new[names.DATA_VERSION_TAG] = data_version
        new[_INSTEAD_OF] = old.get(names.DATA_VERSION_TAG, "")[:_TAG_CHARS]
    for tag, pointer in old.items():
        if not tag.startswith(names.INPUT_EVENT_POINTER_TAG_PREFIX) or not pointer.isdigit():
            continue
        key = dg.AssetKey.from_user_string(tag.split("/", 2)[2])
        now, used = latest(key), latest(key, int(pointer) + 1)
        if now is None or used is None or now.storage_id == used.storage_id:
            continue
        tags = now.asset_materialization.tags or {}
        used_version = (used.asset_materialization.tags or {}).get(names.DATA_VERSION_TAG)
        if tags.get(_INSTEAD_OF) == (used_version or "")[:_TAG_CHARS]:
            new[tag] = str(now.storage_id)
            new[names.get_input_data_version_tag(key)] = tags[names.DATA_VERSION_TAG]
    if new == old:
        return None
    return dg.AssetMaterialization(
        asset_key=asset, partition=partition, metadata=metadata, tags=new
    )
