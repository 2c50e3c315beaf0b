"""The `bonito` command: what the Dagster UI does, from a terminal."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from bonito_assets.commands import doctor, forget, query, refresh, release, trace, verify
from resources.secrets import guard_process

app = typer.Typer(
    help="Turn text that nobody has labelled into an instruction-tuned, evaluated model.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (
    refresh.run,
    refresh.mix,
    refresh.register,
    refresh.status,
    refresh.check,
    query.sql,
    trace.trace,
    forget.forget,
    verify.verify,
    doctor.doctor,
    release.diff,
    release.push,
    release.export,
    refresh.paper,
):
    app.command()(command)


def main() -> None:
    """Runs the command; an error that a person can put right ends in one sentence."""
    from dotenv import load_dotenv

    # As dg does; what is set already stays. (`settings` would take a second to import.)
    load_dotenv(Path(__file__).parents[1] / ".env")
    guard_process()
    _fix_relative_settings()
    # dg's own usage events are not covered by dagster.yaml.
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    app()


def _fix_relative_settings() -> None:
    """Sets relative places against the folder that the command was typed in.

    A run works from the project's folder, where Dagster keeps its history.
    """
    for setting in ("BONITO_DATA", "BONITO_CORPORA", "BONITO_MODEL", "BONITO_BASE_MODEL"):
        place = os.environ.get(setting)
        names_a_folder = setting in ("BONITO_DATA", "BONITO_CORPORA")
        if (
            place
            and "://" not in place
            and (names_a_folder or place[0] in "./~" or Path(place).is_dir())
        ):
            os.environ[setting] = str(Path(place).expanduser().absolute())
