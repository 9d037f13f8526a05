"""The space of a search, from the overrides of its command and its preset."""

from collections.abc import Iterable, Mapping

from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from labbook.errors import SettingError, first_line
from labbook.sweeps.optuna_internals import distribution_from

SCALARS = (str, int, float, bool, type(None))


def read_space(overrides: Iterable[Override]) -> tuple[dict[str, BaseDistribution], dict[str, str], list[str]]:
    """What is drawn, fixed and deleted; a later override replaces an earlier one."""
    space: dict[str, BaseDistribution] = {}
    fixed: dict[str, str] = {}
    removed: list[str] = []
    for item in overrides:
        name = item.get_key_element()
        space.pop(name, None)
        fixed.pop(name, None)
        if item.is_delete():
            removed.append(str(item.input_line))
        elif item.is_sweep_override():
            space[name] = distribution_of(item)
        else:
            fixed[name] = item.get_value_element_as_str()
    return space, fixed, removed


def distribution_of(item: Override) -> BaseDistribution:
    value = item.value()
    if isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
        if value.start > value.end:
            raise SettingError(f"{item.input_line}: an interval begins with its lower end")
        if "log" in value.tags and value.start <= 0:
            raise SettingError(f"{item.input_line}: a logarithmic interval begins above 0")
    if item.is_choice_sweep() and any(
        not isinstance(each, SCALARS) for each in item.sweep_iterator(Transformer.encode)
    ):
        return CategoricalDistribution(list(item.sweep_string_iterator()))  # lists and mappings, as typed
    try:
        return distribution_from(item)
    except (AssertionError, NotImplementedError, TypeError, ValueError) as error:
        raise SettingError(f"{item.input_line}: {first_line(error)}") from error


def check_search_objective(space: Mapping[str, BaseDistribution], objective: str) -> None:
    """Refuse a search in which some trials have no validation images, and so another objective."""
    fraction, held_out = space.get("data.val_fraction"), space.get("data.validation")
    if not objective.startswith("val/"):
        return
    if fraction is not None and can_be_zero(fraction) and not fraction.single():
        raise SettingError(
            f"data.val_fraction={describe_distribution(fraction)}: with 0 there are no validation images for"
            f" objective={objective}; use an interval above 0"
        )
    if isinstance(held_out, CategoricalDistribution) and "test" in held_out.choices and not held_out.single():
        raise SettingError(
            f"data.validation={describe_distribution(held_out)}: the test set must not select anything: leave test out"
        )


def can_be_zero(distribution: BaseDistribution) -> bool:
    """Whether 0 can be drawn."""
    if isinstance(distribution, CategoricalDistribution):
        return 0 in distribution.choices
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return bool(distribution.low <= 0)


def describe_distribution(distribution: BaseDistribution) -> str:
    """A distribution as an override."""
    if isinstance(distribution, CategoricalDistribution):
        return f"choice({','.join(map(str, distribution.choices))})"
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    ends = f"interval({distribution.low},{distribution.high})"
    return f"tag(log,{ends})" if distribution.log else ends
