"""Which stages of a corpus something upstream has left behind, as Dagster judges it."""

from __future__ import annotations

from typing import Any

import dagster as dg

from bonito_assets.catalogue import corpora


class Staleness:
    """Answers for all stages over one `graph`, the asset graph of the definitions."""

    def __init__(self, instance: dg.DagsterInstance, graph: Any) -> None:
        # Neither has a public name in the pinned 1.13.27; the UI's badges come from it.
        from dagster._core.definitions.data_version import CachingStaleStatusResolver
        from dagster._core.loader import LoadingContextForTest

        self._graph = graph
        self._resolver = CachingStaleStatusResolver(
            instance, graph, LoadingContextForTest(instance)
        )

    def reason(self, stage: dg.AssetKey, corpus: str) -> str | None:
        """Gives why `stage` of `corpus` is stale, with what has changed; None for a fresh one."""
        causes = self._resolver.get_stale_causes(stage, corpus)
        if not causes:
            return None
        of = f" ({causes[0].dependency_asset_key.to_user_string()})" if causes[0].dependency else ""
        return f"{causes[0].reason}{of}"

    def reasons(self, corpus: str) -> str:
        """Gives the stages that are stale, each with its reason; empty for a fresh corpus."""
        stages = [
            key
            for key in self._graph.toposorted_asset_keys
            if self._graph.get(key).is_materializable
            and self._graph.get(key).partitions_def == corpora
        ]
        told = {key.to_user_string(): self.reason(key, corpus) for key in stages}
        return ", ".join(f"{stage} {reason}" for stage, reason in told.items() if reason)
