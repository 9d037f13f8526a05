"""A kept sweep as an object. Imports no torch."""

import html
from dataclasses import dataclass
from pathlib import Path

from labbook.api.runs import Run, folder_path
from labbook.reports import Report, write_report
from labbook.reports.grouping import group_runs
from labbook.reports.read_runs import read_sweep
from labbook.reports.sweep_page import PAGE
from labbook.sweeps.best_experiment import best_run

HEIGHT = 640  # pixels of the report in a notebook


@dataclass(frozen=True)
class Sweep:
    """A sweep's folder, in any state. A notebook shows its report.

    Args:
        folder: the sweep's folder.

    Raises:
        SettingError: the folder is not one of a sweep.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", folder_path(self.folder).absolute())
        read_sweep(self.folder)

    @property
    def runs(self) -> list[Run]:
        """All runs with settings, by name."""
        return [Run(record.path) for record in read_sweep(self.folder).runs if record.config]

    @property
    def best(self) -> Run:
        """The best run by the objective.

        Raises:
            SettingError: no run is finished, or the runs cannot be compared.
        """
        return Run(best_run(self.folder)[0])

    @property
    def report(self) -> Report:
        """The result: `rows` are its settings with means over the seeds, the best first."""
        return group_runs(read_sweep(self.folder))

    def _repr_html_(self) -> str:
        """The report in a frame, which keeps its style and its buttons apart from those of the notebook."""
        write_report(self.folder)
        page = html.escape((self.folder / PAGE).read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" width="100%" height="{HEIGHT}" style="border: 0; background: white"></iframe>'

    def __repr__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in self.report.states.items())
        return f"<Sweep {self.folder.name}: {states or 'no runs'}>"
