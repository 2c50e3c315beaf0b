"""Which rows hang together, by pairs that arrive in any order."""

from __future__ import annotations

import numpy as np


class Components:
    """The connected components of `rows` rows, in 8 bytes a row."""

    def __init__(self, rows: int) -> None:
        self._parents = np.arange(rows, dtype=np.int64)

    def join(self, left: np.ndarray, right: np.ndarray) -> None:
        """Joins ``left[i]`` and ``right[i]``, for each i."""
        from bonito_assets.curation.duplicates.kernels import join_rows

        join_rows(self._parents, np.asarray(left, np.int64), np.asarray(right, np.int64))

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Gives the smallest row number in the component of each of `rows`."""
        from bonito_assets.curation.duplicates.kernels import root_rows

        found = np.empty(len(rows), np.int64)
        root_rows(self._parents, np.asarray(rows, np.int64), found)
        return found

    def labels(self) -> np.ndarray:
        """Gives the smallest row number in the component of every row."""
        return self.of(np.arange(len(self._parents)))
