"""What nodes of the tests name, and how they are refused."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Lt, MinLen
from omegaconf import OmegaConf
from pydantic import NonNegativeInt, PositiveInt
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from labbook.config import instantiate, own_code
from labbook.errors import SettingError

HERE = __name__


@pytest.fixture
def allow_things(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whitelist, with what nodes of the tests name."""
    allowed = (*own_code.allowed_targets(), f"{HERE}.*")
    monkeypatch.setattr(instantiate, "allowed_targets", lambda: allowed)


class Part:
    """Something to put into something else."""

    def __init__(self, size: PositiveInt = 1) -> None:
        self.size = size


class Thing:
    """One parameter of every kind."""

    def __init__(
        self,
        given: Any,
        needed: int,
        *,
        count: PositiveInt = 1,
        rate: Annotated[float, Ge(0), Lt(1)] = 0.5,
        flag: bool = False,
        name: str = "x",
        kind: Literal["this", "that"] = "this",
        maybe: NonNegativeInt | None = None,
        pair: tuple[float, float] = (0.0, 1.0),
        many: Annotated[Sequence[PositiveInt], MinLen(1)] = (1,),
        one_or_many: Literal["a", "b"] | Sequence[Literal["a", "b"]] = "a",
        mapping: dict[str, float] | None = None,
        part: Part | None = None,
        parts: Sequence[Any] = (),
        lr: float = 0.1,
    ) -> None:
        self.settings = {key: value for key, value in locals().items() if key != "self"}


class Derived(Thing):
    """Adds one parameter and hands the others on."""

    def __init__(self, *, extra: int = 0, **options: Any) -> None:
        super().__init__(None, **options)
        self.extra = extra


def contrary(first: int = 1, second: int = 2) -> tuple[int, int]:
    """Settings that do not go together."""
    if first > second:
        raise SettingError(f"first={first} is more than second={second}")
    return first, second


def decay(opt: Optimizer, epochs: int, power: float) -> LRScheduler:
    """A schedule with its own name for the optimizer."""
    return LambdaLR(opt, lambda epoch: (1 - epoch / epochs) ** power)


def node(target: str = "Thing", /, **settings: Any) -> dict[str, Any]:
    return {"_target_": f"{HERE}.{target}", **settings}


def refused(item: Any, supplied: dict[str, Any] | None = None) -> str:
    with pytest.raises(SettingError) as error:
        instantiate.check_node_tree(OmegaConf.create({"thing": item}).thing, "thing", supplied)
    assert "\n" not in str(error.value)
    return str(error.value)


SUPPLIED = {"given": None}
