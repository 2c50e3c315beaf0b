"""Jobs: what can be started from the UI, by `dg launch` and by the `bonito` command."""

from __future__ import annotations

import dagster as dg

_MIXTURE = dg.AssetSelection.assets("instruction_mixture")
_MIXTURE_MODEL = dg.AssetSelection.assets("mixture_model")
# Training a generator from scratch is no part of a refresh, nor is what is made of all corpora.
_APART = dg.AssetSelection.groups("bonito_training") | _MIXTURE | _MIXTURE_MODEL
_CHAIN = dg.AssetSelection.all() - _APART

refresh_corpus = dg.define_asset_job(
    "refresh_corpus",
    selection=_CHAIN,
    description="One corpus from its documents to the evaluation of the model tuned on them.",
)

refresh_mixture = dg.define_asset_job(
    "refresh_mixture",
    selection=_MIXTURE,
    description="One dataset out of the published datasets of all corpora.",
)

tune_mixture = dg.define_asset_job(
    "tune_mixture",
    selection=_MIXTURE_MODEL,
    description="One model tuned on the mixture of all corpora.",
)

jobs = [refresh_corpus, refresh_mixture, tune_mixture]
