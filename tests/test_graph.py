"""The whole graph as a person reviews it, in `graph.txt`: what changes in it shows in a diff.

``UPDATE_GRAPH=1 pytest tests/test_graph.py`` writes the file anew.
"""

import os
import re
from graphlib import TopologicalSorter
from pathlib import Path

import dagster as dg
import pytest

from bonito_assets.definitions import defs

GRAPH = Path(__file__).with_name("graph.txt")


@pytest.fixture(scope="module")
def definitions():
    return defs()


def test_the_graph_is_the_reviewed_one(definitions):
    found = written_out(definitions)
    if os.environ.get("UPDATE_GRAPH"):
        GRAPH.write_text(found, encoding="utf-8")
    assert found == GRAPH.read_text(encoding="utf-8"), (
        "the graph has changed: look how, and keep it by UPDATE_GRAPH=1 pytest tests/test_graph.py"
    )


def test_assets_are_defined_in_the_order_of_lineage(definitions):
    graph = definitions.resolve_asset_graph()
    made = [asset.key for asset in definitions.assets if isinstance(asset, dg.AssetsDefinition)]
    place = {key: number for number, key in enumerate(made)}
    for key in made:
        parents = [place[parent] for parent in graph.get(key).parent_keys if parent in place]
        assert all(parent < place[key] for parent in parents), key


def test_every_stage_teaches_what_it_is_in_a_paragraph(definitions):
    for spec in _stages(definitions):
        first, _, rest = spec.description.partition("\n\n")
        sentences = 1 + len(re.findall(r"[.:;?]\s", rest + " "))
        assert 3 <= sentences <= 12, spec.key
        assert "\n" not in first, spec.key


def test_every_stage_is_tagged_by_what_it_does_and_needs(definitions):
    graph = definitions.resolve_asset_graph()
    for spec in _stages(definitions):
        assert spec.tags["stage"] in {"text", "generation", "judgement", "release", "training"}
        assert (spec.tags["device"] == "gpu") == (graph.get(spec.key).pools == {"gpu"}), spec.key
        assert spec.owners and spec.kinds and spec.code_version, spec.key


def test_every_stage_points_at_the_lines_that_make_it(definitions):
    for spec in _stages(definitions):
        [place] = spec.metadata["dagster/code_references"].code_references
        lines = Path(place.file_path).read_text(encoding="utf-8").splitlines()
        below = "\n".join(lines[place.line_number - 1 :]).partition("\ndef ")[2]
        assert below.startswith(f"{spec.key.to_user_string()}("), spec.key


def _stages(definitions):
    specs = definitions.resolve_all_asset_specs()
    return [spec for spec in specs if spec.group_name != "catalogue"]


def written_out(definitions):
    """Gives assets in the order of lineage with their checks, then jobs, schedules and sensors."""
    graph = definitions.resolve_asset_graph()
    # Sorted twice, since sets of keys have another order in each process.
    keys = {key: sorted(graph.get(key).parent_keys) for key in sorted(graph.get_all_asset_keys())}
    lines = ["ASSETS", ""]
    for key in TopologicalSorter(keys).static_order():
        lines += [*_asset(graph, key), ""]
    lines += ["JOBS", ""]
    for job in sorted(definitions.resolve_all_job_defs(), key=lambda job: job.name):
        if not job.name.startswith("__"):
            lines.append(f"{job.name}: {', '.join(_steps(job))}")
    lines += ["", "SCHEDULES", ""]
    for schedule in sorted(definitions.schedules or [], key=lambda schedule: schedule.name):
        cron, status = schedule.cron_schedule, schedule.default_status.value
        lines.append(f"{schedule.name}: {cron} starts {schedule.job_name}, {status}")
    lines += ["", "SENSORS", ""]
    for sensor in sorted(definitions.sensors or [], key=lambda sensor: sensor.name):
        interval, status = sensor.minimum_interval_seconds, sensor.default_status.value
        lines.append(f"{sensor.name}: every {interval} s, {status}")
    return "\n".join(lines) + "\n"


def _asset(graph, key):
    node = graph.get(key)
    condition = node.automation_condition
    facts = {
        "after": sorted(parent.to_user_string() for parent in node.parent_keys),
        "kinds": sorted(node.kinds),
        "owners": sorted(node.owners),
        "tags": sorted(f"{k}={v}" for k, v in node.tags.items() if not k.startswith("dagster/")),
        "pool": sorted(node.pools or []),
        "partitions": [node.partitions_def.name] if node.partitions_def else [],
        "automation": [condition.get_label() or str(condition)] if condition else [],
        "freshness": ["yes"] if node.freshness_policy else [],
    }
    outside = "" if node.is_materializable else " (outside)"
    checks = sorted(k for k in graph.asset_check_keys if k.asset_key == key)
    return [
        f"{node.group_name} / {key.to_user_string()}{outside}",
        *(f"  {name}: {', '.join(values)}" for name, values in facts.items() if values),
        *(f"  check {check.name}: {_weight(graph.get(check))}" for check in checks),
    ]


def _weight(check):
    each = "for each corpus" if check.partitions_def else "once"
    return f"{'stops the run' if check.blocking else 'warns'}, {each}"


def _steps(job):
    assets = sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)
    return assets or sorted(node.name for node in job.nodes)
