"""Whether a published arm is still what tuning would make, so that it is not paid for twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bonito_assets.tuning.record import RECORD, adapter_digest, read_record
from resources.model import ADAPTER_CONFIG

# Laid on top of a published model by whoever knows that none of its arms may be kept: a document
# that they learned from was forgotten.
STALE = "stale.json"


def arm_folder(folder: Path, arm: str) -> Path:
    """Gives where an arm lies in a published model: ``bonito`` on top, others under ``arms``."""
    return folder if arm == "bonito" else folder / "arms" / arm


def arms_of(folder: Path) -> set[str]:
    """Gives the names of the arms that a published model holds."""
    return {"bonito", *(path.parent.name for path in folder.glob(f"arms/*/{RECORD}"))}


def causes_to_tune(
    published: Path | None, made_from: Mapping[str, Mapping[str, Any]], again: bool = False
) -> dict[str, str | None]:
    """Gives why each arm has to be tuned, None for one that is published as it would come out.

    `made_from` holds the inputs of each arm (``record.inputs``). With `again` all are to be tuned.
    """
    if again:
        return dict.fromkeys(made_from, "that was asked for")
    if published is None:
        return dict.fromkeys(made_from, "there is no model yet")
    if (published / STALE).exists():
        return dict.fromkeys(made_from, "a document that it may have learned from was forgotten")
    return {arm: _cause(arm_folder(published, arm), given) for arm, given in made_from.items()}


def _cause(place: Path, inputs: Mapping[str, Any]) -> str | None:
    """Gives why the arm that is made from `inputs` is not the one in `place`, None where it is.

    A record that lacks one of the inputs was written before that counted, so it has changed.
    """
    if not (place / RECORD).exists():
        return "there is no such arm yet"
    try:
        record = read_record(place)
        if adapter_digest(place) != record.get("adapter_sha256"):
            return "its weights are not those that were published"
    except (OSError, ValueError) as error:
        return f"what was published is damaged ({error})"
    if not (place / ADAPTER_CONFIG).exists():
        return f"what was published has lost its {ADAPTER_CONFIG}"
    for name, value in inputs.items():
        # A dataset that names no version may have changed in any way.
        if value is None or record.get(name) != value:
            return f"its {name.replace('_', ' ')} changed"
    return None
