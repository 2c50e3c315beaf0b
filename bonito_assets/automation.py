"""Jobs: what can be started from the UI, by `dg launch` and by the `bonito` command."""

from __future__ import annotations

import dagster as dg

# Training a generator from scratch is no part of a refresh.
_CHAIN = dg.AssetSelection.all() - dg.AssetSelection.groups("bonito_training")

refresh_corpus = dg.define_asset_job(
    "refresh_corpus",
    selection=_CHAIN,
    description="One corpus from its documents to the evaluation of the model tuned on them.",
)

jobs = [refresh_corpus]
