"""The code location: every asset, check, job and resource, on one screen."""

from __future__ import annotations

import dagster as dg

from bonito_assets import settings
from bonito_assets.automation import jobs
from bonito_assets.bonito_training.assets import bonito_checkpoint, ctga
from bonito_assets.catalogue import Catalogue
from bonito_assets.chunking.assets import chunks
from bonito_assets.curation.assets import curated_tasks, round_trips
from bonito_assets.evaluation.assets import evaluation
from bonito_assets.generation.assets import bonito_model, generations
from bonito_assets.ingestion.assets import documents
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
            documents,
            chunks,
            bonito_model,
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
        ],
        jobs=jobs.jobs,
        resources={
            "catalogue": Catalogue(folder=str(settings.corpora_folder())),
            "store": Store(root=settings.data_root()),
            "generator": settings.generator(),
            "base_model": BaseModel(name=settings.base_model()),
        },
    )
