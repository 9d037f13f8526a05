"""The benchmark's contestants train the same thing, and its table says so."""

from pathlib import Path

import pytest

from labbook import config
from labbook.benchmark import timing
from labbook.benchmark.cases import CASES, Case, case
from labbook.benchmark.contestants import CONTESTANTS, prepared
from labbook.sweeps import sweepers


@pytest.fixture
def tiny() -> Case:
    config.register()
    sweepers.register()
    return case("tiny", "mlp", 8, 8, 1, 3, "model.width=4")


@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_way_to_train_takes_time_and_leaves_nothing(
    tiny: Case, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert 0 < CONTESTANTS[name](tiny, "32") < 60
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.name)
def test_every_case_composes_with_the_images_it_counts(each: Case) -> None:
    config.register()
    sweepers.register()
    composed = each.composed()
    assert composed.data.images == each.images == each.steps * composed.data.batch_size


def test_a_case_trains_on_all_its_images(tiny: Case) -> None:
    _, data, _ = prepared(tiny.composed())
    assert len(data.train_dataloader()) == tiny.steps


def test_contestants_take_turns_and_the_first_round_does_not_count(tiny: Case) -> None:
    order: list[str] = []

    def train(name: str, seconds: float) -> timing.Contestant:
        def contestant(_: Case, __: str) -> float:
            order.append(name)
            return seconds + 100 * (len(order) <= 2)

        return contestant

    found = timing.timed(tiny, {"ours": train("ours", 3.0), "bare loop": train("bare loop", 2.0)}, 2, "32")
    assert order == ["ours", "bare loop"] * 3
    assert [each.seconds for each in found] == [(3.0, 3.0), (2.0, 2.0)]
    assert timing.lines(tiny, found)[0] == ("tiny", "ours", "8", "1.50", "1.50 to 1.50")
