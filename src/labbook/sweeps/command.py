"""One command's work on a sweep, from its folder to its table."""

import shutil
import sys
from pathlib import Path
from types import TracebackType

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from labbook import config as settings
from labbook.errors import SettingError, TrainingError
from labbook.sweeps import best as experiment
from labbook.sweeps import launchers
from labbook.sweeps.folder import State, SweepFolder
from labbook.sweeps.launching import Continuing
from labbook.sweeps.naming import sweep_name, swept


class SweepCommand:
    """A sweep as one command works on it. Used as a context around its launches, it ends in the result."""

    launcher: Continuing
    is_new: bool  # no command before this one made the folder

    def __init__(self, config: DictConfig, arguments: list[str], search: bool = False) -> None:
        """`arguments` are the overrides of the command and of the preset, the swept ones among them.

        Raises:
            SettingError: a folder that is not the sweep's, or nothing to sweep over.
        """
        settings.check_ranges(config)
        self.config = config
        self.over = swept(arguments)
        if not self.over:
            raise SettingError("-m sweeps over several values and none is given: KEY=A,B, seeds=N or sweep=PRESET")
        if config.sweep.name is None:
            preset = config.hydra.runtime.choices.get("sweep")
            with open_dict(config):
                config.sweep.name = sweep_name(list(config.hydra.overrides.task), preset, search)
        self.folder = SweepFolder(Path(config.hydra.sweep.dir))

    def lead(self, launcher: Launcher | None, context: HydraContext) -> None:
        """Put the choice of what is left to do in front of a launcher."""
        assert launcher is not None
        if self.config.sweep.rerun and self.folder.path.exists():
            kept = self.folder.set_aside(Path(self.config.log_dir))
            print(f"sweep.rerun=true: what was there is kept in {kept}")
        self.folder.check()
        self.launcher = Continuing(launcher, self.folder, self.over, context, self.config)

    def __enter__(self) -> "SweepCommand":
        self.is_new = not self.folder.path.exists()
        print(f"sweep: {self.folder.path}")
        if where := launchers.where_output_goes(self.launcher.inner):
            print(where)
        sys.stdout.flush()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            print(f"the sweep is not done: the same command goes on with it\nsweep: {self.folder.path}", flush=True)
        if error is None:
            self.conclude()
        elif self.is_new and not self.folder.runs():
            shutil.rmtree(self.folder.path, ignore_errors=True)  # a refused sweep leaves nothing behind

    def conclude(self) -> None:
        """Show the table, write the page, and tell how it ended.

        Raises:
            TrainingError: a run failed.
        """
        from labbook import report  # only now: it draws

        written = report.write(self.folder.path)
        report.show(written)
        print(self.account())
        if written.ranked:
            row = written.ranked[0]
            best = row.best(self.config.objective)
            assert best is not None
            found = f"best of the sweep by {self.config.objective}: {row.label}"
            again = experiment.write(self.folder.path, best.path.name, best.config, found)
            print(f"best: {row.label}, done again by {again}")
        print(f"sweep: {self.folder.path}", flush=True)
        failed = self.names("failed")
        if failed:
            stopped = "; the sweep was stopped there (sweep.on_error=stop)" if self.launcher.stopped else ""
            raise TrainingError(
                f"{len(failed)} of {self.launcher.total} runs failed{stopped}: the same command tries them again"
            )

    def names(self, state: State) -> set[str]:
        """The runs of this command that are in a state."""
        return {name for name in self.launcher.names if self.folder.state(name)[0] == state}

    def account(self) -> str:
        """What this command did."""
        skipped, resumed = self.launcher.skipped, self.launcher.resumed
        counts = {
            "finished": len(self.names("finished") - skipped),
            "of them resumed": len(self.names("finished") & resumed),
            "pruned": len(self.names("pruned") - skipped),
            "skipped as finished before": len(skipped),
            "failed": len(self.names("failed")),
        }
        return "this command: " + (", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing")
