"""The project's own graph, conditions and sensors over bodies that do nothing.

A run of it is a real run of Dagster's: events, checks, provenance and staleness are real.
"""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from bonito_assets.automation.catalogue_watch import catalogue_watch
from bonito_assets.automation.cron import refresh_on_schedule
from bonito_assets.automation.source_watch import source_watch
from bonito_assets.catalogue import Catalogue, corpora
from bonito_assets.definitions import defs

MODEL = "bonito_model"
CHAIN = ["documents", "chunks", "generations", "tasks", "round_trips", "curated_tasks"]
CHAIN += ["instruction_dataset", "tuned_model", "evaluation"]


def below(name):
    """Gives a stage and all after it."""
    return CHAIN[CHAIN.index(name) :]


def of_corpora(started):
    """Gives the runs of corpora, each with its assets in the order in which data flows."""
    return [
        (corpus, sorted(set(assets), key=CHAIN.index))
        for corpus, assets in started
        if corpus is not None
    ]


@contextmanager
def opened(folder):
    """Opens a platform in `folder` whose models are names of the hub."""
    with pytest.MonkeyPatch.context() as patched, dg.DagsterInstance.ephemeral() as instance:
        patched.setenv("BONITO_MODEL", "owner/model")
        patched.setenv("BONITO_BASE_MODEL", "owner/base")
        yield Platform(instance, folder / "corpora")


@dataclass
class Platform:
    """A catalogue on disk, an instance of Dagster's, and a clock that each tick moves on.

    `versions` are the data versions that the bodies give, `failing` the assets whose body fails and
    `failing_checks` those whose blocking checks do, each with its corpus.
    """

    instance: dg.DagsterInstance
    folder: Path
    now: float = 1_750_000_000.0
    cursors: dict = field(default_factory=dict)
    automation: object = None
    versions: dict[tuple[str, str | None], str] = field(default_factory=dict)
    failing: set[tuple[str, str | None]] = field(default_factory=set)
    failing_checks: set[tuple[str, str | None]] = field(default_factory=set)

    def __post_init__(self):
        self.folder.mkdir(exist_ok=True)
        graph = defs().resolve_asset_graph()
        external = [graph.get(key).to_asset_spec() for key in graph.external_asset_keys]
        made = [self._stub(graph, key) for key in graph.materializable_asset_keys]
        self.defs = dg.Definitions(assets=[*external, *made])
        self._job = self.defs.resolve_implicit_global_asset_job_def()
        self.graph = self.defs.resolve_asset_graph()

    def _stub(self, graph, key):
        node, name = graph.get(key), key.to_user_string()
        checks = [graph.get(check) for check in node.check_keys]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=dg.PreviewWarning)
            specs = [
                dg.AssetCheckSpec(
                    check.key.name,
                    asset=key,
                    blocking=check.blocking,
                    partitions_def=node.partitions_def,
                )
                for check in checks
            ]

        @dg.asset(
            key=key,
            deps=list(node.parent_keys),
            partitions_def=node.partitions_def,
            automation_condition=node.automation_condition,
            code_version=node.code_version,
            check_specs=specs,
        )
        def body(context: dg.AssetExecutionContext):
            me = (name, context.partition_key if context.has_partition_key else None)
            if name == MODEL:
                me = (name, None)
            if me in self.failing:
                raise dg.Failure(f"{name} is broken", allow_retries=False)
            return dg.MaterializeResult(
                data_version=dg.DataVersion(self.versions.get(me, "1")),
                check_results=[
                    dg.AssetCheckResult(
                        check_name=spec.name,
                        passed=not (spec.blocking and me in self.failing_checks),
                    )
                    for spec in specs
                ],
            )

        return body

    def write(self, name, **keys):
        """Writes a catalogue file with a source of one file, which is made where it is missing."""
        source = self.folder.parent / f"{name}.txt"
        if not source.exists():
            source.write_text("A text.")
        content = {"source": {"files": f"../{name}.txt"}, "task_types": ["exqa"], **keys}
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    def tick(self, sensor):
        """Evaluates one sensor as the daemon does; gives its result."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor.name),
            resources={"catalogue": Catalogue(folder=str(self.folder))},
        )
        self.now += sensor.minimum_interval_seconds
        with patch("time.time", return_value=self.now):
            result = sensor(context)
        if isinstance(result, dg.SkipReason):
            return result
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        for request in result.dynamic_partitions_requests or []:
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions(corpora.name, list(request.partition_keys))
            else:
                for key in request.partition_keys:
                    self.instance.delete_dynamic_partition(corpora.name, key)
        self.cursors[sensor.name] = result.cursor
        return result

    def watch(self):
        """Evaluates both watches, twice: what changed must be seen the same in two looks."""
        return [self.tick(sensor) for sensor in (catalogue_watch, source_watch) * 2]

    def schedule(self):
        """Evaluates the sensor of the cron lines."""
        return self.tick(refresh_on_schedule)

    def renew(self):
        """Evaluates the conditions once; gives the assets asked for, by corpus."""
        # The daemon asks for the partitions once a tick, this function once for each condition.
        known = self.instance.get_dynamic_partitions(corpora.name)
        with patch.object(self.instance, "get_dynamic_partitions", return_value=known):
            found = dg.evaluate_automation_conditions(
                defs=self.defs,
                instance=self.instance,
                cursor=self.automation,
                asset_selection=dg.AssetSelection.all(),
            )
        self.automation = found.cursor
        asked = {}
        for key in self.graph.toposorted_asset_keys:
            if self.graph.get(key).is_materializable:
                for corpus in found.get_requested_partitions(key):
                    asked.setdefault(corpus, []).append(key.to_user_string())
        return asked

    def run(self, corpus, assets):
        """Runs some assets of a corpus, as one real run; tells whether all went well."""
        done = self._job.execute_in_process(
            instance=self.instance,
            partition_key=corpus,
            asset_selection=[dg.AssetKey(name) for name in assets],
            raise_on_error=False,
        )
        return done.success

    def settle(self, ticks=4):
        """Lets the daemon go on until nothing is asked for; gives the runs that it started."""
        started = []
        for _ in range(ticks):
            self.watch()
            asked = self.renew()
            if not asked:
                break
            for corpus, assets in asked.items():
                self.run(corpus, assets)
                started.append((corpus, assets))
        return started

    def stale(self, corpus):
        """Gives the stale stages of a corpus, each with the asset that left it behind."""
        resolver = CachingStaleStatusResolver(
            self.instance, self.graph, LoadingContextForTest(self.instance)
        )
        found = {}
        for name in CHAIN:
            for cause in resolver.get_stale_causes(dg.AssetKey(name), corpus):
                found[name] = cause.dependency_asset_key.to_user_string()
        return found
