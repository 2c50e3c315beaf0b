"""Health of the installation: `doctor`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

# Nothing that is in order takes a second; what takes ten does not work for a refresh either.
_SECONDS = 15.0


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per finding.")] = False,
) -> None:
    """Look at everything that a refresh needs, and say what to do where something is wrong.

    Packages, card, settings, models, corpora, data, disk, Dagster and network. Ends with 1 if
    there is a problem; a warning is none.
    """
    from bonito_assets.operations.doctor import checks
    from bonito_assets.operations.findings import PROBLEM, examine

    problems = 0
    topic = None
    for finding in examine(checks(), _SECONDS):
        problems += finding.level == PROBLEM
        if as_json:
            typer.echo(json.dumps(asdict(finding), ensure_ascii=False))
            continue
        # What a library says of a damaged file has several lines.
        sentence = " ".join(finding.sentence.split())
        typer.echo(
            f"{'' if finding.topic == topic else finding.topic:<14}{finding.level:<8} {sentence}"
        )
        if finding.remedy:
            typer.echo(f"{'':<23}what to do: {finding.remedy}")
        topic = finding.topic
    if problems:
        typer.echo(f"bonito: {problems} problems", err=True)
        sys.exit(1)
