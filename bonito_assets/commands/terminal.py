"""How a command speaks: one sentence for an error, and nothing that libraries print."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn, TextIO

import typer

from resources.secrets import scrub

if TYPE_CHECKING:
    from bonito_assets.runs import Followed

Name = Annotated[str, typer.Argument(help="Name of the corpus: the stem of its catalogue file.")]


def reporter(terminal: TextIO, started: float) -> Callable[[str, str], None]:
    """Gives what prints a line of a run with the seconds since `started`."""

    def report(step: str, line: str) -> None:
        seconds = time.monotonic() - started
        print(f"{seconds:7.1f} s  {step:<20} {line}", file=terminal, flush=True)

    return report


def fail_with(followed: Followed) -> None:
    """Ends the command, with the causes, if the run did not go well."""
    if followed.failures or not followed.success:
        for step, cause in followed.failures.items():
            typer.echo(f"\n{step} failed: {cause}", err=True)
        fail(f"run {followed.run_id} failed; its log is in the UI (make ui)")


@contextmanager
def only_ours_on_the_terminal() -> Iterator[TextIO]:
    """Hands out the terminal; what libraries print in any process of the run stays off it.

    Dagster keeps each step's own output, so nothing is lost: the UI shows it under the run.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        with os.fdopen(os.dup(saved[0]), "w", encoding="utf-8") as terminal:
            yield terminal
    finally:
        for target, source in zip((1, 2), saved, strict=True):
            os.dup2(source, target)
            os.close(source)
        os.close(silence)


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Ends the command with what an error says, where a person can put it right."""
    from bonito_assets.runs import KNOWN_ERRORS

    try:
        yield
    except KNOWN_ERRORS as error:
        fail(str(error))


def fail(sentence: str) -> NoReturn:
    """Ends the command with 1 and `sentence`, without the secrets that it may quote."""
    typer.echo(f"bonito: {scrub(sentence)}", err=True)
    sys.exit(1)
