"""The bill of a release: what its rows cost in tokens, engine seconds and money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resources.store import Store

_ITEMS = ("generated", "prompt_tokens", "output_tokens", "gpu_seconds", "money")

Spent = dict[str, float]


def bill(store: Store, corpus: str, rows: int, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Gives the bill of a release of `rows` rows; `before` is the bill of the release before.

    ``total`` is all that the corpus has cost until now, ``since`` the part that came after the
    release before, ``per_row`` the total spread over the rows. Rows that other refreshes left in
    the cache cost nothing again, so the total is what a row stands for. ``money`` is in the
    currency of the price per GPU hour, 0 without one.
    """
    total = _total(store, corpus)
    earlier = before["total"] if before else dict.fromkeys(_ITEMS, 0)
    return {
        "total": total,
        "since": {name: total[name] - earlier[name] for name in _ITEMS},
        "per_row": {name: total[name] / rows for name in _ITEMS if name != "generated"},
    }


def _total(store: Store, corpus: str) -> Spent:
    """Gives the sums over `generation_bills`; zeros where nothing was generated here."""
    if not store.exists("generation_bills", corpus):
        return dict.fromkeys(_ITEMS, 0)
    bills = store.read("generation_bills", corpus, list(_ITEMS)).to_pydict()
    return {name: sum(values) for name, values in bills.items()}
