"""A wrong sweep is refused before any of its runs begins, in one sentence, and leaves nothing behind."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

from labbook.errors import SettingError
from labbook.sweeps import checking
from labbook.training import hardware
from tests.cases import each_case
from tests.conftest import Command
from tests.sweeps.running import PLAIN, TINY, done, needs

REFUSED = [
    ("nothing swept", [], "-m needs several values: use KEY=A,B, seeds=N or sweep=PRESET"),
    ("resume", ["resume=logs/runs/x", "model.width=4,8"], "resume= is for one run; to resume a sweep (-m)"),
    ("swept threads", ["threads=1,2"],
     "threads accepts one value and cannot be swept, because runs that differ only in it count as the same run"),
    ("swept caches", ["++data.cache_dir=a,b"], "++data.cache_dir accepts one value and cannot be swept, because runs"),
    ("swept seeds", ["seeds=1,2"], "seeds accepts one value and cannot be swept"),
    ("too many threads", ["threads=9999", "seed=1,2"], "threads=9999: this process has "),
    ("no weights", ["model.weights=no.pt", "seed=1,2"], "model.weights=no.pt does not exist"),
    ("swept seed", ["seeds=2", "seed=1,2"], "seeds=2 and several values of seed do not go together"),
    ("swept fold", ["folds=2", "fold=1,2"], "folds=2 and several values of fold do not go together"),
    ("one fold", ["folds=1", "seed=1,2"], "folds=1 leaves nothing to train on: use folds=2 or more; folds=0 is off"),
    ("no seeds", ["seeds=0"], "seeds must be at least 1, not 0"),
    ("unknown key", ["model.widht=4,8"], "model.widht is not a setting; did you mean width?"),
    ("unknown key, not swept", ["model.widht=4", "seed=1,2"], "model.widht is not a setting; did you mean width?"),
    ("unknown choice", ["optimizer=adam,adma"], "optimizer=adma is unknown; did you mean adam?"),
    ("unknown preset", ["sweep=smok"], "sweep=smok is unknown; did you mean smoke?"),
    ("unknown launcher", ["hydra/launcher=job", "seed=1,2"], "hydra/launcher=job is unknown; did you mean joblib?"),
    ("value out of range", ["epochs=1,0"], "epochs must be at least 1, not 0"),
    ("another out of range", ["task.label_smoothing=0.1,1"], "task.label_smoothing must be less than 1, not 1.0"),
    ("value of another type", ["epochs=1,many"], "epochs"),
    ("setting of sweeps out of range", ["sweep.max_failures=-1", "seed=1,2"], "sweep.max_failures must be at least 0"),
    ("unknown way to end", ["sweep.on_error=halt", "seed=1,2"], "sweep.on_error"),
    ("unknown setting of sweeps", ["sweep.retry=true", "seed=1,2"], "sweep.retry is not a setting"),
    ("no trials", ["hydra/sweeper=optuna", "seed=1,2", "sweep.n_trials=0"], "sweep.n_trials must be at least 1, not 0"),
    ("search by grid", ["hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "seed=1,2"],
     "hydra/sweeper/sampler=grid: for every combination use hydra/sweeper=basic"),
    ("unknown sampler", ["hydra/sweeper=optuna", "hydra/sweeper/sampler=tpee", "seed=1,2"],
     "hydra/sweeper/sampler=tpee is unknown; did you mean tpe? choices: "),
    ("several devices", ["trainer.devices=2", "seed=1,2"], "trainer.devices=2 is 2 devices: a run of a sweep (-m)"),
    ("swept devices", ["trainer.devices=1,2"], "trainer.devices=2 is 2 devices: a run of a sweep (-m) is one process"),
    ("listed devices", ["trainer.devices=[0,1]", "seed=1,2"], "trainer.devices=[0, 1] is 2 devices"),
    ("several processes", ["trainer.strategy=fsdp", "seed=1,2"], "trainer.strategy=fsdp: a run of a sweep (-m) is one"),
    ("several machines", ["+trainer.num_nodes=2", "seed=1,2"], "trainer.num_nodes=2: a run of a sweep (-m) is one"),
    ("several tasks", ["hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=2", "seed=1,2"],
     "hydra.launcher.tasks_per_node=2 must be 1: a run of a sweep is one process"),
    ("no processes", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=0", "seed=1,2"],
     "hydra.launcher.n_jobs=0 must be a number of runs at once, or -1 for one per core"),
    ("no cores", ["hydra/launcher=ray", "hydra.launcher.ray.init.num_cpus=0", "seed=1,2"],
     "hydra.launcher.ray.init.num_cpus=0 must be at least 1, or null"),
    ("batches of nothing", ["hydra.sweeper.max_batch_size=0", "seed=1,2"],
     "hydra.sweeper.max_batch_size=0 must be at least 1, or null"),
    ("search by no process", ["hydra/sweeper=optuna", "hydra.sweeper.n_jobs=0", "seed=1,2"],
     "hydra.sweeper.n_jobs=0 must be at least 1"),
    ("reversed interval", ["hydra/sweeper=optuna", "optimizer.lr=interval(1e-1,1e-3)"],
     "optimizer.lr=interval(1e-1,1e-3): an interval begins with its lower end"),
    ("logarithm of nothing", ["hydra/sweeper=optuna", "optimizer.lr=tag(log,interval(0,1e-3))"],
     "optimizer.lr=tag(log,interval(0,1e-3)): a logarithmic interval begins above 0"),
    ("empty range", ["hydra/sweeper=optuna", "model.width=range(8,4)"], "model.width=range(8,4): "),
    ("grid over an empty range", ["model.width=range(8,4)"], "model.width=range(8,4) has no value to sweep over"),
    ("no choice of this name", ["model=glob(zz*)"], "model=glob(zz*) has no value to sweep over"),
    ("forced for no drawn choice", ["hydra/sweeper=optuna", "optimizer=adam,sgd", "++optimizer.momentun=0.9"],
     "++optimizer.momentun=0.9: none of optimizer=adam, optimizer=sgd has this setting"),
    ("trials without validation", ["hydra/sweeper=optuna", "data.val_fraction=interval(0,0.2)"],
     "data.val_fraction=interval(0.0,0.2): with 0 there are no validation images for objective=val/acc"),
    ("trials validated on the test set", ["hydra/sweeper=optuna", "data.validation=split,test"],
     "data.validation=choice(split,test): the test set must not select anything: leave test out"),
    ("search of nothing", ["hydra/sweeper=optuna"], "-m needs several values"),
]  # fmt: skip
EXTRAS = ("joblib", "ray", "submitit", "optuna")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(arguments, text, id=name, marks=[needs(each) for each in EXTRAS if each in " ".join(arguments)])
        for name, arguments, text in REFUSED
    ],
)
def test_refusals(labbook: Command, tmp_path: Path, arguments: list[str], text: str) -> None:
    ended = labbook(*TINY, *arguments)
    assert ended.code == 2, ended.out
    assert text in ended.sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sweep=smoke"], "sweep=smoke makes several runs: add -m"),
        (["seeds=3"], "seeds=3 makes several runs: add -m, or use seed=N for another seed"),
        (["folds=3"], "folds=3 makes several runs: add -m, or use fold=N for one fold, from 1 to 3"),
        (["folds=3", "fold=4"], "fold=4 is one of 3 folds: use folds=N and a fold from 1 to N"),
        (["fold=1"], "fold=1 is one of 0 folds: use folds=N and a fold from 1 to N"),
    ],
)
def test_what_only_a_sweep_can_have(labbook: Command, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    ended = labbook(*PLAIN, *arguments)
    assert (ended.code, ended.sentence) == (2, sentence)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_leaves_a_sweep_that_was_there(labbook: Command) -> None:
    sweep = done(labbook(*TINY, "seed=1,2"))
    files = {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()}
    ended = labbook(*TINY, "seed=1,2,-1")
    assert ended.code == 2
    assert {path: path.read_bytes() for path in sweep.rglob("*") if path.is_file()} == files


@pytest.mark.slow
def test_a_preset_takes_the_settings_of_its_data(labbook: Command) -> None:
    assert "data.root=nowhere does not exist" in labbook("-m", "sweep=d", "data.cache_dir=x", "data.root=nowhere").err


@pytest.mark.slow
def test_a_setting_of_what_is_swept_over_is_given_with_two_signs(labbook: Command) -> None:
    swept = "experiment=d1_cats_dogs,d3_cats_dogs"
    ended = labbook("-m", swept, "data.cache_dir=x")
    assert ended.code == 2
    assert ended.sentence.startswith("data.cache_dir is not a setting of all swept choices; it is a setting of data=")
    assert ended.sentence.endswith("; to set it only for the options that have it, use ++data.cache_dir=VALUE")
    found = labbook("-m", swept, "++data.cache_dir=x", "data.root=nowhere")
    assert "data.root=nowhere does not exist" in found.err
    assert "swept choices" not in labbook("-m", "seed=1,2", "data.cache_dir=x").sentence


@pytest.mark.slow
def test_a_setting_goes_to_the_swept_choices_that_have_it(labbook: Command) -> None:
    swept = ("-m", *PLAIN[1:], "epochs=1", "model=lenet5,mlp")
    refused = labbook(*swept, "model.width=4")
    assert refused.sentence.endswith("; to set it only for the options that have it, use ++model.width=VALUE")
    of_the_first = labbook(*swept[:-1], "model=mlp,lenet5", "model.width=4")
    assert of_the_first.sentence.startswith("model.width is not a setting of all swept choices; it is a setting of mod")
    of_none = labbook(*swept[:-1], "model=lenet5,convnet", "model.width=4")
    assert "++" not in of_none.sentence
    assert "; it is a setting of model=mlp" in of_none.sentence
    assert "++model.width=VALUE" in labbook("-m", "sweep=zoo", "model.width=4").sentence
    assert "++" not in labbook("-m", "sweep=e1_width", "model.padding=4").sentence
    assert "++" not in labbook("-m", "sweep=d", "optimizer.foo=4").sentence
    misspelt = labbook(*swept, "++model.widht=4")
    assert (misspelt.code, misspelt.sentence) == (
        2,
        "++model.widht=4: none of model=lenet5, model=mlp has this setting",
    )
    assert not Path("logs").exists()
    ended = labbook(*swept, "++model.width=4,8")
    sweep = done(ended)
    assert "left out for options without this setting: ++model.width=4 (model=lenet5)" in ended.out
    widths = [yaml.safe_load(file.read_text())["model"].get("width") for file in sweep.glob("*/config.yaml")]
    assert sorted(widths, key=str) == [4, 8, None]
    again = labbook(*swept, "++model.width=4,8")
    assert "of 3 runs: 3 finished already" in again.out


def test_a_setting_that_cannot_work_in_a_sweep(labbook: Command) -> None:
    ended = labbook(*TINY, "trainer=ddp", "trainer.accelerator=cpu", "model.width=4,8")
    assert ended.code != 0
    assert (
        "trainer.strategy=ddp: a run of a sweep (-m) is one process on one device: use trainer.devices=1" in ended.err
    )
    assert "Traceback" not in ended.err


@needs("joblib")
def test_what_a_launcher_itself_refuses(labbook: Command) -> None:
    ended = labbook(*TINY, "hydra/launcher=joblib", "+hydra.launcher.backend=none", "seed=1,2")
    assert ended.code == 2
    assert "error: hydra.launcher: Unsupported Joblib backend 'none'" in ended.err


@each_case(
    ("devices", "accelerator", "count"),
    [
        (1, "auto", 1),
        ("1", "gpu", 1),
        ([3], "gpu", 1),
        ("3,", "gpu", 1),
        (2, "cpu", 2),
        ("2", "auto", 2),
        ([0, 1], "auto", 2),
        ("0,1", "auto", 2),
        ("0, 1, 2", "auto", 3),
        (-1, "auto", 4),
        ("-1", "gpu", 4),
        ("auto", "auto", 4),
        ("auto", "cpu", 1),
        (-1, "mps", 1),
    ],
)
def test_all_spellings_of_several_devices(
    devices: object, accelerator: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "describe_machine", lambda: hardware.Machine(gpus=4))
    asked = {"devices": devices, "accelerator": accelerator, "strategy": "auto"}
    with pytest.raises(SettingError) if count > 1 else nullcontext():
        checking.check_one_process_per_run(asked)
    assert hardware.device_count(devices, accelerator) == count


def test_a_folder_of_something_else_is_left_alone(labbook: Command) -> None:
    mine = Path("logs/sweeps/mine")
    mine.mkdir(parents=True)
    (mine / "notes.txt").write_text("mine")
    ended = labbook(*TINY, "model.width=4,8", "sweep.name=mine")
    assert (ended.code, ended.sentence) == (
        2,
        "logs/sweeps/mine exists and was not created by a sweep: use another sweep.name=NAME",
    )
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("text", ['{"made_by": "somebody"}', "[1]", "{", ""])
def test_a_mark_of_something_else_is_none(labbook: Command, text: str) -> None:
    mine = Path("logs/sweeps/mine")
    mine.mkdir(parents=True)
    (mine / "sweep.json").write_text(text)
    ended = labbook(*TINY, "model.width=4,8", "sweep.name=mine")
    assert ended.code == 2
    assert "was not created by a sweep" in ended.sentence
    assert [path.name for path in mine.iterdir()] == ["sweep.json"]


def test_starting_over_does_not_move_what_something_else_made(labbook: Command) -> None:
    mine = Path("logs/sweeps/mine")
    mine.mkdir(parents=True)
    (mine / "notes.txt").write_text("mine")
    ended = labbook(*TINY, "model.width=4,8", "sweep.name=mine", "sweep.rerun=true")
    assert ended.code == 2
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


def test_a_place_that_cannot_be_written_to(labbook: Command) -> None:
    Path("file").write_text("")
    ended = labbook(*TINY, "model.width=4,8", "log_dir=file")
    assert ended.code == 2
    assert "use another folder with log_dir=FOLDER" in ended.sentence
