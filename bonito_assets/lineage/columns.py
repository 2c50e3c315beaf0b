"""Which columns each column is worked out from: the lineage that the UI and catalogues show.

It is written down once, as data beside the schemas of ``bonito_assets/tables.py``, because no
query of ours could be asked for it: the stages are programs. Tests hold it to the schemas and to
the arrows of the asset graph.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
import pyarrow as pa

from bonito_assets import tables
from bonito_assets.publishing.rows import MEANINGS, SCHEMA

# As the schemas of tables.py are: with what each column means. The files of a release have none.
_PUBLISHED = pa.schema([f.with_metadata({"meaning": MEANINGS[f.name]}) for f in SCHEMA])

# The schema of every asset that is a table, in the order in which data flows.
TABLES: Mapping[str, pa.Schema] = {
    **tables.SCHEMAS,
    "round_trips": tables.ROUND_TRIPS,
    "instruction_dataset": _PUBLISHED,
    "instruction_mixture": _PUBLISHED,
}

# Sources are `table.column`. None at all: the value is made in that stage, from the catalogue file,
# the model or the clock.
Sources = Mapping[str, tuple[str, ...]]


def _same(table: str, *columns: str) -> dict[str, tuple[str, ...]]:
    """Gives the entry of `columns` that are handed on from `table` as they are."""
    return {column: (f"{table}.{column}",) for column in columns}


_TEXT_AND_HEADINGS = ("documents.text", "documents.headings")
_IDS = ("corpus", "generation_id", "chunk_id")

_CHUNKS: Sources = {
    **_same("documents", "corpus", "doc_id", "uri", "text"),
    "chunk_id": ("documents.doc_id", "documents.text"),
    "position": _TEXT_AND_HEADINGS,
    "start_char": _TEXT_AND_HEADINGS,
    "end_char": _TEXT_AND_HEADINGS,
    "n_tokens": ("documents.text",),
    "units": _TEXT_AND_HEADINGS,
    "heading_path": _TEXT_AND_HEADINGS,
    "rejected_because": ("documents.text", "documents.rejected_because"),
}

_GENERATIONS: Sources = {
    **_same("chunks", "corpus", "chunk_id"),
    "generation_id": ("chunks.chunk_id", "chunks.text"),
    "request_key": ("chunks.text",),
    "task_type": ("chunks.units",),
    "sample": (),
    "output": ("chunks.text",),
    "finish_reason": ("chunks.text",),
    "prompt_tokens": ("chunks.text",),
    "output_tokens": ("chunks.text",),
    "mean_logprob": ("chunks.text",),
    "model": (),
    "model_fingerprint": (),
    "sampling": (),
    "task_name": ("chunks.units",),
    "run_id": (),
    "created_at": (),
    "rejected_because": ("chunks.text",),
}

_OUTPUT_IN_PASSAGE = ("generations.output", "chunks.text")

_TASKS: Sources = {
    **_same("generations", *_IDS, "task_type"),
    **_same("chunks", "doc_id"),
    "input": _OUTPUT_IN_PASSAGE,
    "output": _OUTPUT_IN_PASSAGE,
    "label": (*_OUTPUT_IN_PASSAGE, "generations.task_type"),
    "rejected_because": (
        *_OUTPUT_IN_PASSAGE,
        "generations.task_type",
        "generations.finish_reason",
        "generations.rejected_because",
    ),
}

_ROUND_TRIPS: Sources = {
    **_same("tasks", *_IDS),
    "request_key": ("tasks.input", "tasks.task_type", "tasks.rejected_because"),
    "answer": ("tasks.input",),
    "agreement": ("tasks.input", "tasks.output", "tasks.label"),
}

_ANSWER_IN_PASSAGE = ("tasks.output", "tasks.label", "chunks.text")
_COMPARED = ("tasks.input", "tasks.output", "tasks.label", "chunks.text")

_CURATED_TASKS: Sources = {
    **_same("tasks", *_IDS, "doc_id", "task_type", "input", "output", "label"),
    **_same("generations", "mean_logprob"),
    "input_chars": ("tasks.input",),
    "output_chars": ("tasks.output",),
    "passage_chars": ("chunks.text",),
    "lexical_overlap": _ANSWER_IN_PASSAGE,
    "extractive_coverage": _ANSWER_IN_PASSAGE,
    "extractive_density": _ANSWER_IN_PASSAGE,
    "repetition": ("tasks.output",),
    "round_trip": ("round_trips.agreement",),
    "template": ("tasks.input", "chunks.text"),
    "transductive": ("chunks.text",),
    "contaminated_by": ("tasks.input", "tasks.output", "chunks.text"),
    "duplicate_of": (*_COMPARED, "tasks.generation_id"),
    "rejected_because": (
        "tasks.rejected_because",
        *_COMPARED,
        "generations.mean_logprob",
        "round_trips.agreement",
    ),
}

_INSTRUCTION_DATASET: Sources = {
    **_same("curated_tasks", *_IDS, "doc_id", "task_type", "input", "output"),
    **_same("chunks", "start_char", "end_char"),
    "messages": ("curated_tasks.input", "curated_tasks.output"),
}

# Every table but the first, which is read from a source outside.
_FIRST = "documents"
COLUMNS: Mapping[str, Sources] = {
    "chunks": _CHUNKS,
    "generations": _GENERATIONS,
    "tasks": _TASKS,
    "round_trips": _ROUND_TRIPS,
    "curated_tasks": _CURATED_TASKS,
    "instruction_dataset": _INSTRUCTION_DATASET,
    "instruction_mixture": _same("instruction_dataset", *SCHEMA.names),
}


def column_lineage(table: str) -> dg.TableColumnLineage:
    """Gives for each column of `table` the columns of other assets that it is worked out from.

    Columns that are made in the stage itself are not in it, so that of `documents` is empty.
    Raises ``KeyError`` for a table that no asset makes.
    """
    sources = COLUMNS[table] if table != _FIRST else {}
    return dg.TableColumnLineage(
        {name: [_dep(source) for source in of_it] for name, of_it in sources.items() if of_it}
    )


def column_schema(table: str) -> dg.TableSchema:
    """Gives the columns of `table` with types, meanings and sources, as Dagster shows them.

    The sources stand in the description, since the open-source UI draws no lineage of columns.
    Raises ``KeyError`` for a table that no asset makes.
    """
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.type),
                description=_description(table, field),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in TABLES[table]
        ]
    )


def _description(table: str, field: pa.Field) -> str:
    meaning = field.metadata[b"meaning"].decode()
    sources = COLUMNS.get(table, {}).get(field.name)
    return f"{meaning} (from {', '.join(sources)})" if sources else meaning


def _dep(source: str) -> dg.TableColumnDep:
    table, column = source.split(".")
    return dg.TableColumnDep(asset_key=dg.AssetKey(table), column_name=column)
