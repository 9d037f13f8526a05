"""The plot of a learning rate range test."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from labbook.plots import fonts
from labbook.plots.plots import HELD_OUT, TRAIN

MARKERS = "os^"


def rate_curve(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    proposals: Sequence[tuple[str, float]],
    title: str,
    kind: str,
) -> bytes:
    """Losses by learning rate, and the `proposals` (name and rate) on the curve, as a png, svg or pdf file."""
    figure = Figure(figsize=(7, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, ".", color=TRAIN, alpha=0.35, label="loss of each step")
    axes.plot(rates, smoothed, color=TRAIN, label="smoothed")
    for (name, rate), marker in zip(proposals, MARKERS, strict=False):
        height = np.interp(np.log(rate), np.log(rates), smoothed)
        axes.plot(rate, height, marker, color=HELD_OUT, markersize=8, label=f"{name}: {rate:g}", clip_on=False)
    low, high = min(losses), max(smoothed[: int(np.argmin(smoothed)) + 1])
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", title=fonts.replace_undrawable(title))
    axes.set_ylim(low - 0.05 * (high - low), high + 0.5 * (high - low))
    axes.grid(alpha=0.3)
    axes.legend()
    content = io.BytesIO()
    with rc_context({"svg.hashsalt": "labbook"}):
        figure.savefig(content, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return content.getvalue()
