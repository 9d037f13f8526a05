"""Every command of every page is one that there is: its settings are real, its options known, its words filled in."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NoReturn

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from labbook import experiment, setup
from labbook.config.arguments import choice_files
from labbook.config.compose import compose_config
from labbook.config.schema import GROUPS
from labbook.installation import PROJECT_VARIABLE
from tests.docs.pages import IN_PROJECT, PAGES, PROJECT, ROOT, commands, missing_extra, simple

SHELL = ("eval", "source", ".", "cd", "ls", "cat", "head", "mkdir", "cp")  # what the pages use beside
LONG = {"docs/results.md": pytest.mark.slow}  # of its presets and experiments there are quick tests
FLAGS = {"-m": 0, "--help": 0, "--cfg": 1, "-p": 1, "--info": 1, "-sc": 1}  # of train.py, and the words that follow


class ParsedError(BaseException):
    """A script got as far as having read its arguments, which are in `args`."""


def check_settings(words: list[str]) -> None:
    """Compose what train.py would be told; of a sweep its first combination."""
    settings = []
    for item in OverridesParser.create().parse_overrides(words):
        if not item.is_sweep_override():
            settings.append(item.input_line)
        elif item.is_interval_sweep():
            settings.append(f"{item.key_or_group}={item.value().start}")
        else:
            first, *others = item.sweep_string_iterator()
            settings.append(f"{item.key_or_group}={first}")
            if item.key_or_group in GROUPS:
                assert {f"{value}.yaml" for value in others} <= {path.name for path in choice_files(item.key_or_group)}
    check_composed(tuple(settings), os.environ.get(PROJECT_VARIABLE))


@cache
def check_composed(settings: tuple[str, ...], _project: str | None) -> None:
    experiment.check_experiment(compose_config(*settings))


def check_training(words: list[str]) -> None:
    words, settings = list(words), []
    while words:
        word = words.pop(0)
        if word.startswith("--config-dir="):
            return  # a sweep's own folder, which is not here; the slow test has one
        if word.startswith("-") and "=" not in word:
            assert word in FLAGS, f"{word} is not known here"
            words = words[FLAGS[word] :]
        elif not word.startswith("resume="):
            settings.append(word)
    check_settings(settings)


def check_script(path: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(read: Callable[..., Any]) -> Callable[..., NoReturn]:
        def parse(*given: Any) -> NoReturn:
            raise ParsedError(read(*given))

        return parse

    module = import_module(path.removesuffix(".py").replace("/", "."))
    with monkeypatch.context() as patched:
        for name in ("parse_args", "parse_intermixed_args"):
            patched.setattr(ArgumentParser, name, stop(getattr(ArgumentParser, name)))
        patched.setattr(sys, "argv", [path, *words])
        with pytest.raises(ParsedError) as ended:
            module.main()
    (namespace,) = ended.value.args
    lists = [value for value in vars(namespace).values() if isinstance(value, list)]
    check_settings([word for value in lists for word in value if isinstance(word, str) and "=" in word])


def check_make(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert words[0] in setup.COMMANDS, f"make {words[0]} is no target of the Makefile that `make help` lists"
    for word in words[1:]:
        if word.startswith("EXTRAS="):
            for extra in word.removeprefix("EXTRAS=").split():
                assert (ROOT / f"requirements-{extra}.lock").is_file(), extra
        elif word.startswith("TORCH="):
            assert word.removeprefix("TORCH=") in setup.BUILDS
        elif word.startswith("ARGS=") and words[0] == "train":
            check_training(word.removeprefix("ARGS=").split())


def check(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold one command against the code, without doing what it says."""
    program, *rest = words
    if program == "python" and rest[0] == "train.py":
        check_training(rest[1:])
    elif program == "python" and rest[0].startswith(("scripts/", "tools/")):
        check_script(rest[0], rest[1:], monkeypatch)
    elif program == "make":
        check_make(rest, monkeypatch)
    else:
        assert program in SHELL, f"{program} is not known here"


def check_line(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in simple(line):
        check(words, monkeypatch)


@pytest.mark.extra  # commands that need one are left out where it is not installed
@pytest.mark.parametrize("name", [pytest.param(name, marks=LONG.get(name, ())) for name in PAGES])
def test_the_commands_of_a_page_are_real(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in IN_PROJECT:
        monkeypatch.setenv(PROJECT_VARIABLE, str(PROJECT))
    for line in dict.fromkeys(commands(PAGES[name])):
        if missing_extra(line) is None:
            check_line(line, monkeypatch)


@pytest.mark.parametrize(
    "line",
    [
        "python train.py model=lenet", "python train.py optimizer.rate=1", "python train.py epoch=3",
        "python train.py --verbose", "python tools/model_costs.py --fast", "python scripts/nothing.py",
        "make coffee", 'make setup EXTRAS="tea"', "make setup TORCH=gpu",
        'make train ARGS="model=lenet"', "curl example.org",
        "python train.py epochs=1 && python train.py epoch=3", 'eval "$(python train.py epoch=3)"',
    ],
)  # fmt: skip
def test_a_command_that_is_wrong_is_found(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((Exception, SystemExit)):
        check_line(line, monkeypatch)
