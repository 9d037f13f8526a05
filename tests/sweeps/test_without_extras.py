"""Sweeps and configurations in an environment without extras."""

from pathlib import Path

import pytest

from labbook.installation import CONFIGS
from tests.conftest import Ended
from tests.sweeps.running import TINY, run

EXTRAS = ("joblib", "ray", "submitit", "optuna")


# An interpreter to which no extra is installed, and what it does.
WITHOUT_EXTRAS = """
import importlib.metadata
import sys

EXTRAS = "hydra_plugins joblib ray submitit optuna wandb mlflow tensorflow onnx onnxruntime onnxscript captum gradio"
sys.modules.update(dict.fromkeys(EXTRAS.split()))
found = importlib.metadata.entry_points
importlib.metadata.entry_points = lambda **wanted: () if wanted.get("group") == "hydra.plugins" else found(**wanted)
"""


BARE = f"""{WITHOUT_EXTRAS}
import train
from labbook.cli import command_line as cli

sys.argv[0] = "train.py"
cli.run_command_line(train.main)
"""


REFUSES = f"""{WITHOUT_EXTRAS}
import train
from labbook.cli import command_line as cli
from tests import hydra_memory

hydra_memory.install()

for choice in sys.argv[1:]:
    sys.argv = ["train.py", "-m", "seed=1,2", choice]
    try:
        cli.run_command_line(train.main)
    except SystemExit as end:
        print(end.code, choice, file=sys.stderr)
"""


# Choices of all groups at once where they go together, as each composition takes a quarter of a second.
COMPOSES = f"""{WITHOUT_EXTRAS}
from itertools import zip_longest

from tests import hydra_memory

from labbook.config.compose import compose_config
from labbook.config.schema import FILES
from labbook.installation import CONFIGS

hydra_memory.install()
groups = [path for path in CONFIGS.rglob("*") if path.is_dir() and path.name not in ("base", "hydra", "model_data")]
choices = {{path: [file.stem for file in sorted(path.glob("*.yaml"))] for path in groups}}
alone = [(group, name) for group, names in choices.items() if group.name in FILES for name in names]
together = [
    [(group, name) for group, name in zip(choices, row, strict=True) if name and (group, name) not in alone]
    for row in zip_longest(*choices.values())
]
for row in [*([choice] for choice in alone), *together]:
    compose_config(*(f"{{group.relative_to(CONFIGS).as_posix()}}={{name}}" for group, name in row))
    for group, name in row:
        print(f"{{group.relative_to(CONFIGS).as_posix()}}/{{name}}.yaml")
for file in sorted((CONFIGS / "model_data").glob("*.yaml")):  # taken where a model meets a data set
    models = [path.stem for path in (CONFIGS / "model").glob("*.yaml") if file.stem.startswith(f"{{path.stem}}_")]
    model = max(models, key=len)
    compose_config(f"model={{model}}", f"data={{file.stem.removeprefix(model + '_')}}")
    print(file.relative_to(CONFIGS).as_posix())
"""


@pytest.mark.slow
def test_every_configuration_composes_without_extras(tmp_path: Path) -> None:
    ended: Ended = run(cwd=tmp_path, code=COMPOSES)
    assert ended.code == 0, ended.out + ended.err
    files = {path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml")}
    assert set(ended.out.split()) == {name for name in files if "/" in name and not name.startswith("base/")}


EXTRA_OF = {
    "hydra/launcher=joblib": "joblib",
    "hydra/launcher=ray": "ray",
    "hydra/launcher=submitit_local": "submitit",
    "hydra/launcher=submitit_slurm": "submitit",
    "hydra/sweeper=optuna": "optuna",
    "sweep=search_lenet5": "optuna",
}


def test_extras_that_are_not_installed(tmp_path: Path) -> None:
    ended: Ended = run(*EXTRA_OF, cwd=tmp_path, code=REFUSES)
    lines = ended.err.splitlines()
    assert lines[1::2] == [f"2 {choice}" for choice in EXTRA_OF], ended.out + ended.err
    for line, (choice, extra) in zip(lines[::2], EXTRA_OF.items(), strict=True):
        named = choice if choice.startswith("hydra/") else "hydra/sweeper=optuna"
        assert line.startswith(f"error: {named} is not installed: make setup EXTRAS={extra}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_sweeps_need_no_extra(tmp_path: Path) -> None:
    ended = run(*TINY, "model.width=4,8", cwd=tmp_path, code=BARE)
    assert ended.code == 0, ended.err
    assert "2 runs: 2 finished" in ended.out
