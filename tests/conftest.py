"""The program as a function: arguments in; exit code, output and run folder out."""

import functools
import gc
import os
import shutil
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from labbook import lazy_imports

# The same examples every time, so that a failure is everybody's, however slow or busy the machine.
settings.register_profile(
    "same", max_examples=25, derandomize=True, database=None, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.load_profile("same")

gc.set_threshold(100_000, 20, 50)  # collecting garbage took 7 % of the time of all tests

# Or each of the programs that tests start compiles the package for itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

os.environ["MPLBACKEND"] = "agg"  # a notebook hands on one that this environment does not have

# Nothing here imports torch before the tests are collected: the process that hands them out to others does without.


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def run(self) -> Path:
        """The run's or the sweep's folder, which the last line of the output names."""
        word, _, path = self.out.rstrip().splitlines()[-1].partition(": ")
        assert word in ("run", "sweep"), self.out + self.err
        return Path(path)

    @property
    def sentence(self) -> str:
        """The one line of a refusal."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        return lines[0].removeprefix("error: ")


Command = Callable[..., Ended]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where tests that look at pages in a browser keep pictures of them."""
    parser.addoption("--pictures", metavar="FOLDER", help="keep pictures of what is seen in a browser")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The modules of the tests import torch, which the collector of garbage need not look through ever after."""
    with lazy_imports.import_torch_stack():
        return (yield)


@pytest.hookimpl(tryfirst=True)  # before `-m extra` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `extra` what is skipped without one."""
    for item in items:
        if any(str(mark.kwargs.get("reason")).startswith("needs the extra: ") for mark in item.iter_markers("skipif")):
            item.add_marker("extra")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tests run beside each other, and their networks are too small for several threads to help."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _hydra_remembers() -> None:
    """Most of what a short program does is to read and merge the same files of configs/."""
    from tests import hydra_memory

    hydra_memory.install()


@pytest.fixture(scope="session", autouse=True)
def _packages_stay() -> None:
    """Lightning reads the metadata of all installed packages for each trainer, and each run those of torch."""
    from lightning_fabric.utilities import registry

    registry.entry_points = functools.cache(registry.entry_points)  # type: ignore[assignment]
    lazy_imports.version = functools.cache(lazy_imports.version)


@pytest.fixture(scope="session", autouse=True)
def _disk_is_not_waited_for() -> None:
    """No test turns the machine off, and each saved state takes longer to reach the disk than a step of training."""
    os.fsync = lambda _: None


@pytest.fixture
def plotted() -> None:
    """Requested by a test that needs the plots of a run as they are."""


@pytest.fixture
def labbook(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Command:
    """`python train.py ARGUMENTS` in this process, in an empty folder."""
    import train
    from labbook.callbacks import pictures
    from labbook.cli import command_line
    from labbook.runs import run_session

    monkeypatch.chdir(tmp_path)
    if "plotted" not in request.fixturenames:  # plots take longer than a short training
        blank = SimpleNamespace(image_tiles=lambda *_: None, save_png=pictures.plots.save_png)
        for name in ("plot_curves", "confusion_matrix", "plot_mistakes"):
            setattr(blank, name, lambda *_: np.zeros((1, 1, 3), np.uint8))
        monkeypatch.setattr(pictures, "plots", blank)
        monkeypatch.setattr(pictures, "contact_sheet", blank.plot_curves)
        monkeypatch.setattr(pictures, "draw_network", lambda *_: None)

    def command(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        monkeypatch.delenv(run_session.FOLDER_VARIABLE, raising=False)
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            command_line.run_command_line(train.main)
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return command


@pytest.fixture(scope="session")
def kept_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], tuple[Path, Path]]:
    """By their arguments: where runs lie that were trained before, and where they were made."""
    return {}


@pytest.fixture
def trained(
    labbook: Command,
    kept_runs: dict[tuple[str, ...], tuple[Path, Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Path]:
    """The folder of a run that is trained once for all tests which begin with it; each gets a copy where it was made.

    For tests of what is done with a finished run, of which only its files matter.
    """

    def of(*arguments: str) -> Path:
        if arguments not in kept_runs:
            ended = labbook(*arguments)
            assert ended.code == 0, ended.err
            kept = tmp_path_factory.mktemp("run") / "run"
            shutil.copytree(ended.run, kept)
            kept_runs[arguments] = kept, ended.run
            return ended.run
        kept, made = kept_runs[arguments]
        assert not made.is_absolute()
        return Path(shutil.copytree(kept, made))

    return of


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[ModuleType], Command]:
    """Of a module of scripts/: `python scripts/NAME.py ARGUMENTS` in this process."""

    def of(module: ModuleType) -> Command:
        def command(*arguments: str) -> Ended:
            monkeypatch.setattr(sys, "argv", [f"{module.__name__.rpartition('.')[2]}.py", *map(str, arguments)])
            capsys.readouterr()
            code = 0
            try:
                module.main()
            except SystemExit as ended:
                code = int(ended.code or 0)
            captured = capsys.readouterr()
            return Ended(code, captured.out, captured.err)

        return command

    return of


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures in the report of a sweep: they take longer than tiny runs, and have tests of their own."""
    from labbook.reports import images, sweep_page

    monkeypatch.setattr(sweep_page, "page_sections", lambda _: [])
    monkeypatch.setattr(sweep_page, "report_html", lambda *_: "")
    monkeypatch.setattr(images, "write_images", lambda *_: None)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """Every test reads its data again and starts with the same random state."""
    import torch

    from labbook.data import datamodule as module

    module._recent.clear()
    torch.default_generator.manual_seed(0)  # torch.manual_seed formats the stack of calls for a GPU that comes later
