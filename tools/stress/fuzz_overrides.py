"""Arguments as nobody should write them: real names and values, bent at random. Needs Hypothesis."""

from functools import cache
from typing import Any

import yaml
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from omegaconf import OmegaConf

from labbook.config import schema
from labbook.config.arguments import choice_files
from labbook.config.compose import compose_config

# Groups whose choices bring names of their own; sets of images that must be downloaded are not.
NAMING = ("model", "optimizer", "scheduler", "trainer", "callbacks")
AT_HAND = ("digits", "synthetic", "image_folder")

ODD = (
    *("", " ", "abc", "true", "null", "None", "0", "-1", "1.5", "-0.0", "nan", "inf", "-inf", "1e400", "1e-400"),
    *("9" * 12, "9" * 40, "-" + "9" * 40, "1_000", "1e3", "[]", "{}", "[1,2]", "[[1]]", "{a:1}", "{1:2}", "[null]"),
    *("'", '"', "''", '"a', "[1,", "{a:", "}", "]", ")", "(", "\\", "a\\", "a=b", "a:b", "@x", "#x", "&x", "*x", "!x"),
    *("${nothing}", "${seed}", "${model}", "${.lr}", "${", "$", "${oc.env:HOME}", "${oc.env:NOT_SET}", "${${seed}}"),
    *("1,2", "a,b", "range(1,3)", "choice(1,2)", "interval(0,1)", "glob(*)", "sort(3,1)", "shuffle(1,2)", "int(1)"),
    *("0x10", "range(1", "tag(x,1)", "\t", "a\nb", "é", "日本", "\u202eab", "\U0001f600", "\ud7ff", "ſ", "١"),
    *("{_target_:os.system}", "{_target_:3}", "{_target_:torch.optim.Adam}", "[{_target_:x}]", "{flip:true}", "???"),
)  # fmt: skip
SIGNS = (*[""] * 9, "+", "++", "~")
LETTERS = "aZ0_.-/@:=é日 \"'[{,"


@cache
def names() -> dict[str, str]:
    """Every setting by its dotted name, with its value as the command line would take it."""
    settings: dict[str, str] = {}
    whole = OmegaConf.to_container(compose_config())
    assert isinstance(whole, dict)
    add({key: value for key, value in whole.items() if key != "config_groups"}, settings)
    for group in NAMING:
        for path in choice_files(group):
            add({group: yaml.safe_load(path.read_text(encoding="utf-8"))}, settings)
    return settings


def add(node: dict[Any, Any], settings: dict[str, str], prefix: str = "") -> None:
    """Add the settings of a node, and of those in it, to what was found before."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            add(value, settings, f"{prefix}{key}.")
        elif key != "defaults":
            settings.setdefault(f"{prefix}{key}", str(value).replace("'", "").replace(": ", ":"))


@cache
def choices() -> list[str]:
    """Every choice of every group that needs no download."""
    files = [(group, path.stem) for group in schema.GROUPS for path in choice_files(group)]
    return [f"{group}={name}" for group, name in files if group not in ("data", "sweep") or name in AT_HAND]


def bent(name: str) -> SearchStrategy[str]:
    """A name with a letter more or less or another, one part less or twice, or as it is."""
    places = st.integers(0, len(name))
    letters = st.sampled_from(LETTERS)
    return st.one_of(
        st.just(name),
        st.builds(lambda at, letter: name[:at] + letter + name[at:], places, letters),
        st.builds(lambda at: name[:at] + name[at + 1 :], places),
        st.builds(lambda at, letter: name[:at] + letter + name[at + 1 :], places, letters),
        st.sampled_from([f"{name}.x", f"{name}.", f".{name}", name.upper(), name.rpartition(".")[2], f"{name}.{name}"]),
    )


def values(own: str) -> SearchStrategy[str]:
    """A setting's own value, an odd one, a number or text."""
    numbers = st.one_of(st.integers().map(str), st.floats(width=32).map(str), st.integers(-3, 300).map(str))
    return st.one_of(st.just(own), st.sampled_from(ODD), st.sampled_from(ODD), numbers, text())


def text() -> SearchStrategy[str]:
    """Any text that an argument of a program can be."""
    return st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@st.composite
def argument(draw: st.DrawFn) -> str:
    """One argument: a setting or a choice, with a sign before it, each of them perhaps bent."""
    if draw(st.integers(0, 5)) == 0:
        choice = draw(st.sampled_from(choices()))
        return draw(st.sampled_from(SIGNS)) + draw(st.one_of(st.just(choice), bent(choice)))
    name = draw(st.sampled_from(sorted(names())))
    shown = draw(st.one_of(st.just(name), st.just(name), st.just(name), bent(name)))
    given = f"{draw(st.sampled_from(SIGNS))}{shown}={draw(values(names()[name]))}"
    bend = draw(st.integers(0, 7)) == 0
    return draw(bent(given)) if bend else given


def arguments() -> SearchStrategy[list[str]]:
    """The arguments of one command; those that look like options are the shell's and Hydra's own matter."""
    return st.lists(argument().filter(lambda item: not item.startswith("-")), min_size=1, max_size=3)
