"""What is said to a user who did something wrong."""

import signal

import pytest

from labbook.errors import SettingError, StoppedBySignal, TrainingError, first_line, list_choices


@pytest.mark.parametrize(
    ("wrong", "valid", "text"),
    [
        ("lenet", ["mlp", "lenet5", "alexnet"], "did you mean lenet5? choices: alexnet, lenet5, mlp"),
        ("vgg", ["mlp", "lenet5"], "choices: lenet5, mlp"),
        ("", ["mlp"], "choices: mlp"),
        ("lr", [], "choices: "),
    ],
)
def test_choices_propose_the_nearest_spelling_and_list_all(wrong: str, valid: list[str], text: str) -> None:
    assert list_choices(wrong, valid) == text


def test_choices_say_what_they_are_of() -> None:
    assert (
        list_choices("epohcs", {"epochs": 1, "seed": 2}, "settings here")
        == "did you mean epochs? settings here: epochs, seed"
    )


def test_the_first_line_of_an_error_is_its_sentence() -> None:
    assert first_line(ValueError("\n  no such value.\n    full_key: a.b\n")) == "no such value"
    assert first_line(ValueError()) == ""


def test_errors_are_of_the_kinds_that_callers_expect() -> None:
    assert issubclass(SettingError, ValueError)
    assert issubclass(TrainingError, RuntimeError)
    assert not issubclass(StoppedBySignal, (ValueError, RuntimeError))


def test_an_interruption_knows_its_signal() -> None:
    assert StoppedBySignal(signal.SIGTERM).signum == 15
    assert str(StoppedBySignal(signal.SIGINT)) == "stopped by signal 2"
