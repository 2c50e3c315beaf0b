"""The code location: every asset, check, job, sensor and resource, on one screen."""

from __future__ import annotations

import dagster as dg

from bonito_assets import settings
from bonito_assets.automation import alerts, inputs, jobs
from bonito_assets.automation.catalogue_watch import catalogue_watch
from bonito_assets.automation.cron import refresh_on_schedule
from bonito_assets.automation.health import corpora_are_healthy
from bonito_assets.automation.renewal import renewal
from bonito_assets.automation.source_watch import source_watch
from bonito_assets.bonito_training.assets import bonito_checkpoint, ctga
from bonito_assets.catalogue import Catalogue
from bonito_assets.chunking.assets import chunks
from bonito_assets.curation.assets import curated_tasks, round_trips
from bonito_assets.evaluation.assets import evaluation
from bonito_assets.generation.assets import bonito_model, generations
from bonito_assets.ingestion.assets import documents
from bonito_assets.lineage import openlineage
from bonito_assets.lineage.forget.job import forget_documents
from bonito_assets.lineage.trace_job import trace_row
from bonito_assets.metadata import with_code
from bonito_assets.operations.verify_job import nightly_verification, verify_files
from bonito_assets.parsing.assets import tasks
from bonito_assets.publishing.assets import instruction_dataset, instruction_mixture
from bonito_assets.tuning.assets import mixture_model, tuned_model
from bonito_assets.tuning.base_model import BaseModel
from resources.store import Store


@dg.definitions
def defs() -> dg.Definitions:
    """Gives everything that Dagster knows of this project."""
    return dg.Definitions(
        assets=[
            *inputs.external_assets(),
            *with_code(
                [
                    documents,
                    bonito_model,
                    chunks,
                    generations,
                    tasks,
                    round_trips,
                    curated_tasks,
                    instruction_dataset,
                    instruction_mixture,
                    tuned_model,
                    mixture_model,
                    evaluation,
                    ctga,
                    bonito_checkpoint,
                ]
            ),
        ],
        jobs=[*jobs.jobs, forget_documents, trace_row, verify_files],
        asset_checks=[corpora_are_healthy],
        schedules=[*jobs.schedules, nightly_verification],
        sensors=[
            catalogue_watch,
            source_watch,
            renewal,
            refresh_on_schedule,
            *alerts.sensors(),
            *openlineage.sensors(),
        ],
        resources={
            "catalogue": Catalogue(folder=str(settings.corpora_folder())),
            "store": Store(root=settings.data_root()),
            "generator": settings.generator(),
            "base_model": BaseModel(name=settings.base_model()),
        },
    )
