"""The sensor that follows the catalogue: files become partitions, and changes become versions.

What changes while a run of the corpus is under way is reported when that run has ended. Otherwise
the run would count as having seen what it may have been too early to see, and nobody would start
another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import dagster as dg
from pydantic import BaseModel

from bonito_assets.automation import inputs
from bonito_assets.automation.under_way import corpora_under_way
from bonito_assets.catalogue import Catalogue, CatalogueError, Corpus, corpora, load
from bonito_assets.identity import digest

# A catalogue of thousands that appears at once is taken in over several ticks: one corpus costs a
# tenth of a second (measured), and a tick is to take less than two.
_NEW_PER_TICK = 10


class Seen(BaseModel):
    """What the last tick knew: the sensor's cursor.

    ``reported`` holds the digest of the versions last reported of each corpus, ``problems`` what
    was said of invalid files, ``gone`` the partitions that had no file, ``models`` the models.
    """

    reported: dict[str, str] = {}
    problems: dict[str, str] = {}
    gone: list[str] = []
    models: dict[str, str] = {}


@dataclass
class Plan:
    """What one tick does: partitions to add and remove, versions to report, lines to say."""

    seen: Seen
    add: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    report: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_catalogue(catalogue: Catalogue) -> tuple[dict[str, Corpus], dict[str, str]]:
    """Gives the valid corpora by name, and for each invalid file the sentence that is wrong.

    Raises ``CatalogueError`` where the folder cannot be read: that is no empty catalogue.
    """
    valid, problems = {}, {}
    try:
        paths = catalogue.paths()
    except OSError as error:
        raise CatalogueError(f"{catalogue.folder}: cannot be read: {error}") from error
    for path in paths:
        try:
            known = path.stat()
            valid[path.stem] = _load(path, known.st_mtime_ns, known.st_size)
        except FileNotFoundError:
            continue  # it went while the folder was listed
        except (CatalogueError, OSError) as error:
            problems[path.stem] = str(error)
    return valid, problems


@lru_cache(maxsize=4096)
def _load(path: Path, _date: int, _size: int) -> Corpus:
    """Gives a catalogue file, parsed once for each date and size."""
    return load(path)


def plan(
    seen: Seen,
    versions: dict[str, str],
    problems: dict[str, str],
    partitions: set[str],
    busy: set[str],
) -> Plan:
    """Gives what is to be done about a catalogue of which the last tick knew `seen`.

    `versions` holds the digest of all settings of each valid corpus, `busy` the corpora of which a
    run is queued or under way.
    """
    made = Plan(Seen(reported=dict(seen.reported), problems=problems))
    new = [name for name in sorted(versions) if name not in partitions]
    made.add = new[:_NEW_PER_TICK]
    for name, version in versions.items():
        if name in new and name not in made.add:
            continue
        if version != seen.reported.get(name):
            if name in busy:
                made.lines.append(f"'{name}' changed; reported when its run has ended")
            else:
                made.report.append(name)
                made.seen.reported[name] = version
    for name, sentence in problems.items():
        if sentence != seen.problems.get(name):
            made.warnings.append(f"'{name}' cannot be used: {sentence}")
    _retire(made, seen, {*versions, *problems}, partitions, busy)
    return made


def _retire(made: Plan, seen: Seen, files: set[str], partitions: set[str], busy: set[str]) -> None:
    """Plans what becomes of partitions that no catalogue file stands for any more."""
    gone = partitions - files
    if gone and not files:
        # What an unmounted disk looks like.
        made.warnings.append(
            "the catalogue holds no file at all, so no corpus is retired: BONITO_CORPORA may point"
            " at the wrong folder"
        )
        return
    made.seen.gone = sorted(gone)
    for name in made.seen.gone:
        if name not in seen.gone:
            # An editor or a checkout may take a file away for a moment: the next tick decides.
            made.lines.append(f"'{name}' has no catalogue file any more")
        elif name in busy:
            made.lines.append(f"'{name}' is retired when its run has ended")
        else:
            made.remove.append(name)
    made.seen.gone = [name for name in made.seen.gone if name not in made.remove]
    for name in made.remove:
        made.seen.reported.pop(name, None)
        made.lines.append(f"'{name}' is retired: its data stays until somebody deletes it")


def retired_event(name: str) -> dg.AssetObservation:
    """Gives the event that keeps in the history of `catalogue` that a corpus was retired."""
    return dg.AssetObservation(
        asset_key=inputs.CATALOGUE,
        description=f"corpus '{name}' is retired: its catalogue file is gone, its data stays",
        metadata={"retired": name},
    )


@dg.sensor(
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="A catalogue file that is added becomes a partition, what changes in one makes "
    "stale what reads it, and one that is removed retires its corpus.",
)
def catalogue_watch(
    context: dg.SensorEvaluationContext, catalogue: Catalogue
) -> dg.SensorResult | dg.SkipReason:
    """Follows the catalogue folder and the settings that name models."""
    try:
        valid, problems = read_catalogue(catalogue)
    except CatalogueError as error:
        return dg.SkipReason(f"nothing is changed: {error}")
    seen = Seen.model_validate_json(context.cursor) if context.cursor else Seen()
    settled = {name: inputs.setting_versions(corpus) for name, corpus in valid.items()}
    made = plan(
        seen,
        {name: digest(versions) for name, versions in settled.items()},
        problems,
        set(context.instance.get_dynamic_partitions(corpora.name)),
        corpora_under_way(context.instance),
    )
    made.seen.models = inputs.model_versions()
    events = [
        event
        for name in made.report
        for event in inputs.changes(context.instance, settled[name], name)
    ]
    if made.seen.models != seen.models:
        events += inputs.changes(context.instance, made.seen.models)
    events += [retired_event(name) for name in made.remove]
    for line in made.warnings:
        context.log.warning(line)
    for line in made.lines:
        context.log.info(line)
    requests = [corpora.build_add_request(made.add)] if made.add else []
    if made.remove:
        requests.append(corpora.build_delete_request(made.remove))
    said = [*made.warnings, *made.lines]
    if made.add or made.report:
        said.insert(0, f"new: {_named(made.add)}; settings reported: {_named(made.report)}")
    return dg.SensorResult(
        skip_reason="; ".join(said) or f"{len(valid)} corpora, nothing changed",
        dynamic_partitions_requests=requests,
        asset_events=events,
        cursor=made.seen.model_dump_json(),
    )


def _named(names: list[str]) -> str:
    return ", ".join(names) or "none"
