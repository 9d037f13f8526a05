"""Which images are held out for validation."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labbook.data.split import Division, fold_split, pixel_digests, split_by_count, split_remarks, stratified_split
from labbook.errors import SettingError
from tests.data.samples import few, images, made


def parts(division: Division, digests: list[str]) -> dict[str, str]:
    return {digests[row]: part for part, rows in division._asdict().items() for row in rows.tolist()}


# The draw ------------------------------------------------------------------------------------------------------------


@few
@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    fraction=st.floats(0.01, 0.9),
    seed=st.integers(0, 3),
)
def test_of_each_class_a_part_is_held_out_and_a_part_trained_on(counts: list[int], fraction: float, seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    train, val = stratified_split(labels, [str(row) for row in range(len(labels))], fraction, seed)
    assert sorted(train.tolist() + val.tolist()) == list(range(len(labels)))
    for label, count in enumerate(counts):
        held_out = int((labels[val] == label).sum())
        assert held_out == min(max(round(fraction * count), 1), count - 1)
        assert count - held_out >= 1


@few
@given(counts=st.lists(st.integers(2, 25), min_size=1, max_size=4), fraction=st.floats(0.05, 0.9), data=st.data())
def test_an_image_less_moves_at_most_one_other_of_its_class(counts: list[int], fraction: float, data: Any) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    digests = [f"image {row}" for row in range(len(labels))]
    gone = data.draw(st.integers(0, len(labels) - 1))
    rest = [row for row in range(len(labels)) if row != gone]
    before = parts(stratified_split(labels, digests, fraction, 0), digests)
    fewer = [digests[row] for row in rest]
    after = parts(stratified_split(labels[rest], fewer, fraction, 0), fewer)
    moved = [digest for digest in fewer if before[digest] != after[digest]]
    assert len(moved) <= 1
    assert all(labels[digests.index(digest)] == labels[gone] for digest in moved)


def test_the_draw_depends_on_its_seed_and_not_on_the_order() -> None:
    labels, digests = torch.arange(40) % 2, [str(row) for row in range(40)]
    one = parts(stratified_split(labels, digests, 0.3, 1), digests)
    assert one != parts(stratified_split(labels, digests, 0.3, 2), digests)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    turned = [digests[row] for row in order.tolist()]
    assert parts(stratified_split(labels[order], turned, 0.3, 1), turned) == one


def test_the_draw_is_the_same_in_every_version() -> None:
    """Else a run that is continued, or tested on its validation part, would meet images that it was trained on."""
    assert stratified_split(torch.zeros(12), [str(row) for row in range(12)], 0.4, 0).val.tolist() == [3, 7, 8, 9, 11]
    assert split_by_count(10, 0.3, "random", 0).val.tolist() == [3, 5, 7]


def test_without_files_the_draw_follows_from_the_pixels_as_they_were_read() -> None:
    whole = made(val_split="stratified", val_fraction=0.3)
    assert all((whole.parts["train"].labels[whole.rows["val"]] == label).sum() == 5 for label in (0, 1))
    digests = pixel_digests(whole.parts["train"].pixels)
    assert whole.parts["train"].digests == digests
    smaller = made(val_split="stratified", val_fraction=0.3, image_size=3, channels=1)
    assert torch.equal(smaller.rows["val"], whole.rows["val"])
    assert made(val_fraction=0.3).parts["train"].digests == ()  # none are computed for nothing


def test_what_a_set_itself_holds_out_is_held_out() -> None:
    given_part = torch.arange(50) % 5 == 0
    data = made(images(50)._replace(validation=given_part), val_fraction=0.5)
    assert data.rows["val"].tolist() == list(range(0, 50, 5))
    assert len(data.rows["train"]) == 40


def test_half_of_a_set_keeps_what_belongs_to_each_image() -> None:
    digests, files = tuple(map(str, range(50))), tuple(f"{n}.png" for n in range(50))
    whole = images(50)._replace(digests=digests, files=files, validation=torch.arange(50) < 20)
    half = made(whole, limit=25).parts["train"]
    assert half.digests == digests[::2]
    assert half.files == files[::2]
    assert half.validation is not None
    assert half.validation.tolist() == [True] * 10 + [False] * 15


# What is said --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("val_split", ["random", "last", "stratified"])
def test_each_image_is_in_one_fold(val_split: Any) -> None:
    labels = torch.tensor([0] * 13 + [1] * 7 + [2] * 2)
    digests = [str(row) for row in range(22)]
    folds = [fold_split(labels, digests, val_split, 3, fold, 4) for fold in (1, 2, 3, 4)]
    assert sorted(row for _, val in folds for row in val.tolist()) == list(range(22))
    assert all(sorted(train.tolist() + val.tolist()) == list(range(22)) for train, val in folds)
    assert {len(val) for _, val in folds} == {5, 6}
    if val_split == "stratified":
        counts = torch.stack([torch.bincount(labels[val], minlength=3) for _, val in folds])
        assert bool((counts.amax(0) - counts.amin(0) <= 1).all())
    if val_split == "last":
        assert folds[3][1].tolist() == list(range(17, 22))


def test_folds_need_training_images_to_divide() -> None:
    held_out = made(folds=5, fold=2, val_fraction=0.5)
    assert [len(held_out.rows[part]) for part in ("train", "val")] == [40, 10]
    assert held_out.notes[0] == "fold 2 of 5: validation on 10 of 50 images; data.val_fraction has no effect"
    own = images(50)._replace(validation=torch.arange(50) > 40)
    with pytest.raises(SettingError, match="folds=5 draws validation images, and this set has its own: use seeds=N"):
        made(own, folds=5, fold=1)
    with pytest.raises(SettingError, match="folds=51 is more than the 50 training images"):
        made(folds=51, fold=1)
    with pytest.raises(SettingError, match=r"folds=2 validates on training images: leave out data\.validation=test"):
        made(folds=2, fold=1, validation="test")


def said(counts: list[int], val: list[int], fraction: float = 0.1, val_split: Any = "stratified") -> list[str]:
    """Of a set with so many images of each class, of which so many are held out."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    held_out = torch.cat([torch.arange(count) < held for count, held in zip(counts, val, strict=True)])
    return split_remarks(Division.by(held_out), labels, [f"c{n}" for n in range(len(counts))], fraction, val_split)


def test_classes_that_a_part_has_none_of_are_said() -> None:
    assert said([30, 30, 20], [3, 3, 2]) == []
    assert said([30, 30, 1, 1], [3, 3, 0, 0])[0] == "validation has no image of 2 of 4 classes (c2, c3)"
    assert said([9] * 9, [9] * 8 + [0], 0.9, "random") == [
        "no image of 8 of 9 classes (c0, c1, c2, c3, c4 and 3 more) is used for training, because"
        " data.val_split=random selects all"
        " for validation: use data.val_split=stratified",
        "validation has no image of 1 of 9 classes (c8): use data.val_split=stratified",
    ]
    assert said([9, 9], [0, 0], 0) == []  # nothing is held out


def test_uneven_classes_are_said() -> None:
    assert said([300, 30], [30, 3]) == [
        "the classes are uneven, from 30 images (c1) to 300 (c0): accuracy says little about the small ones"
    ]
    assert said([299, 30], [30, 3]) == []


def test_more_validation_images_than_asked_for_are_said() -> None:
    assert said([2] * 30, [1] * 30) == [
        "validation has 30 of 60 images, more than data.val_fraction=0.1: at least one of each class"
    ]


def test_a_set_says_it_in_its_notes() -> None:
    train = images(50)._replace(labels=(torch.arange(50) >= 49).long())
    notes = made(train).notes
    assert notes == ["validation has no image of 1 of 3 classes (bee): use data.val_split=stratified"]
    assert len(made(train, limit=20).notes) == 1  # that the limit keeps one class


# Groups --------------------------------------------------------------------------------------------------------------


@few
@given(
    members=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=2, max_size=60),
    fraction=st.floats(0.05, 0.9),
)
def test_a_group_is_never_divided_and_every_class_is_trained_on(
    members: list[tuple[int, int]], fraction: float
) -> None:
    labels, groups = torch.tensor([label for label, _ in members]), [f"patient {group}" for _, group in members]
    train, val = stratified_split(labels, [str(row) for row in range(len(labels))], fraction, 0, groups)
    assert sorted(train.tolist() + val.tolist()) == list(range(len(labels)))
    assert {groups[row] for row in train.tolist()}.isdisjoint(groups[row] for row in val.tolist())
    assert set(labels[train].tolist()) == set(labels.tolist())


def test_groups_make_up_the_fraction_as_nearly_as_they_can() -> None:
    labels, groups = torch.zeros(100), [f"{row // 5}" for row in range(100)]
    assert len(stratified_split(labels, groups, 0.2, 0, groups).val) == 20
    uneven = ["large"] * 90 + ["small"] * 10
    assert stratified_split(labels, uneven, 0.2, 0, uneven).val.tolist() == list(range(90, 100))
    assert len(stratified_split(labels, groups, 0.2, 0, ["one"] * 100).val) == 0


def test_what_a_set_says_of_groups_decides_the_validation_part() -> None:
    groups = tuple(f"camera {row // 10}" for row in range(50))
    data = made(images(50, classes=1)._replace(groups=groups), val_split="stratified", val_fraction=0.2)
    held_out = data.rows["val"].tolist()
    assert len(held_out) == 10
    assert len({groups[row] for row in held_out}) == 1
