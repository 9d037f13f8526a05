"""What is typed as Hydra takes it, and the words of other programs."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from labbook.config import unknown_keys, untrusted, vocabulary
from labbook.config.arguments import normalize_overrides, root_types
from labbook.errors import SettingError
from tests.cases import each_case
from tests.composing import composed


@each_case(
    ("typed", "meant"),
    [
        ("optimizer=SGD", "optimizer=sgd"),
        ("model=LeNet-5", "model=lenet5"),
        ("data=FashionMNIST", "data=fashion_mnist"),
        ("optimizer=SGD,Adam", "optimizer=sgd,adam"),
        ("callbacks=[EMA,early-stopping]", "callbacks=[ema,early_stopping]"),
        ("optimizer=choice(SGD,adam)", "optimizer=choice(sgd,adam)"),
        ("logger=None", "logger=none"),
        ("model=nothing", "model=nothing"),
        ("notes.optimizer=SGD", "notes.optimizer=SGD"),
        ("optimizer={_target_:torch.optim.SGD}", "optimizer={_target_:torch.optim.SGD}"),
    ],
)
def test_choices_are_known_in_any_case(typed: str, meant: str) -> None:
    assert normalize_overrides([typed]) == [meant]


@pytest.mark.parametrize("file", ["log_dir: ~/x", "data:\n  cache_dir: ~/x"])
def test_the_home_folder_is_filled_in_in_a_file(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text(file)
    monkeypatch.setattr(untrusted.FileConfigSource, "trusted", (tmp_path,))
    config = untrusted.FileConfigSource("test", str(tmp_path)).load_config("mine").config
    name = "log_dir" if "log_dir" in config else "data.cache_dir"
    assert OmegaConf.select(config, name) == str(tmp_path / "x")
    (tmp_path / "mine.yaml").write_text(file.replace("~", "~nobody-here"))
    with pytest.raises(SettingError, match=f"mine.yaml: {name}: there is no home folder of ~nobody-here/x"):
        untrusted.FileConfigSource("test", str(tmp_path)).load_config("mine")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("log_dir=~/x", "log_dir=HOME/x"),
        ("log_dir='~/x'", "log_dir=HOME/x"),
        ("+data.root=~", "+data.root=HOME"),
        ("data.root=~/a,'~/my photos',b", "data.root=HOME/a,'HOME/my photos',b"),
        ("data.root='a~/b'", "data.root='a~/b'"),
        ("notes.text='~/x'", "notes.text='~/x'"),
    ],
)
def test_the_home_folder_is_filled_in(typed: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path.as_posix()
    monkeypatch.setenv("HOME", home)
    assert normalize_overrides([typed]) == [meant.replace("HOME", home)]


def test_a_choice_of_ones_own_in_a_folder_below_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "model" / "mine").mkdir(parents=True)
    (tmp_path / "model" / "mine" / "Net.yaml").touch()
    assert normalize_overrides(["model=mine/Net"], [tmp_path]) == ["model=mine/Net"]


def test_the_words_of_others_stand_for_settings_that_there_are() -> None:
    networks = (
        composed("model=mlp", "callbacks=[ema,early_stopping]", "scheduler=cosine"),
        composed("model=convnet", "scheduler=onecycle"),
    )
    assert vocabulary.OURS.keys().isdisjoint(vocabulary.NOT_HERE)
    for words in vocabulary.OURS.values():
        for word in words:
            if "=" in word:
                composed(word)
            else:
                assert any(unknown_keys.is_setting(word, config) for config in networks), word
    assert not [word for word in vocabulary.NOT_HERE if any(unknown_keys.find_key(word, config) for config in networks)]


def test_the_types_of_the_root_are_known_by_their_dotted_names() -> None:
    types = root_types()
    assert (types["seed"], types["task.sam"], types["sweep.prune"]) == (int, float, bool)
