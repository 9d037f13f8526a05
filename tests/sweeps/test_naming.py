"""How sweeps and their runs are named: the same command, the same names."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labbook.config.path_rules import LONGEST, short_file_name
from labbook.runs.run_id import IGNORED_KEYS
from labbook.sweeps.naming import overrides_slug, sweep_name, swept_keys

FIXED = ["model=mlp", "model.depth=2", "optimizer=sgd", "epochs=3", "data.limit=100", "+model.extra=1"]
KEYS = ("model.width", "optimizer", "optimizer.lr", "seed", "experiment")

names = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
keys = st.lists(names, min_size=1, max_size=3).map(".".join)
words = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["model.depth=2"], "depth-2"),
        (["model.depth=2", "optimizer=sgd"], "optimizer-sgd_depth-2"),
        (["optimizer.lr=1e-3"], "lr-1e-3"),
        (["optimizer.lr=0.0012345678"], "lr-0.001235"),
        (["+model.hidden=[512,256]"], "hidden-512-256"),
        (["data.root=/a/../b\\c:*?"], "root-a-..-b-c"),
        ([], "run"),
    ],
)
def test_a_run_is_named_by_what_varies(overrides: list[str], name: str) -> None:
    assert overrides_slug(overrides) == name


def test_the_seed_comes_last() -> None:
    assert overrides_slug(["seed=3", "model.depth=2", "optimizer=sgd"]) == "optimizer-sgd_depth-2_seed-3"


@settings(max_examples=20)
@given(st.lists(st.tuples(keys, st.text()), max_size=5))
def test_every_file_system_takes_a_run_s_name(pairs: list[tuple[str, str]]) -> None:
    name = overrides_slug(f"{key}={value}" for key, value in pairs)
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name)
    assert len(name) <= LONGEST
    assert overrides_slug(f"{key}={value}" for key, value in reversed(pairs)) == name or len(dict(pairs)) < len(pairs)


@given(st.text("ab", min_size=LONGEST, max_size=3 * LONGEST), st.text("ab", min_size=LONGEST, max_size=3 * LONGEST))
def test_long_names_are_cut_and_told_apart(one: str, other: str) -> None:
    assert len(short_file_name(one)) <= LONGEST
    assert (short_file_name(one) == short_file_name(other)) == (one == other)


@given(st.lists(words, min_size=2, unique=True), st.lists(words, min_size=2, unique=True), st.sampled_from(KEYS))
def test_swept_values_are_not_in_a_sweep_s_name(one: list[str], other: list[str], key: str) -> None:
    names = {sweep_name([*FIXED, f"{key}={','.join(values)}"], None) for values in (one, other)}
    assert len(names) == 1
    assert names.pop().endswith(f"_by_{key.rpartition('.')[2]}")


@pytest.mark.parametrize("values", ["range(1,9)", "choice(a,b)", "glob(*)", "interval(0,1)", "tag(log,interval(1,2))"])
def test_ranges_are_swept_too(values: str) -> None:
    assert swept_keys(["epochs=3", f"model.width={values}"]) == ["model.width"]
    assert sweep_name([f"model.width={values}"], None) == "by_width"


@given(st.permutations(FIXED))
def test_the_order_of_fixed_settings_is_not_in_the_name(order: list[str]) -> None:
    assert sweep_name([*order, "model.width=1,2"], None) == sweep_name([*FIXED, "model.width=1,2"], None)


NAMELESS = [
    *(text.format(name) for name in (*IGNORED_KEYS, "hydra") for text in ("{}=1", "+{}.key=1", "{}=1,2")),
    *("hydra/launcher=joblib", "hydra/sweeper=optuna", "hydra.sweeper.n_jobs=2", "seeds=3", "sweep.on_error=stop"),
]


@given(st.lists(st.sampled_from(NAMELESS), max_size=6))
def test_what_does_not_change_a_result_is_not_in_the_name(more: list[str]) -> None:
    plain = [*FIXED, "model.width=1,2"]
    assert sweep_name([*plain, *more], None) == sweep_name(plain, None)
    assert sweep_name([*more, *plain], "preset") == sweep_name(plain, "preset")


@given(keys, words, words)
def test_what_changes_a_result_is_in_the_name(key: str, one: str, other: str) -> None:
    names = {sweep_name([f"{key}={value}", "model.width=1,2"], None) for value in (one, other)}
    if key not in IGNORED_KEYS and not key.startswith(tuple(f"{name}." for name in (*IGNORED_KEYS, "hydra"))):
        assert len(names) == len({one, other})
    assert all(name.endswith("by_width") for name in names)


def test_a_preset_and_a_search_say_so() -> None:
    assert sweep_name(["sweep=smoke"], "smoke") == "smoke"
    assert sweep_name(["sweep=smoke", "epochs=9"], "smoke") == "smoke_epochs-9"
    assert sweep_name(["sweep=smoke", "model.width=1,2"], "smoke") == "smoke_by_width"
    assert sweep_name(["model=mlp", "optimizer.lr=interval(0,1)"], None, search=True) == "model-mlp_by_lr_search"
    assert sweep_name(["seeds=3"], None) == "sweep"


@given(st.lists(st.tuples(keys, words), max_size=40))
def test_every_file_system_takes_a_sweep_s_name(pairs: list[tuple[str, str]]) -> None:
    name = sweep_name([f"{key}={value},{value}" for key, value in pairs] + [f"x{key}={key}" for key, _ in pairs], "p")
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name)
    assert len(name) < 200
