"""Every command of the README and of docs/, run."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from labbook import evaluation_files
from labbook.cli import CONFIGS
from labbook.config import GROUPS
from labbook.models.torchvision_model import TorchvisionModel
from scripts import compare, evaluate
from scripts.new import PACKAGES as OF_ONES_OWN
from tests.conftest import Command

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def commands(page: str) -> list[str]:
    return [line for block in blocks("sh", page) for line in block.strip().splitlines()]


LABS = commands((ROOT / "docs" / "results.md").read_text(encoding="utf-8"))
RECIPES = commands((ROOT / "docs" / "recipes.md").read_text(encoding="utf-8"))
COMMANDS = list(dict.fromkeys(line for page in (README, *DOCS) for line in commands(page)))
TRAINING = [line for line in COMMANDS if line.startswith("python train.py") and " --" not in line]
MEASURING = [line for line in COMMANDS if re.match(r"python scripts/(benchmark|frameworks|stress)\.py", line)]
ELSEWHERE = [line for line in COMMANDS if line.startswith("python scripts/export.py")]  # which tests of theirs run
LOOKING = [line for line in COMMANDS if re.match(r"python scripts/(models|draw)\.py", line)]
JUDGING = [line for line in COMMANDS if re.match(r"python scripts/(evaluate|compare)\.py", line)]
BEST = "python train.py --config-dir=logs/sweeps/NAME experiment=best"
SERVE = "python scripts/serve.py logs/runs/NAME"  # tests/serving runs it
RESULTS = "python scripts/results.py"
REPORT = "python scripts/report.py logs/sweeps/NAME"
# What makes a documented command quick: less of what it has much of.
QUICKLY = ["data.limit=60", "epochs=1"]


def test_the_first_command_comes_early() -> None:
    lines = README.splitlines()
    assert lines.index("make train") < 25


def test_every_command_is_known_here() -> None:
    known = {"make train", "make tensorboard", "python train.py --help", "make setup EXTRAS=serve", SERVE,
             "python train.py model=alexnet --cfg job", 'make train ARGS="model=alexnet data=cifar10"',
             'make setup EXTRAS="joblib optuna"', "make benchmark", "make stress", "make completion", BEST, REPORT,
             RESULTS, f"{RESULTS} --keep logs/sweeps/NAME"}  # fmt: skip
    assert set(COMMANDS) - {*TRAINING, *MEASURING, *LOOKING, *JUDGING, *ELSEWHERE} == known


def test_make_knows_its_targets() -> None:
    for target in {line.split()[1] for line in COMMANDS if line.startswith("make")} | {"test", "lint", "help", "lock"}:
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def make_images(root: Path) -> None:
    """MNIST's files and a folder of photographs, with a few random pictures each."""
    raw = root / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        pixels, labels = torch.randint(0, 256, (80, 28, 28)), torch.arange(80) % 10
        header = b"".join(number.to_bytes(4, "big") for number in (2051, 80, 28, 28))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + bytes(pixels.flatten().tolist()))
        header = b"".join(number.to_bytes(4, "big") for number in (2049, 80))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + bytes(labels.tolist()))
    for part in ("train", "test"):
        for name in ("cats", "dogs"):
            folder = root / "FOLDER" / part / name
            folder.mkdir(parents=True)
            for number in range(4):
                colour = (number * 40, 99 if name == "cats" else 199, 0 if part == "train" else 99)
                Image.new("RGB", (90, 70), colour).save(folder / f"{number}.jpg")


def skip_without_extra(words: list[str]) -> None:
    for word, plugin in (("joblib", "hydra_joblib_launcher"), ("optuna", "hydra_optuna_sweeper"),
                         ("search_lenet5", "hydra_optuna_sweeper")):  # fmt: skip
        if any(item.endswith(f"={word}") for item in words):
            pytest.importorskip(f"hydra_plugins.{plugin}", reason=f"the extra for {word} is not installed")


def takes_long(line: str) -> bool:
    """Whether a command starts processes, or is a sweep of a lab or a recipe: those have tests of their own."""
    return "joblib" in line or line in LABS or line in RECIPES


@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=[pytest.mark.slow] if takes_long(line) else []) for line in TRAINING]
)
@pytest.mark.usefixtures("undrawn")
def test_every_training_runs(labbook: Command, tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line)[2:]
    skip_without_extra(words)
    if "model.pretrained=true" in words:  # which are not here; tests/models/test_torchvision_model.py has some
        monkeypatch.setattr(TorchvisionModel, "load", lambda _: None)
        words.append("data.image_size=32")
    make_images(tmp_path)
    if words[0].startswith("resume="):
        run = labbook("model=mlp", "callbacks=none", *QUICKLY).run
        words = [f"resume={run}", "epochs=2"]
    else:
        quickly = [*QUICKLY, "callbacks=none"] if "-m" in words else QUICKLY
        quickly += ["seeds=2"] if "seeds=3" in words else []
        quickly += ["sweep.n_trials=2"] if any("optuna" in word or "search" in word for word in words) else []
        instead = {word.split("=")[0] for word in quickly}
        words = [word for word in words if word.split("=")[0] not in instead] + quickly
    ended = labbook(*words)
    assert ended.code == 0, ended.err
    assert ended.run.is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("line", MEASURING)
def test_every_measurement_runs(tmp_path: Path, line: str) -> None:
    words = shlex.split(line)[1:]
    if "frameworks" in words[0]:
        if find_spec("tensorflow") is None:
            pytest.skip("the extra keras is not installed")
        make_images(tmp_path)
        words += QUICKLY
    words += {"stress": ["--quick", "--seconds", "60"], "benchmark": ["--repetitions", "1"]}.get(
        Path(words[0]).stem, []
    )
    command = [sys.executable, ROOT / words[0], *words[1:]]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "torch" in ended.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("line", LOOKING)
def test_every_look_at_a_network_finds_it(tmp_path: Path, line: str) -> None:
    words = shlex.split(line)[1:]
    if "draw" in words[0] and shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    command = [sys.executable, ROOT / words[0], *words[1:]]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.search("^(model|drawing:) ", ended.stdout, re.MULTILINE)


def test_every_run_is_tested_and_compared(
    labbook: Command, script: Callable[[ModuleType], Command], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_files, "pictures", lambda *_: {})  # tested where runs are tested again
    make_images(tmp_path)
    for name in ("NAME", "OTHER"):
        labbook("model=mlp", "callbacks=none", *QUICKLY).run.rename(f"logs/runs/{name}")
    assert len(JUDGING) > 4
    for line in JUDGING:
        _, program, *words = shlex.split(line)
        ended = script({"evaluate": evaluate, "compare": compare}[Path(program).stem])(*words)
        assert ended.code == 0, ended.err


@pytest.mark.usefixtures("undrawn")
def test_the_best_of_a_sweep_is_done_again_and_the_report_made_again(labbook: Command) -> None:
    swept = labbook("-m", "sweep.name=NAME", "model=mlp", "model.depth=1,2", "callbacks=none", *QUICKLY)
    sweep = swept.run
    (sweep / "report.html").unlink()
    words = shlex.split(REPORT)
    made = subprocess.run([sys.executable, ROOT / words[1], *words[2:]], capture_output=True, text=True, check=True)
    assert "2 runs: 2 finished" in made.stdout
    assert (sweep / "report.html").is_file()
    again = labbook(*shlex.split(BEST)[2:], "callbacks=none")
    assert again.code == 0, again.err
    test = re.findall(r"^test loss .* acc \S+", again.out, re.MULTILINE)
    assert test[0] in swept.out


@pytest.mark.usefixtures("undrawn")
def test_a_preset_like_the_documented_one_works(labbook: Command, tmp_path: Path) -> None:
    settings = next(block for page in DOCS for block in blocks("yaml", page) if "my lab" in block)
    (tmp_path / "more" / "sweep").mkdir(parents=True)
    (tmp_path / "more" / "sweep" / "mine.yaml").write_text(settings)
    ended = labbook("-m", "--config-dir=more", "sweep=mine", "callbacks=none", *QUICKLY)
    assert ended.code == 0, ended.err
    assert ended.run.name == "mine_epochs-1_limit-60"
    assert "0.9000" in ended.out  # the published figure, in the table


def test_the_whole_default_reaches_its_accuracy(labbook: Command) -> None:
    ended = labbook()
    assert "note:" not in ended.out
    accuracy = re.search(r"^test .* acc (\S+)", ended.out, re.MULTILINE)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.97


def test_the_configuration_is_printed(labbook: Command) -> None:
    ended = labbook("model=alexnet", "--cfg", "job")
    assert ended.code == 0
    assert "_target_: labbook.models.alexnet.AlexNet" in ended.out


@pytest.mark.filterwarnings("ignore:.*smaller than the logging interval")
def test_the_notebook_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = next(block for block in blocks("python") if "trainer.fit" in block)
    exec(compile(code, "README.md", "exec"), {})
    assert "Figures(loss=" in capsys.readouterr().out


def test_the_groups_of_the_readme_are_those_there_are() -> None:
    for group in GROUPS:
        row = next(line for line in README.splitlines() if line.startswith(f"| `{group}` |"))
        listed = set(re.findall(r"`(\w+)`", row)) - {group}
        there = {path.stem for path in (CONFIGS / group).glob("*.yaml")}
        assert listed <= there, group
        assert listed == there or group in OF_ONES_OWN, group


@pytest.mark.parametrize(("kind", "name"), [("model", "linear"), ("data", "noise")])
def test_what_the_readme_adds_works(
    labbook: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, name: str
) -> None:
    package = "models" if kind == "model" else kind
    code = next(block for block in blocks("python") if f"class {name.capitalize()}(" in block)
    settings = next(block for block in blocks("yaml") if f"labbook.{package}.{name}." in block)
    module = __import__(f"labbook.{package}", fromlist=["__path__"])
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / f"{name}.py").write_text(code)
    monkeypatch.setattr(module, "__path__", [*module.__path__, str(tmp_path / "package")])
    (tmp_path / "more" / kind).mkdir(parents=True)
    (tmp_path / "more" / kind / f"{name}.yaml").write_text(settings)
    try:
        ended = labbook(f"{kind}={name}", "model=mlp" if kind == "data" else "data=digits", "epochs=1",
                        f"hydra.searchpath=[file://{tmp_path / 'more'}]")  # fmt: skip
    finally:
        sys.modules.pop(f"labbook.{package}.{name}", None)
    assert ended.code == 0, ended.err
