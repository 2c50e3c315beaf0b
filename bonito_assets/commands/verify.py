"""Checksums: `verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from bonito_assets.commands.terminal import fail, one_sentence_errors


def verify(
    corpora: Annotated[
        list[str] | None, typer.Argument(help="Names of corpora; without, all that is there.")
    ] = None,
) -> None:
    """Compare every published file with its checksum: tables, releases, models, reports, cache.

    Ends with 0 only if each is what was published. Changes nothing.
    """
    from bonito_assets import runs, settings
    from bonito_assets.operations.verify import verify as verify_files
    from resources.store import Store

    with one_sentence_errors():
        catalogue = runs.catalogue()
        names = [catalogue.corpus(name).name for name in corpora] if corpora else None
        report = verify_files(Store(root=settings.data_root()), names)
        for problem in report.problems:
            typer.echo(f"{problem.place}: {problem.sentence}\n  what to do: {problem.remedy}")
        typer.echo(f"{report.files:,} files with {report.bytes:,} bytes were compared")
        if report.unstamped:
            told = f"{len(report.unstamped)} of them were made before there were checksums"
            typer.echo(f"{told}, such as {report.unstamped[0]}: their next refresh writes them")
        if report.problems:
            fail(f"{len(report.problems)} files are not what was published")
