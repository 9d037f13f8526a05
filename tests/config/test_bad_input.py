"""Whatever a user gets wrong ends in one sentence that names the setting, and leaves nothing behind.

Each refusal is the whole program's: exit code 2, one line on the error stream, no run folder.
"""

from pathlib import Path

import pytest

from labbook.config.schema import GROUPS
from labbook.installation import CONFIGS
from tests.cases import each_case
from tests.config.bad_settings import REFUSED
from tests.conftest import Command, Ended

CHOICES = {group: [path.stem for path in sorted((CONFIGS / group).glob("*.yaml"))] for group in GROUPS}
QUICK = ("model=mlp", "data.limit=64", "trainer.precision=32", "callbacks=none", "logger=none")


def refused(ended: Ended, *parts: str) -> str:
    """The sentence of a refusal, made sure that it is one and holds all `parts`."""
    assert ended.code == 2, ended.out + ended.err
    sentence = ended.sentence
    for part in parts:
        assert part in sentence
    assert "run: " not in ended.out
    assert "Traceback" not in ended.err
    assert not list(Path("logs").rglob("*/*"))  # nothing in logs/runs, and no other folder
    return sentence


# Choices -----------------------------------------------------------------------------------------------------------


@each_case("group", GROUPS)
def test_an_unknown_choice_is_refused_with_all_choices(group: str, labbook: Command) -> None:
    right = CHOICES[group][-1]
    wrong = f"{right[:-1]}x"
    sentence = refused(labbook(f"{group}={wrong}"))
    assert sentence == f"{group}={wrong} is unknown; did you mean {right}? choices: {', '.join(CHOICES[group])}"


@each_case(("group", "value"), [*((group, "null") for group in GROUPS), ("model", "3"), ("data", "true")])
def test_a_choice_that_is_no_name_is_refused_with_all_choices(group: str, value: str, labbook: Command) -> None:
    sentence = refused(labbook(f"{group}={value}"))
    assert sentence == f"{group}={value} is not a choice; choices: {', '.join(CHOICES[group])}"


@each_case("group", GROUPS)
def test_a_misspelt_group_is_refused(group: str, labbook: Command) -> None:
    wrong = f"{group[0]}{group[2]}{group[1]}{group[3:]}"
    refused(labbook(f"{wrong}={CHOICES[group][0]}"), f"{wrong} is not a setting; did you mean {group}? settings here: ")


@each_case("argument", ["+model=mlp", "++model=mlp", "+debug=fast"])
def test_a_choice_takes_no_plus(argument: str, labbook: Command) -> None:
    name = argument.lstrip("+").partition("=")[0]
    assert refused(labbook(argument)) == f"{name} is set without +, ++ or ~: {name}=CHOICE"


# Settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_settings_that_cannot_work_are_refused(first: int, labbook: Command) -> None:
    @each_case(("arguments", "sentence"), REFUSED[first::3])
    def check(arguments: str, sentence: str) -> None:
        refused(labbook(*arguments.split()), sentence)

    check()


@each_case("variable", ["LOCAL_RANK", "RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK", "MASTER_PORT"])
@each_case("value", ["x", "", "-1"])
def test_variables_of_processes_that_are_no_numbers(
    variable: str, value: str, labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv(variable, value)
        sentence = refused(labbook(*QUICK, "trainer=ddp", "trainer.devices=1"))
    assert sentence == (
        f"the environment variable {variable}={value} must be a number, 0 or more: unset it, or correct it"
    )


def test_a_sweep_over_what_cannot_work_is_refused(labbook: Command) -> None:
    for override, sentence in (
        ("seed=1,abc", "seed must be a whole number, not abc"),
        ("optimizer.lrr=1,2", "optimizer.lrr is not a setting"),
    ):
        ended = labbook("-m", override)
        assert ended.code == 2
        assert ended.sentence.startswith(sentence)
        assert not list(Path("logs").rglob("config.yaml"))


@pytest.mark.parametrize("argument", ["optimizer.betas=[0.8,0.99]", "epochs=1", "model.activation=gelu"])
def test_the_neighbours_of_what_is_refused_work(argument: str, labbook: Command) -> None:
    ended = labbook("data.limit=32", "callbacks=none", "logger=none", "debug=fast", argument)
    assert ended.code == 0, ended.err
    assert ended.err == ""
