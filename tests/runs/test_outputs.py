"""What a user names for output is written, and what was there before is not lost."""

import os
import threading
from pathlib import Path

import pytest

from labbook.errors import SettingError, is_unwritable
from labbook.runs import outputs
from labbook.runs.run_folder import CONFIG, METRICS
from labbook.runs.sweep_folder import MANIFEST


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    outputs.write_output(pipe, b"x" * 200_000)
    reader.join()
    assert read == [b"x" * 200_000]
    assert pipe.is_fifo()


def test_a_reader_of_a_pipe_may_leave_early(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def read_a_little() -> None:
        with pipe.open("rb") as opened:
            opened.read(1)

    reader = threading.Thread(target=read_a_little)
    reader.start()
    outputs.write_output(pipe, b"x" * 200_000)
    reader.join()


def test_devices_are_never_replaced(tmp_path: Path) -> None:
    null = tmp_path / "null"
    try:
        os.mknod(null, 0o600 | 0o020000, Path(os.devnull).stat().st_rdev)
        null.write_bytes(b"")
    except OSError:
        pytest.skip("devices cannot be made here")
    before = null.stat()
    outputs.write_output(null, "text")
    assert (null.stat().st_ino, null.stat().st_rdev) == (before.st_ino, before.st_rdev)
    assert [item.name for item in tmp_path.iterdir()] == ["null"]


@pytest.mark.parametrize("name", [os.devnull, "-", "/dev/stdout", "/dev/stderr"])
def test_what_is_a_stream(name: str) -> None:
    assert outputs.is_stream(Path(name)) or Path(name).is_file()  # as where a test's output is kept in a file
    outputs.check_outputs({"--csv": Path(name), "--json": None})


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    outputs.write_output(Path("-"), "é\n")
    outputs.write_output(Path("/dev/stdout"), "2\n")
    assert capfdbinary.readouterr().out == "é\n2\n".encode()
    with outputs.print_beside_outputs(None, Path("-")):
        print("table")
    with outputs.print_beside_outputs(Path("file")):
        print("table")
    assert capfdbinary.readouterr() == (b"table\n", b"table\n")


@pytest.mark.parametrize("there", [True, False])
def test_the_target_of_a_link_is_written_and_the_link_stays(tmp_path: Path, there: bool) -> None:
    (tmp_path / "other").mkdir()
    target, link = tmp_path / "other" / "target", tmp_path / "link"
    if there:
        target.write_text("old")
        target.chmod(0o600)
    link.symlink_to(Path("other") / "target")
    outputs.write_output(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert not there or target.stat().st_mode & 0o777 == 0o600
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["link", "other", "target"]


def test_where_writing_fails_the_target_stays(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with pytest.raises(IsADirectoryError), outputs.open_output(link) as partial:
        partial.write_bytes(tmp_path.read_bytes())
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


def test_the_longest_name_of_a_file_can_be_written(tmp_path: Path) -> None:
    outputs.write_output(tmp_path / ("ü" * 127), "text")
    assert [item.read_text() for item in tmp_path.iterdir()] == ["text"]


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everything")
def test_a_write_protected_file_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o400)
    with pytest.raises(PermissionError):
        outputs.write_output(file, "new")


@pytest.mark.parametrize(
    "name",
    [CONFIG, METRICS, "metrics.csv", "train.log", "test_predictions.csv", "checkpoints/best.ckpt", "checkpoints/new",
     "events.out.tfevents.1", "figures/curves.png", "../run/metrics.csv", "../link/metrics.csv"],
)  # fmt: skip
def test_what_a_run_keeps_is_no_place_for_other_things(tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "figures").mkdir()
    (tmp_path / "link").symlink_to(run)
    (run / CONFIG).touch()
    outputs.check_outputs({"--csv": run / name})  # of a folder that is no run's
    (run / METRICS).touch()
    with pytest.raises(SettingError, match=r"^--csv \S+ is a file of the run or sweep: use"):
        outputs.check_outputs({"--csv": run / name})
    outputs.check_outputs({"--csv": run / "predictions.csv", "--json": run / "mine" / "metrics.csv"})


def test_what_a_sweep_keeps_is_no_place_for_other_things(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).touch()
    for name in (MANIFEST, "report.html", "table.png", "summary.csv", "experiment/best.yaml"):
        with pytest.raises(SettingError, match="is a file of the run or sweep"):
            outputs.check_outputs({"--html": tmp_path / name})
    outputs.check_outputs({"--html": tmp_path / "comparison.html"})


def test_two_names_of_one_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    (tmp_path / "soft").symlink_to("new")
    for one, other in (("a", "hard"), ("soft", "new"), ("x", "./x")):
        with pytest.raises(SettingError, match=r"^--csv and --json \S+ are the same file"):
            outputs.check_outputs({"--csv": tmp_path / one, "--json": tmp_path / other})
        with pytest.raises(SettingError, match=r"^--csv \S+ is read by the command"):
            outputs.check_outputs({"--csv": tmp_path / one}, [tmp_path / other])
    outputs.check_outputs({"--csv": Path(os.devnull), "--json": Path(os.devnull)})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
@pytest.mark.parametrize("name", ["/dev/full", "/proc/output.csv"])
def test_what_cannot_be_written_is_named(name: str) -> None:
    with pytest.raises(OSError, match=f"'{name}'") as failed:
        outputs.write_output(Path(name), b"x")
    assert is_unwritable(failed.value)
