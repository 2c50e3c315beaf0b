"""Asks the model for what is missing, and only for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass

from bonito_assets.generation.bill import Bill
from bonito_assets.generation.canaries import canaries
from bonito_assets.generation.requests import Plan
from bonito_assets.parsing.bonito_output import upstream
from bonito_assets.progress import Progress
from resources import model_checks
from resources.generation_cache import CacheWriter, Found, GenerationCache
from resources.generator import Generator, GeneratorError, Log, Outcome, Request, Session


@dataclass(frozen=True)
class Generated:
    """A plan of which every entry has an output in the cache, a refusal, or no budget left."""

    plan: Plan
    found: Found
    refusals: dict[str, str]
    stopped_by: str | None = None


# Gives a plan that calls for more than what was generated, or None when that is enough.
Widen = Callable[[Generated], Plan | None]


def generate(
    plan: Plan,
    found: Found,
    generator: Generator,
    cache: GenerationCache,
    bill: Bill,
    log: Log,
    widen: Widen = lambda generated: None,
    run_id: str | None = None,
) -> Generated:
    """Gives an output or a reason for every entry of the plan, and of what `widen` makes of it.

    `found` is what the cache holds of the plan; that is not asked for again. What is generated is
    in the cache, as paid for by the run `run_id`, within 128 results or five seconds, so that a
    crash costs no more than that.
    Raises ``ModelError`` for a model that is not sane and ``GeneratorError`` for a backend that is
    beyond help.
    """
    generated = Generated(plan, found, refusals={})
    with _Engine(generator, plan, bill, log) as engine:
        while True:
            missing = int(generated.found.missing.sum()) - len(generated.refusals)
            log(
                f"{len(plan):,} outputs called for: {int(generated.found.present.sum()):,} in the "
                f"cache, {missing:,} to generate"
            )
            if missing > 0:
                if bill.cap_reached() is None:
                    with cache.writer(run_id) as writer:
                        _ask(generated, missing, engine.session(), writer, bill, log)
                found = generated.found.again()
                generated = Generated(plan, found, generated.refusals, bill.cap_reached())
            wider = widen(generated) if generated.stopped_by is None else None
            if wider is None:
                return generated
            plan = wider
            generated = Generated(plan, cache.find(plan.key_batches()), generated.refusals)


class _Engine(AbstractContextManager["_Engine"]):
    """A session that is opened when it is first needed, behind the checks of the model."""

    def __init__(self, generator: Generator, plan: Plan, bill: Bill, log: Log) -> None:
        self._generator, self._plan, self._bill, self._log = generator, plan, bill, log
        self._stack = ExitStack()
        self._session: Session | None = None

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def session(self) -> Session:
        if self._session is None:
            for warning in model_checks.check(self._plan.model, self._log):
                self._log(f"warning: {warning}")
            self._log("starting the engine")
            self._session = self._stack.enter_context(self._generator.open(self._log))
            self._stack.enter_context(self._bill.running(self._session))
            model_checks.canaries(self._session, canaries(self._plan.corpus))
        return self._session


def _ask(
    generated: Generated,
    missing: int,
    session: Session,
    writer: CacheWriter,
    bill: Bill,
    log: Log,
) -> None:
    """Puts what the session makes of the missing requests into the cache, or into `refusals`."""
    plan, refusals = generated.plan, generated.refusals
    task_types: dict[str, str] = {}  # of the requests under way, by key

    def requests() -> Iterator[Request]:
        found = generated.found
        for place, (entry, is_missing) in enumerate(zip(plan, found.missing, strict=True)):
            if not is_missing:
                continue
            [key] = found.keys(place, place + 1)
            if key in refusals:
                continue
            if bill.cap_reached() is not None:
                return
            task_types[key] = entry.task_type
            yield plan.request(entry, key)

    progress = Progress("generated", missing, log, also=lambda: _rates(bill))
    with closing(session.generate(requests())) as outcomes:
        for outcome in outcomes:
            task_type = task_types.pop(outcome.key)
            if outcome.output is not None:
                bill.add(outcome, kept=_is_kept(outcome))
            # What the engine died of is not tried again at every refresh; what a check can
            # foresee costs nothing to refuse again.
            if outcome.output is not None or outcome.rejected_because == "engine_error":
                writer.add(
                    outcome,
                    model=plan.model.fingerprint,
                    task_type=task_type,
                    sampling=plan.sampling[task_type],
                )
            else:
                refusals[outcome.key] = outcome.rejected_because
            progress.advance()
    if task_types:
        # Else a cap in the budget would be given as the reason for rows that a backend lost.
        raise GeneratorError(f"the backend gave no answer to {len(task_types):,} requests")


def _is_kept(outcome: Outcome) -> bool:
    """Tells whether an output has Bonito's format; what later stages refuse is not known yet."""
    if outcome.finish_reason != "stop":
        return False
    return upstream(outcome.output, "").rejected_because is None


def _rates(bill: Bill) -> str:
    seconds = max(bill.seconds - bill.start_seconds, 1e-9)
    kept = bill.kept / bill.generated if bill.generated else 0.0
    return (
        f"{bill.output_tokens / seconds:,.0f} output tokens/s, "
        f"{bill.tokens / seconds:,.0f} in all, {kept:.0%} kept so far"
    )
