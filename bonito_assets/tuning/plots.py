"""Small plots for asset metadata: PNG of at most 20 KB, because Dagster stores each four times."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_POINTS = 100


def axes(title: str) -> tuple[Figure, Axes]:
    """Gives an empty figure of 6 x 3 inches that needs no display."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), dpi=100, layout="constrained")
    plot = figure.add_subplot()
    plot.set_title(title, fontsize=10)
    plot.spines[["top", "right"]].set_visible(False)
    return figure, plot


def png(figure: Figure) -> bytes:
    """Gives `figure` as PNG bytes with a palette of 32 colours, a third of the size without."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(32).save(small, format="png", optimize=True)
    return small.getvalue()


def as_markdown(image: bytes, caption: str) -> str:
    """Gives a PNG as a Markdown image that carries its own data."""
    return f"![{caption}](data:image/png;base64,{base64.b64encode(image).decode()})"


def loss_plot(curves: Mapping[str, Sequence[tuple[int, float]]]) -> bytes:
    """Gives loss curves by name as PNG, each as at most 100 means; points are (step, loss)."""
    import numpy as np

    figure, plot = axes("Loss (nats per token that is learned)")
    for name, losses in curves.items():
        # A noisy line of 1,000 points alone would take 50 KB.
        parts = np.array_split(np.array(losses), min(len(losses), _MOST_POINTS))
        steps, values = zip(*(part.mean(axis=0) for part in parts), strict=True)
        marker = "." if len(steps) < 30 else None
        plot.plot(steps, values, linewidth=1.2, marker=marker, label=name)
    plot.set_xlabel("optimizer step", fontsize=9)
    if len(curves) > 1:
        plot.legend(frameon=False, fontsize=8)
    return png(figure)


def histogram(values: np.ndarray, quantity: str) -> bytes:
    """Gives as PNG how many rows have how much of `quantity`, in 40 bars."""
    figure, plot = axes(f"Rows by {quantity}")
    plot.hist(values, bins=40, color="#2f6f9f")
    plot.set_xlabel(quantity, fontsize=9)
    return png(figure)
