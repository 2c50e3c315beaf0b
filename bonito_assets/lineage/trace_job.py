"""The job `trace_row`: `bonito trace` for those who live in the Dagster UI."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from bonito_assets.lineage.trace import MOST_LISTED, Trace, TraceError, trace
from bonito_assets.metadata import capped, cell, markdown_table
from resources.store import Store

# Of one text; what is longer is whole in `bonito trace`. Metadata goes into Dagster's event log,
# which is no place for books.
_TEXT_CHARS = 2000


class TraceConfig(dg.Config):
    """What to trace."""

    id: str = Field(
        description="a generation_id, chunk_id, doc_id or request_key, or its first 8 digits"
    )


@dg.op(out=dg.Out(dg.Nothing))
def trace_id(context: dg.OpExecutionContext, config: TraceConfig, store: Store) -> None:
    """Shows where a row comes from, or what came of a document, as metadata of this step."""
    try:
        found = trace(store, config.id, MOST_LISTED)
    except TraceError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    context.log.info(f"{found.kind} {found.id} of corpus {found.corpus}")
    context.add_output_metadata(trace_metadata(found))


@dg.job(description="Where one row comes from, or what came of a document: the way back and forth.")
def trace_row() -> None:
    """Runs the one op; its config holds the id."""
    trace_id()


def trace_metadata(found: Trace) -> dict[str, Any]:
    """Gives a trace as metadata: tables for people, escaped and capped, and the whole as JSON."""
    shown: dict[str, Any] = {"kind": found.kind, "id": found.id, "corpus": found.corpus or "none"}
    for name in ("row", "generation", "passage", "document"):
        part = getattr(found, name)
        if part is not None:
            shown[name] = _table(
                [{"what": k, "value": v} for k, v in part.items() if v is not None]
            )
    for name in ("passages", "rows", "gone"):
        listed = getattr(found, name)
        if listed is not None:
            shown[f"number of {name}"] = listed.total
            shown[name] = _table(listed.shown)
    for name in ("verdicts", "releases", "models"):
        if getattr(found, name):
            shown[name] = _table(getattr(found, name))
    if found.generation is not None and found.generation["run_path"]:
        shown["run"] = dg.MetadataValue.dagster_run(found.generation["run_id"])
    if found.notes:
        shown["notes"] = dg.MetadataValue.md("\n".join(f"- {cell(note)}" for note in found.notes))
    shown["trace"] = dg.MetadataValue.json(_shortened(found.as_json()))
    return capped(shown)


def _table(rows: list[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(markdown_table(rows))


def _shortened(value: Any) -> Any:
    """Gives `value` with every text in it cut to its first characters."""
    if isinstance(value, str):
        return value if len(value) <= _TEXT_CHARS else value[:_TEXT_CHARS] + "…"
    if isinstance(value, dict):
        return {key: _shortened(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_shortened(entry) for entry in value]
    return value
