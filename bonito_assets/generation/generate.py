"""Asks the model for what is missing, and only for that."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bonito_assets.generation.requests import Planned
from bonito_assets.progress import Progress
from resources.generation_cache import GenerationCache
from resources.generator import Generator, Request, Sampling


@dataclass(frozen=True)
class Generated:
    """The outputs of a plan by request key, and what they cost."""

    outputs: dict[str, dict[str, Any]]
    refusals: dict[str, str]
    reused: int
    paid: int
    output_tokens: int
    seconds: float


def generate(
    planned: Sequence[Planned],
    generator: Generator,
    cache: GenerationCache,
    sampling: Sampling,
    log: Callable[[str], None],
) -> Generated:
    """Gives an output or a refusal for every planned entry.

    What the cache holds is not asked for again; what is generated is in the cache within 256
    results or five seconds, so that a crash costs no more than that.
    """
    prompts = {entry.request_key: entry.prompt for entry in planned}
    known = {row["key"] for row in cache.look_up(list(prompts)).select(["key"]).to_pylist()}
    missing = [Request(key, text) for key, text in prompts.items() if key not in known]
    log(f"{len(prompts):,} outputs called for: {len(known):,} cached, {len(missing):,} to generate")
    refusals: dict[str, str] = {}
    tokens = 0
    started = time.monotonic()
    if missing:
        log("starting the engine")
        progress = None
        with generator.open() as session, cache.writer() as writer:
            for outcome in session.generate(missing, sampling):
                # From the first result on: the start of the engine says nothing about the rate.
                progress = progress or Progress("generated", len(missing), log)
                if outcome.rejected_because is not None:
                    refusals[outcome.key] = outcome.rejected_because
                else:
                    writer.add(outcome)
                    tokens += outcome.output_tokens or 0
                progress.advance()
    outputs = {row["key"]: row for row in cache.look_up(list(prompts)).to_pylist()}
    return Generated(
        outputs,
        refusals,
        len(known),
        len(missing) - len(refusals),
        tokens,
        time.monotonic() - started,
    )
