"""Labbook from Python: the same runs and refusals as the command line, and a process that stays as it was."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from labbook import Run, Sweep, load, sweep, train
from labbook.api.calls import called_from_python, override_arguments
from labbook.callbacks import progress
from labbook.config.invocation import called_by, for_caller
from labbook.errors import SettingError, StoppedBySignal, StoppedByUser
from labbook.runs.run_folder import read_metrics
from tests.cases import each_case
from tests.conftest import Command
from tests.own.conftest import PROJECT
from tests.runs.test_resume import signal_at

SMALL = ("model=mlp", "data.limit=60", "callbacks=none", "logger=none")

REFUSED: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (("modle=mlp",), {}, "modle is not a setting; did you mean model?"),
    ((), {"epohcs": 2}, "epohcs is not a setting; did you mean epochs?"),
    ((), {"model": "lenet"}, "model=lenet is unknown; did you mean lenet5?"),
    ((), {"model": "mlp", "model.dpeth": 2}, "model.dpeth is not a setting; did you mean depth?"),
    ((), {"epochs": "many"}, "epochs must be a whole number, not many"),
    ((), {"epochs": None}, "epochs"),
    ((), {"seeds": 3}, "seeds=3 makes several runs: use sweep(...), or use seed=N"),
    (("model=mlp,lenet5",), {}, "model=mlp,lenet5 gives several values: use sweep(...)"),
    (("model=[mlp]",), {}, "model is one of its choices, model=CHOICE, or sweep(...) over model=A,B"),
    (("-m", "model=mlp,lenet5"), {}, "'-m' is not a setting"),
    (("--cfg", "job"), {}, "'--cfg' is not a setting"),
    (({"epochs": 2},), {}, "is not a setting: use one text for each"),
    (("model=mlp epochs=2",), {}, "cannot read 'model=mlp epochs=2'"),
    ((), {"data.augment": object()}, "use a text, a number, True, False, None, a list or a dict"),
    ((), {"resume": Path("nowhere")}, "nowhere is not a run folder"),
    ((), {"trainer": "ddp"}, "train(...) is one process on one device"),
    ((), {"data.limit": 0, "log_dir": "with space"}, "limit"),
]


def test_what_the_command_line_refuses_is_raised_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = Path.cwd(), sys.argv, {**os.environ}, signal.getsignal(signal.SIGINT)
    for overrides, settings, sentence in REFUSED:
        with pytest.raises(SettingError) as refused:
            train(*overrides, **settings)
        assert sentence in str(refused.value)
        assert refused.value._render_traceback_() == [f"SettingError: {refused.value}"]  # what a notebook shows
    assert (Path.cwd(), sys.argv, {**os.environ}, signal.getsignal(signal.SIGINT)) == before
    assert not GlobalHydra.instance().is_initialized()
    assert capsys.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@each_case(("text", "find_lr", "python"), [
    ("several values: add -m to sweep over them, or a list", "several values: find-lr tests one run, or a list",
     "several values: use sweep(...), or a list"),
    ("no effect: add -m for a sweep", "no effect: find-lr tests one run", "no effect: use sweep(...)"),
    ("one, or with -m each of a=1,2", "one", "one, or sweep(...) over a=1,2"),
    ("-m needs several", "-m needs several", "sweep(...) needs several"),
    ("--top 11: or --split val", "--top 11: or --split val", "top=11: or split=val"),
])  # fmt: skip
def test_advice_is_for_the_caller(text: str, find_lr: str, python: str) -> None:
    assert for_caller(text) == text
    for caller, expected in (("find-lr", find_lr), ("Python", python)):
        with called_by(caller):
            assert for_caller(text) == expected
    assert for_caller(text) == text


def test_what_is_no_folder_is_refused() -> None:
    for folder in (None, 3):
        for kind in (load, Run, Sweep):
            with pytest.raises(SettingError, match=f"^{folder} is not a folder: use the path of one"):
                kind(folder)  # type: ignore[arg-type]


def test_values_of_python_become_overrides() -> None:
    settings = {
        "model": "LeNet-5", "epochs": np.int64(2), "seed": 1, "compile": False, "data.limit": None,
        "callbacks": ["default", "ema"], "data.augment": [{"rotation": 5}, "flip"], "data.root": Path("my data/(1)"),
        "optimizer.lr": 1e-5, "notes": {"why": "it's, new"},
    }  # fmt: skip
    assert override_arguments(["task.sam=0.1"], settings) == [
        "task.sam=0.1", "model=LeNet-5", "epochs=2", "seed=1", "compile=false", "data.limit=null",
        "callbacks=[default,ema]", "data.augment=[{rotation:5},flip]", "data.root='my data/(1)'",
        "optimizer.lr=1e-05", "notes={why:'it\\'s, new'}",
    ]  # fmt: skip
    values = {"optimizer": ("sgd", "adam"), "model.depth": range(2, 4), "callbacks": [["default", "ema"], "none"]}
    assert override_arguments([], values, swept=True) == [
        "optimizer=sgd,adam", "model.depth=2,3", "callbacks=[default,ema],none",
    ]  # fmt: skip


def test_a_run_is_that_of_the_command_and_can_be_used(labbook: Command) -> None:
    typed = read_metrics(labbook(*SMALL, "epochs=1", "metrics=full").run)
    run = train(*SMALL, epochs=1, metrics="full")
    assert run.metrics["test/loss"] == typed["test/loss"]
    assert run.status == "finished"
    assert run.folder.is_absolute()
    assert load(str(run.folder)) == run
    assert (run.folder / "config.yaml").read_text().startswith("# labbook train model=mlp data.limit=60")
    assert run.config.epochs == 1
    assert {name: values.shape for name, values in run.history.items()}["val/acc"] == (1,)
    assert f"test/acc {run.metrics['test/acc']:.4f}" in repr(run)
    figure: Any = run.curves()
    assert figure._repr_png_().startswith(b"\x89PNG")

    tested = run.evaluate()
    assert tested["acc"] == pytest.approx(run.metrics["test/acc"])
    assert {"f1", "auroc"} <= set(tested)
    assert run.evaluate(split="val")["acc"] == pytest.approx(run.metrics["val/acc"])
    with pytest.raises(SettingError, match="split=tset is unknown; did you mean test"):
        run.evaluate(split="tset")

    again = train(resume=run.folder, epochs=2)
    assert again == run
    assert len(run.history["epoch"]) == 2
    with pytest.raises(SettingError, match="has finished its 2 epochs"):
        train(resume=run.folder)


def test_images_are_predicted_in_any_form(trained: Any, tmp_path: Path) -> None:
    run = load(trained(*SMALL, "epochs=1"))
    pixels = np.arange(400, dtype=np.uint8).reshape(20, 20)
    file = tmp_path / "image.png"
    Image.fromarray(pixels).save(file)
    forms = [file, str(file), Image.open(file), pixels, pixels[..., None], torch.from_numpy(pixels)[None]]
    found = run.predict(forms, top=3)
    for prediction in found:
        assert [guess.name for guess in prediction.guesses] == [guess.name for guess in found[0].guesses]
        assert prediction.guesses[0].probability == pytest.approx(found[0].guesses[0].probability)
    assert [prediction.image for prediction in found] == [str(file), str(file), *(f"image {n}" for n in range(2, 6))]
    assert len(found[0].guesses) == 3
    assert len(run.predict(np.stack([pixels] * 2)[..., None])) == 2
    assert [prediction.image for prediction in run.predict(tmp_path / "*.png")] == [str(file)]
    network = run.network()
    assert network.probabilities(torch.zeros(1, 1, 28, 28, dtype=torch.uint8)).shape == (1, 10)

    (tmp_path / "no.png").write_text("no image")
    for images, options, sentence in [
        ([], {}, "nothing to predict"),
        (pixels / 255, {}, r"an image float64 \[20, 20\] cannot be read: use uint8"),
        (tmp_path / "no.png", {}, "no.png"),
        ("nowhere.png", {}, "nowhere.png is not a file"),
        (pixels, {"top": 11}, "top=11: the network knows 10 classes"),
        (pixels, {"top": 0}, "top must be at least 1, not 0"),
        (pixels, {"weights": "bets"}, "weights=bets is unknown; did you mean best?"),
        (pixels, {"trainer.precison": 32}, "trainer.precison is not a setting of this run; did you mean"),
    ]:
        with pytest.raises(SettingError, match=sentence):
            run.predict(images, **options)


def test_an_interrupted_run_keeps_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labbook: Command) -> None:
    usual = signal.getsignal(signal.SIGINT)
    signal_at(monkeypatch, "on_train_epoch_end", 0, 0, signal.SIGINT)
    with pytest.raises(StoppedByUser) as stopped:
        train(*SMALL, epochs=3)
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is usual
    (folder,) = (tmp_path / "logs" / "runs").iterdir()
    assert Run(folder).status == "interrupted"
    assert train(resume=folder).status == "finished"


@pytest.mark.slow
def test_a_sweep_is_done_once_and_shows_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labbook: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    values: dict[str, Any] = {"optimizer": ["sgd", "adam"], "epochs": 1}
    signal_at(monkeypatch, "on_train_epoch_end", 0, 0, signal.SIGINT)
    with pytest.raises(StoppedByUser):
        sweep(*SMALL, **values)
    assert "the sweep is not done: use the same command to resume" in capsys.readouterr().out
    made = sweep(*SMALL, **values)
    assert "1 begun before" in capsys.readouterr().out
    assert sweep(*SMALL, **values) == made == Sweep(made.folder)
    assert "2 skipped as finished before" in capsys.readouterr().out
    assert [run.status for run in made.runs] == ["finished", "finished"]
    capsys.readouterr()
    assert made.best in made.runs
    assert capsys.readouterr() == ("", "")
    assert load(made.folder) == made.best
    assert made.report.rows[0].best is not None
    assert made.report.rows[0].best.path == made.best.folder
    shown = made._repr_html_()
    assert shown.startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert "optimizer adam" in shown
    with pytest.raises(SettingError, match=r"sweep\(\.\.\.\) needs several values"):
        sweep(*SMALL, epochs=1)
    with pytest.raises(SettingError, match="not made by a sweep"):
        Sweep(made.best.folder)
    with pytest.raises(SettingError, match="is not a run folder"):
        Run(made.folder)


@pytest.mark.slow
def test_the_project_around_the_current_folder_is_used_in_any_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labbook: Command
) -> None:
    monkeypatch.chdir(PROJECT / "mylab")
    made: list[Run] = []

    def work() -> None:
        made.append(train(*SMALL, "loss=poly", epochs=1, log_dir=tmp_path))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert made[0].config.loss._target_ == "mylab.losses.PolyLoss"
    assert made[0].evaluate()["loss"] == pytest.approx(made[0].metrics["test/loss"])


def test_a_bar_is_drawn_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not progress.Progress().wanted
    monkeypatch.setattr(progress, "Console", lambda: SimpleNamespace(is_jupyter=True))
    for installed in (object(), None):
        monkeypatch.setattr(progress, "find_spec", lambda _, found=installed: found)
        assert progress.Progress().wanted is (installed is not None)


def test_another_signal_than_that_of_ctrl_c_acts_after_the_state_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", sent.append)
    for signum, raised in ((signal.SIGINT, []), (signal.SIGTERM, [signal.SIGTERM])):
        with pytest.raises(StoppedByUser), called_from_python():
            raise StoppedBySignal(signum)
        assert sent == raised


def test_an_error_of_own_code_comes_with_its_traceback(monkeypatch: pytest.MonkeyPatch, labbook: Command) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError("of my own")

    monkeypatch.setattr("labbook.models.mlp.MLP.forward", fails)
    with pytest.raises(ZeroDivisionError, match="of my own"):
        train(*SMALL, epochs=1)


@pytest.mark.slow
def test_importing_and_refusing_take_no_torch(tmp_path: Path) -> None:
    code = """
import sys
import labbook
assert not {"hydra", "numpy", "omegaconf"} & set(sys.modules), "import labbook is not light"
sys.modules["torch"] = None
from labbook import SettingError, train
try:
    train("modle=mlp")
except SettingError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stdout.startswith("modle is not a setting; did you mean model?"), ended.stderr
