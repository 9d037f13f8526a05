"""One command's work on a sweep, from its folder to its table."""

import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from labbook.config import renames, search_path
from labbook.config import schema as settings
from labbook.config.job_config import config_sources
from labbook.config.path_rules import check_name, short_file_name
from labbook.errors import SettingError, TrainingError, list_first
from labbook.runs.run_folder import State
from labbook.runs.run_id import is_outside_run_id
from labbook.runs.sweep_folder import SweepFolder, read_manifest
from labbook.sweeps import best_experiment as experiment
from labbook.sweeps import launchers
from labbook.sweeps.naming import given_overrides, sweep_name, swept_keys
from labbook.sweeps.resuming_launcher import ResumingLauncher
from labbook.training import hardware

if TYPE_CHECKING:
    from labbook.reports import Report
    from labbook.reports.grouping import SettingRow


class SweepCommand:
    """A sweep in one command. Used as a context around its launches, it prints the result."""

    launcher: ResumingLauncher
    last_folder: ClassVar[Path | None] = None  # of this process's last sweep: Hydra returns nothing

    def __init__(self, config: DictConfig, arguments: list[str], search: bool = False) -> None:
        """`arguments`: the overrides of the command and of the preset, with the swept ones."""
        settings.check_ranges(config)
        launchers.check_launcher(config.hydra)
        self.config, self.arguments = config, arguments
        self.over = swept_keys(arguments)
        for key in self.over:
            if key == "folds" or is_outside_run_id(key):
                same = key not in ("folds", "resume", "sweep")
                why = ", because runs that differ only in it count as the same run" if same else ""
                raise SettingError(f"{key} accepts one value and cannot be swept{why}")
        if not str(config.hydra.launcher._target_).endswith(launchers.ON_OTHER_MACHINES):
            hardware.check_threads(config.threads)
        if not self.over and config.sweep.name is None:
            raise SettingError("-m needs several values: use KEY=A,B, seeds=N or sweep=PRESET")
        if config.sweep.name is None:
            with open_dict(config):
                config.sweep.name = self._name(search)
        check_name("sweep.name", str(config.sweep.name))
        self.folder = SweepFolder(Path(config.hydra.sweep.dir))

    def _name(self, search: bool) -> str:
        """The default name of a sweep: what it varies, and the sweep whose best setting it uses."""
        runtime = self.config.hydra.runtime
        sources = config_sources(self.config.hydra)
        of_sweeps = [short_file_name(folder.name) for folder in sources if read_manifest(folder) is not None]
        command = given_overrides(self.config.hydra)[1]
        names = [
            "_".join([*of_sweeps, sweep_name(overrides, runtime.choices.get("sweep"), search)])
            for overrides in (command, [renames.original_override(item) for item in command])
        ]
        there = Path(self.config.log_dir) / "sweeps"
        return next((name for name in names if (there / name).is_dir()), names[0])

    def lead(self, launcher: Launcher | None, context: HydraContext) -> None:
        assert launcher is not None
        self.folder.check()
        self.launcher = ResumingLauncher(launcher, self.folder, self.over, context, self.config)

    def __enter__(self) -> "SweepCommand":
        SweepCommand.last_folder = self.folder.path
        print(f"sweep: {self.folder.path}")
        if launchers.remaining_runs_note(self.launcher.inner):  # of runs that do not print to this terminal
            print("each run writes to train.log in its own folder")
        sys.stdout.flush()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            others = launchers.remaining_runs_note(self.launcher.inner)
            print(f"the sweep is not done: use the same command to resume{others}")
            print(f"sweep: {self.folder.path}", flush=True)
        if error is None:
            self.conclude()

    def conclude(self) -> None:
        """Print the table, write the page, and print how the sweep ended.

        Raises:
            TrainingError: a run failed.
        """
        from labbook import reports as report  # only now: it plots

        written = report.write_report(self.folder.path)
        report.print_table(written)
        print(self.account())
        if written.best:  # nothing is selected by the test set
            self._print_best(written, written.best)
        elif len(written.winners) > 1:
            (self.folder.path / experiment.FILE).unlink(missing_ok=True)  # of the command before, on one data set
            for row in written.winners:
                print(f"best on its data set: {row.label}")
        print(f"sweep: {self.folder.path}", flush=True)
        if failed := self.names("failed"):
            stopped = "; the sweep was stopped there (sweep.on_error=stop)" if self.launcher.stopped else ""
            retried = self.config.sweep.retry_failed
            how = "use the same command to try again" if retried else "sweep.retry_failed=true tries them again"
            raise TrainingError(f"{len(failed)} of {self.launcher.total} runs failed{stopped}: {how}")

    def _print_best(self, report: "Report", row: "SettingRow") -> None:
        run, mean = row.best, row.exact(report.objective)
        assert run is not None
        assert mean is not None
        found = f"best of the sweep by {report.objective}: {row.label}"
        known = (*search_path.config_folders(), self.folder.path)
        others = [folder for folder in config_sources(self.config.hydra) if folder not in known]
        again = experiment.write_experiment(self.folder.path, run.path.name, run.config, found, others)
        labels = [each.label for each in report.tied]
        within = "; the difference is within their standard deviation"
        tied = f", tied with {list_first(labels, separator='; ')}{within if mean.sd else ''}" if labels else ""
        print(f"best: {row.label}{tied}")
        print(f"best run: {run.path}")
        print(f"to train it again: {again}")

    def names(self, state: State) -> set[str]:
        return {name for name in self.launcher.names if self.folder.state(name)[0] == state}

    def account(self) -> str:
        launch = {name: self.folder.state(name)[1].get("launch") for name in self.launcher.launched}
        mine = {name for name, by in launch.items() if by == self.launcher.launch_id}
        finished, failed = self.names("finished") & mine, self.names("failed")
        counts = {
            "finished": len(finished),
            "of them resumed": len(finished & self.launcher.resumed),
            "pruned": len(self.names("pruned") & mine),
            "finished by another command meanwhile": len(self.launcher.launched & self.names("finished") - mine),
            "skipped as finished before": len(self.launcher.skipped),
            "failed": len(failed),
        }
        return "this command: " + (", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing")
