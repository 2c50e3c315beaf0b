"""What a refresh costs: counted while it runs, capped, and written down for the next estimate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from bonito_assets import tables
from bonito_assets.catalogue import Budget
from resources.generator import Outcome, Session
from resources.model import Model
from resources.store import Store

TABLE = "generation_bills"
# Of how many earlier bills the rate is the mean.
_RECENT = 5


@dataclass
class Bill:
    """Tokens, seconds and money so far, and whether the budget allows for more."""

    budget: Budget
    price_per_gpu_hour: float
    generated: int = 0
    kept: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    start_seconds: float = 0.0
    _session: Session | None = None
    _seconds_before: float = 0.0
    _since: float | None = None

    @contextmanager
    def running(self, session: Session) -> Iterator[None]:
        """Counts the seconds of the block, each times the session's cards."""
        self._session, self._since = session, time.monotonic()
        try:
            yield
        finally:
            self._seconds_before, self._since = self.seconds, None

    def add(self, outcome: Outcome, kept: bool) -> None:
        """Counts one answer of the model."""
        if not self.generated:
            self.start_seconds = self.seconds
        self.generated += 1
        self.kept += kept
        self.prompt_tokens += outcome.prompt_tokens or 0
        self.output_tokens += outcome.output_tokens or 0

    @property
    def tokens(self) -> int:
        """Gives the tokens read and written."""
        return self.prompt_tokens + self.output_tokens

    @property
    def seconds(self) -> float:
        """Gives the seconds with a session open, the start of the engine included."""
        under_way = 0.0 if self._since is None else time.monotonic() - self._since
        return self._seconds_before + under_way

    @property
    def cards(self) -> int:
        """Gives the accelerators in use; an engine tells only once it runs."""
        return self._session.cards if self._session else 0

    @property
    def gpu_seconds(self) -> float:
        """Gives the seconds times the accelerators that they occupied."""
        return self.seconds * self.cards

    @property
    def money(self) -> float:
        """Gives what the seconds cost; 0 without a price."""
        return self.gpu_seconds / 3600 * self.price_per_gpu_hour

    @property
    def money_per_thousand_kept(self) -> float | None:
        """Gives the price of a thousand rows that Bonito's format was kept in."""
        return self.money / self.kept * 1000 if self.kept and self.money else None

    def cap_reached(self) -> str | None:
        """Gives the cap of the budget that has been reached, as a sentence, or None."""
        for name, cap in self.budget.caps.items():
            if (spent := getattr(self, name)) >= cap:
                return f"budget.{name} of {cap:,} is reached ({spent:,.6g} spent)"
        return None

    def sentence(self) -> str:
        """Gives the bill for people."""
        text = (
            f"{self.prompt_tokens:,} prompt and {self.output_tokens:,} output tokens in "
            f"{self.gpu_seconds:,.0f} GPU seconds ({self.start_seconds:,.0f} s until the first "
            "result)"
        )
        if self.price_per_gpu_hour:
            text += f", {self.money:,.2f} at {self.price_per_gpu_hour:g} per GPU hour"
        if self.money_per_thousand_kept is not None:
            text += f", {self.money_per_thousand_kept:,.3f} per thousand kept rows"
        return text

    def metadata(self, stopped_by: str | None) -> dict[str, int | float | str]:
        """Gives the bill as it stands beside the asset in the UI."""
        seconds = max(self.seconds - self.start_seconds, 1e-9)
        found: dict[str, int | float | str] = {
            "generated": self.generated,
            "prompt tokens": self.prompt_tokens,
            "output tokens": self.output_tokens,
            "GPU seconds": round(self.gpu_seconds, 1),
            "outputs per second": round(self.generated / seconds, 1),
            "output tokens per second": round(self.output_tokens / seconds),
        }
        if self.price_per_gpu_hour:
            found["cost"] = round(self.money, 4)
        if self.money_per_thousand_kept is not None:
            found["cost per thousand kept rows"] = round(self.money_per_thousand_kept, 4)
        if stopped_by is not None:
            found["stopped by"] = stopped_by
        return found


def write_down(store: Store, corpus: str, run_id: str, model: Model, bill: Bill) -> None:
    """Adds a row to `generation_bills`; a refresh that generated nothing leaves none."""
    if not bill.generated:
        return
    row = {
        "corpus": corpus,
        "run_id": run_id,
        "created_at": datetime.now(UTC),
        "model": model.label,
        "generated": bill.generated,
        "prompt_tokens": bill.prompt_tokens,
        "output_tokens": bill.output_tokens,
        "start_gpu_seconds": bill.start_seconds * bill.cards,
        "gpu_seconds": bill.gpu_seconds,
        "money": bill.money,
    }
    bills = pa.Table.from_pylist([row], schema=tables.GENERATION_BILLS)
    if store.exists(TABLE, corpus):
        bills = pa.concat_tables([store.read(TABLE, corpus), bills])
    store.write(TABLE, corpus, bills)


@dataclass(frozen=True)
class Rate:
    """How fast a model was in earlier refreshes."""

    tokens_per_gpu_second: float
    start_gpu_seconds: float


def rate(store: Store, model: Model) -> Rate | None:
    """Gives the mean of the last bills of this model, over all corpora; None without any."""
    if TABLE not in store.tables():
        return None
    with store.reader() as connection:
        found = connection.execute(
            """
            select sum(prompt_tokens + output_tokens) / sum(gpu_seconds - start_gpu_seconds),
                   avg(start_gpu_seconds)
            from (
                from generation_bills where model = ? and generated >= 32
                order by created_at desc limit ?
            ) having count(*) > 0 and sum(gpu_seconds - start_gpu_seconds) > 0
            """,
            [model.label, _RECENT],
        ).fetchall()
    return Rate(*found[0]) if found else None
