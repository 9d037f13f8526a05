"""Transfer: a table and a plot of test accuracy over the number of photographs, for each use of pretrained weights."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from labbook.reports.grouping import Report, SettingRow
from labbook.reports.svg_charts import SERIES
from labbook.reports.table_cells import format_spread
from tools.results.plots import svg
from tools.results.published_vs_ours import SECONDS

PREFIX = "transfer_"  # of the names of these sweeps
WAYS = ("frozen", "fine-tuned", "from scratch")


class Measured(NamedTuple):
    """Runs with the same photographs, weights and augmentation; their order is that of the table."""

    photographs: int
    way: int  # of `WAYS`
    plain: bool  # without augmentation
    row: SettingRow


def measured(reports: Sequence[Report]) -> list[Measured]:
    rows = [row for report in reports if report.sweep.name.startswith(PREFIX) for row in report.rows if row.finished]
    found = []
    for row in rows:
        run = row.finished[0]
        frozen = run.settings.get("model.freeze") not in (None, "none")
        way = 2 if run.settings.get("model.weights") is None else 0 if frozen else 1
        photographs = int(run.metrics["data"]["train"]["images"])
        found.append(Measured(photographs, way, not run.config["data"]["augment"], row))
    return sorted(found, key=lambda item: item[:3])


def table(found: Sequence[Measured]) -> str:
    lines = [
        "| photographs | weights | augmentation | n | test acc | seconds |",
        "| ---: | --- | --- | ---: | ---: | ---: |",
    ]
    for photographs, way, plain, row in found:
        figures = (format_spread(name, row.metric(name)) for name in ("test/acc", SECONDS))
        cells = (photographs, WAYS[way], "off" if plain else "on", len(row.finished), *figures)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def plot(found: Sequence[Measured]) -> str:
    """An SVG of mean and standard deviation, with augmentation."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for way, name in enumerate(WAYS):
            points = [
                (item.photographs, mean.mean, mean.sd or 0.0)
                for item in found
                if (item.way, item.plain) == (way, False) and (mean := item.row.metric("test/acc"))
            ]
            if points:
                counts, means, spreads = zip(*points, strict=True)
                axes.errorbar(counts, means, yerr=spreads, fmt="o-", capsize=3, color=SERIES[way], label=name)
        ticks = sorted({item.photographs for item in found})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{count:,}" for count in ticks])
        axes.minorticks_off()
        axes.set(xlabel="photographs", ylabel="test accuracy")
        axes.legend(frameon=False)

    return svg(draw, (6.0, 3.2))
