"""Releases and models: `diff`, `push`, `export`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from bonito_assets.commands.terminal import Name, one_sentence_errors, only_ours_on_the_terminal


def diff(
    corpus: Name,
    old: Annotated[str | None, typer.Argument(help="A version, or its first digits.")] = None,
    new: Annotated[str | None, typer.Argument(help="Default: the newest release.")] = None,
    rows: Annotated[int, typer.Option(help="Show at most this many of each change.", min=0)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show what came, went and changed between two releases, and why; without OLD the last two.

    Reasons are those of the tables as they are now.
    """
    from rich.console import Console

    from bonito_assets import settings
    from bonito_assets.publishing.difference import difference
    from bonito_assets.publishing.publish import DATASET
    from bonito_assets.publishing.terminal import show_difference
    from resources.store import Store

    with one_sentence_errors():
        store = Store(root=settings.data_root())
        found = difference(store, DATASET, corpus, old, new, rows)
        if as_json:
            typer.echo(json.dumps(found.as_json(), ensure_ascii=False))
        else:
            # Away from a terminal rows must not be broken at 80 columns.
            show_difference(Console(width=None if sys.stdout.isatty() else 140), found)


def push(corpus: Name) -> None:
    """Put the newest release on the Hugging Face hub, as 'publish.hub' in the catalogue says.

    Needs a token that may write in HF_TOKEN. Nothing else ever sends a release anywhere.
    """
    from bonito_assets import runs, settings
    from bonito_assets.publishing.hub import push_release
    from resources.store import Store

    with one_sentence_errors():
        settled = runs.catalogue().corpus(corpus)
        typer.echo(push_release(Store(root=settings.data_root()), settled))


def export(
    corpus: Name,
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    arm: Annotated[str, typer.Option(help="bonito, or another of tuning.arms.")] = "bonito",
    small: Annotated[
        bool, typer.Option("--small", help="The base's precision, not float32: half the size.")
    ] = False,
) -> None:
    """Save the tuned model of a corpus as a whole model: base and adapter merged, safetensors."""
    from bonito_assets import settings
    from bonito_assets.tuning.arms import published_arm
    from bonito_assets.tuning.base_model import BaseModel
    from bonito_assets.tuning.export import export as export_merged
    from resources.store import Store

    with one_sentence_errors(), only_ours_on_the_terminal() as terminal:
        adapter = published_arm(Store(root=settings.data_root()), corpus, arm)
        base = BaseModel(name=settings.base_model()).resolve()
        export_merged(adapter, base, folder, small)
        print(f"wrote {folder}: {base.name} tuned for '{corpus}'", file=terminal)
