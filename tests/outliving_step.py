"""A run whose step outlives it: its run worker is killed, and nothing ends the step.

``python outliving_step.py FOLDER NAME`` runs it. The step claims the corpus, makes the file
``NAME.claimed`` and waits for ``NAME.go``; then it publishes a table that says NAME.
"""

import sys
import time
from pathlib import Path

import dagster as dg
import pyarrow as pa

from resources import store as store_module
from resources.store import Store

ROWS = 1000


class Setting(dg.Config):
    """Where it happens, and what is written."""

    folder: str
    name: str


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["demo"]))
def chunks(config: Setting, store: Store) -> None:
    """Publishes one table."""
    store.exists("chunks", "demo")
    folder = Path(config.folder)
    (folder / f"{config.name}.claimed").touch()
    while not (folder / f"{config.name}.go").exists():
        time.sleep(0.05)
    store.write("chunks", "demo", pa.table({"by": [config.name] * ROWS}))


def job(folder: str) -> dg.JobDefinition:
    """Gives the job whose steps are not ended with their run worker."""
    store_module.end_with_run_worker = lambda: None
    definitions = dg.Definitions(
        assets=[chunks],
        jobs=[dg.define_asset_job("write", selection=[chunks])],
        resources={"store": Store(root=f"{folder}/data")},
    )
    return definitions.resolve_job_def("write")


def main() -> None:
    """Runs the job as a run worker does; ends with 0 when it went well."""
    folder, name = sys.argv[1:]
    config = {"ops": {"chunks": {"config": {"folder": folder, "name": name}}}}
    with (
        dg.DagsterInstance.from_config(f"{folder}/home") as instance,
        dg.execute_job(
            dg.build_reconstructable_job(
                "outliving_step",
                "job",
                (folder,),
                reconstructor_working_directory=str(Path(__file__).parent),
            ),
            instance=instance,
            run_config=config,
            tags={"dagster/partition": "demo", "name": name},
        ) as result,
    ):
        sys.exit(not result.success)


if __name__ == "__main__":
    main()
