"""Labbook without what Windows and macOS lack: modules, functions and signals that only other systems have."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from labbook import files
from labbook.config import path_rules
from labbook.data import resize
from labbook.runs import outputs

ROOT = Path(__file__).parents[1]
LACKS = {
    "win32": "fcntl resource pwd grp termios tty pty syslog"
    " os.sysconf os.getuid os.geteuid os.getgid os.fork os.killpg os.getpgid os.setsid os.statvfs os.uname os.nice"
    " os.chown os.mkfifo os.getloadavg os.sched_getaffinity os.sched_setaffinity os.posix_fallocate os.pread"
    " os.O_DIRECTORY os.O_NOFOLLOW os.symlink os.readlink signal.SIGHUP signal.SIGUSR1 signal.SIGUSR2 signal.SIGALRM"
    " signal.SIGKILL signal.SIGQUIT signal.SIGTSTP signal.alarm signal.setitimer signal.pthread_sigmask",
    "darwin": "os.sched_getaffinity os.sched_setaffinity os.posix_fallocate os.posix_fadvise os.memfd_create"
    " signal.SIGRTMIN signal.sigtimedwait",
}
# The libraries are imported first: they choose their own ways by themselves.
TRAINED = """
import ctypes, importlib, os, pathlib, pkgutil, signal, sys
import filelock, hydra.main, matplotlib.pyplot, pydantic, pytorch_lightning, rich.progress, torchvision, torchmetrics
import logging.handlers, multiprocessing.util, subprocess, tempfile, tensorboard.compat.proto.event_pb2, torchview
import torch.utils.tensorboard
import pytorch_lightning.loggers, xml.dom.minidom, urllib.request, webbrowser
system, lacks = sys.argv[1], sys.argv[2].split()
for name in lacks:
    module, _, attribute = name.partition(".")
    if not attribute:
        sys.modules[module] = None
    elif hasattr(sys.modules[module], attribute):
        delattr(sys.modules[module], attribute)
def unavailable(name, *arguments, **options):
    raise TypeError("no name") if name is None else OSError("no such library")
if system == "win32":
    ctypes.CDLL = unavailable
before = pathlib.Path.open
def opened(path, *arguments, **options):
    if str(path).startswith(("/proc", "/sys", "/dev")):
        raise FileNotFoundError(2, "no such file", str(path))
    return before(path, *arguments, **options)
pathlib.Path.open = opened
sys.platform = system
import labbook
for module in pkgutil.walk_packages(labbook.__path__, "labbook."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ImportError as error:  # of an extra that is not installed, or has other needs
            assert str(error.name).partition(".")[0] not in ("labbook", "os", "signal", *lacks), error
sys.argv = ["train.py", "data.limit=60", "epochs=1", "model=mlp"]
from labbook.cli.commands.train import command
command()
"""


@pytest.mark.slow
@pytest.mark.parametrize("system", list(LACKS))
def test_all_modules_are_imported_and_a_run_trained_without_what_a_system_lacks(system: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", TRAINED, system, LACKS[system]],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1].startswith("run: logs"), ended.stderr
    assert not ended.stderr


WINDOWS = SimpleNamespace(name="nt", path=os.path, devnull="nul")


def test_a_file_that_a_program_has_open_on_windows_is_replaced_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace, tries = tmp_path / "metrics.csv", Path.replace, []

    def refuse_once(source: Path, target: Path) -> Path:
        tries.append(target)
        if len(tries) == 1:
            raise PermissionError(13, "The process cannot access the file", str(target))
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", refuse_once)
    with pytest.raises(PermissionError):
        files.write_whole(path, "1")
    tries.clear()
    with monkeypatch.context() as windows:
        windows.setattr(files, "os", SimpleNamespace(name="nt", getpid=os.getpid))
        files.write_whole(path, "2")
    assert (path.read_text(), len(tries)) == ("2", 2)


def test_what_windows_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert resize.machine_memory() == sys.maxsize


def test_commands_are_quoted_as_the_shells_of_windows_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["python", "train.py", "data.root=my images"]
    assert path_rules.join_words(words) == "python train.py 'data.root=my images'"
    monkeypatch.setattr(path_rules, "os", WINDOWS)
    assert path_rules.join_words(words) == 'python train.py "data.root=my images"'
    assert path_rules.quote_override("resume", r"logs\runs\one") == r""" "resume='logs\runs\one'" """.strip()


def test_the_null_device_of_windows_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as windows:
        windows.setattr(os, "devnull", "nul")
        assert outputs.is_null(Path("nul"))
    assert not outputs.is_null(tmp_path / "table.csv")
