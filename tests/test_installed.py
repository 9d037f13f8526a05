"""The wheel carries all that the command `labbook` needs, for a folder that has none of the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from labbook.installation import CHECKOUT, CONFIGS

COMMAND = "import sys; sys.argv[0] = 'labbook'; from labbook.cli.commands import main; main()"
NO_TORCH = "import sys; sys.modules['torch'] = None; "  # importing it fails


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel is installed into."""
    copy, wheels, target = (tmp_path_factory.mktemp(name) for name in ("copy", "wheels", "installed"))
    assert CHECKOUT is not None
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, copy)
    for name in ("src", "configs"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(wheels), str(copy)]
    subprocess.run([sys.executable, "-m", *build], check=True, capture_output=True)
    with zipfile.ZipFile(next(wheels.glob("labbook_vision-*.whl"))) as wheel:
        wheel.extractall(target)
    return target


@pytest.mark.slow
def test_the_command_does_its_work_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    def run(*words: str, before: str = "", code: int = 0) -> str:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), sysconfig.get_paths()["purelib"]])}
        ended = subprocess.run(
            [sys.executable, "-c", before + COMMAND, *words],
            cwd=tmp_path, env={**env, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    found = {
        path.relative_to(installed / "labbook" / "configs") for path in installed.glob("labbook/configs/**/*.yaml")
    }
    assert found == {path.relative_to(CONFIGS) for path in CONFIGS.rglob("*.yaml")}
    assert "labbook COMMAND" in run("--help", before=NO_TORCH)
    assert "labbook train model=alexnet" in run("train", "--help", before=NO_TORCH)
    assert "usage: labbook evaluate" in run("evaluate", "--help", before=NO_TORCH)
    assert "did you mean mlp?" in run("train", "model=mpl", before=NO_TORCH, code=2)
    assert "labbook trian is not a command" in run("trian", before=NO_TORCH, code=2)
    run_folder = run("train", "epochs=1", "data.limit=100").strip().splitlines()[-1].removeprefix("run: ")
    assert (tmp_path / run_folder / "config.yaml").read_text().startswith("# labbook train epochs=1")
    assert "evaluation: " in run("evaluate", run_folder)
    assert "correct: " in run("predict", run_folder, "--test-index", "0", "1")
    run("train", "-m", "seed=1,2", "epochs=1", "data.limit=100", "sweep.name=two")
    assert "report: logs/sweeps/two/report.html" in run("report", "logs/sweeps/two")
    python = "import sys; from labbook import load, sweep, train; train('epochs=1', 'data.limit=100').curves()"
    assert "epoch 1/1" in run(before=f"{python}; print(load({run_folder!r}).evaluate()); sys.exit(); ")
    assert {path.name for path in tmp_path.iterdir()} == {"logs"}
