"""A configuration that is read from the file of a run."""

from typing import Any

import pytest
from omegaconf import OmegaConf, open_dict

from labbook.config import schema as config
from labbook.errors import SettingError
from tests.composing import composed


def test_a_saved_configuration_is_typed_again_and_keeps_what_was_added() -> None:
    saved = OmegaConf.create(OmegaConf.to_yaml(composed("epochs=7", "notes.why=mine"), resolve=True))
    with open_dict(saved):
        saved.note = "of a run of before there was notes"
    again = config.with_schema_types(saved, "run/config.yaml")
    assert (again.epochs, again.notes.why, again.note, again.model) == (7, "mine", saved.note, saved.model)
    assert OmegaConf.to_container(again) == OmegaConf.to_container(saved)


def test_settings_that_a_saved_configuration_does_not_know_have_their_defaults() -> None:
    saved = OmegaConf.create(OmegaConf.to_yaml(composed(), resolve=True))
    del saved["task"]
    assert config.with_schema_types(saved, "run/config.yaml").task.label_smoothing == 0.0


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("epochs", "many", "run/config.yaml: epochs: Value 'many' of type 'str' could not be converted to Integer"),
        ("epochs", -1, "epochs must be at least 1, not -1"),
        (
            "test_checkpoint",
            "first",
            "run/config.yaml: test_checkpoint: Invalid value 'first', expected one of ['best', 'last']",
        ),
        ("model", "mlp", "model must be one of its choices and not mlp"),
    ],
)
def test_a_saved_configuration_that_was_spoiled_is_refused(name: str, value: Any, text: str) -> None:
    saved = OmegaConf.create(OmegaConf.to_yaml(composed(), resolve=True))
    saved[name] = value
    with pytest.raises(SettingError) as error:
        config.with_schema_types(saved, "run/config.yaml")
    assert str(error.value).startswith(text)
