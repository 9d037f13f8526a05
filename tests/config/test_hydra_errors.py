"""The table of sentences for errors of Hydra: a command for each row."""

import re
from pathlib import Path

import pytest
import yaml
from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import OmegaConfBaseException

from labbook.config.compose import compose_config
from labbook.config.hydra_errors import ROWS, Failure, Rule, explain_error
from labbook.errors import SettingError
from tests.cases import each_case

# What Hydra says only of a sweep, or of what is installed.
RAISED: dict[str, Exception] = {
    "srun": RuntimeError("Could not detect 'srun', are you indeed on a slurm cluster?"),
    "extra": RuntimeError("Unknown plugin class : 'hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher'"),
    "plugin": RuntimeError("Unknown plugin class : 'somebody.else.Launcher'"),
    "yaml": yaml.YAMLError("line 3"),
    "interval": HydraException("Base sweeper does not support sweep type : IntervalSweep"),
    "combined": ValueError("Only one of --run, --multirun, --cfg, --info can be specified"),
    "deletion": ValueError("Config group override deletion value must be a string : ~model=3"),
    "sweep": HydraException("Sweep parameters 'seed=1,2' requires --multirun"),
}
EXAMPLES: list[tuple[str, str, str]] = [  # the sentence's function or the pattern, the command line, and the sentence
    ("unknown_option", "model=lenet", "model=lenet is unknown; did you mean lenet5? choices: "),
    ("unreadable", "model.units=[1", "cannot read 'model.units=[1': write SETTING=VALUE"),
    ("several_values", "seed=1,2", "seed=1,2 gives several values: add -m to sweep over them, or write seed=[1,2]"),
    ("several_values", "sweep!", "seed=1,2 gives several values"),
    ("does not support sweep type", "interval!", "interval(...) needs a search: add hydra/sweeper=optuna"),
    ("Multiple values for", "++model=mlp", "model is set without +, ++ or ~: model=CHOICE"),
    ("Could not append to config", "+seed=3", "seed is a setting already: write it without +"),
    ("Could not delete from config", "~seedling", "seedling is not a setting"),
    ("unknown_option_in_list", "callbacks=[emma]", "callbacks=emma is unknown; did you mean ema?"),
    (
        "unknown_group",
        "experiment=x!",
        "experiment/x.yaml: modell is not a group; did you mean model?",
    ),
    ("unknown_setting", "model.unit=3", "model.unit is not a setting"),
    ("unknown_setting", "logger={mine: {_target_: a.B}}", "logger.mine is new: write +logger.mine._target_=CLASS"),
    ("wrong_container", "data.augment={flip: 1}", "data.augment must be a list, not {flip: 1}: write data.augment=[{"),
    ("wrong_container", "notes=[1]", "notes must be a mapping such as {NAME: VALUE}, not [1]"),
    ("wrong_type", "epochs=many", "epochs must be a whole number, not many"),
    ("not_a_name", "model=3", "model=3 is not a choice; choices: "),
    ("not_deleted", "deletion!", "~ cannot be deleted: use ~SETTING or ~GROUP"),
    ("inside_list", "data.augment.x=3", "data.augment.x: what is before '.x' is a list: set the whole list"),
    ("srun", "srun!", "hydra/launcher=submitit_slurm: this machine has no Slurm (no srun)"),
    ("missing_plugin", "extra!", "hydra/launcher=ray is not installed: make setup EXTRAS=ray"),
    ("Unknown plugin class", "plugin!", "Unknown plugin class : 'somebody.else.Launcher': hydra/launcher and"),
    ("a file of the configuration", "yaml!", "a file of the configuration cannot be read: line 3"),
    ("Only one of", "combined!", "-m (a sweep), --cfg and --info cannot be combined"),
    ("with_cause", "cause!", "Error in call: nothing there"),
]


def raised(words: str, tmp_path: Path) -> Exception:
    """What Hydra raises for a command line."""
    if words == "cause!":
        error = InstantiationException("Error in call")
        error.__cause__ = OmegaConfBaseException("nothing there")
        return error
    if words.endswith("!") and words[:-1] in RAISED:
        return RAISED[words[:-1]]
    settings = [words.removesuffix("!")]
    if words.startswith("experiment="):
        (tmp_path / "experiment").mkdir()
        (tmp_path / "experiment" / "x.yaml").write_text("# @package _global_\ndefaults:\n  - override /modell: mlp\n")
        settings.append(f"hydra.searchpath=[{tmp_path}]")
    with pytest.raises(SettingError) as refused:
        compose_config(*settings)
    assert isinstance(refused.value.__cause__, Exception)
    return refused.value.__cause__


def fired(error: Exception, arguments: list[str]) -> Rule:
    """The first row that knows an error."""
    for row in ROWS:
        found = re.search(row.pattern, str(error)) if isinstance(error, row.kind) else None
        if found and row.sentence(Failure(error, arguments, found)):
            return row
    raise AssertionError(f"no row for {error}")


def name_of(row: Rule) -> str:
    """The name of its function, or of one without a name the first words of the pattern."""
    named = row.sentence.__name__
    words = re.search(r"\w[\w ]*\w", row.pattern)
    return named if named != "<lambda>" else words[0] if words else "a file of the configuration"


@each_case(("row", "words", "sentence"), EXAMPLES)
def test_each_row_has_its_sentence(row: str, words: str, sentence: str, tmp_path: Path) -> None:
    error = raised(words, tmp_path)
    said = explain_error(error, [words])
    assert said is not None
    assert said.startswith(sentence)
    assert name_of(fired(error, [words])) == row


def test_every_row_has_an_example() -> None:
    assert {name_of(row) for row in ROWS} == {row for row, _, _ in EXAMPLES}


def test_an_unknown_error_is_left_alone() -> None:
    assert explain_error(ValueError("something else"), ["seed=1"]) is None
