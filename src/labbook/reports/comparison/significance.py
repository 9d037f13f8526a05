"""Significance of the difference between two networks, from the images that only one has right."""

from collections.abc import Sequence


def mcnemar(only_one: int, only_other: int) -> float:
    """The two-sided p of McNemar's exact test, from the numbers of images that only one of two networks has right.

    If both were equally good, each of these images would be like the toss of a coin (McNemar, 1947): p is the
    probability of a split at least as uneven. All in whole numbers, so no digit is lost.
    """
    count, fewer = only_one + only_other, min(only_one, only_other)
    ways, tail = 1, 1  # ways to choose none of `count`
    for chosen in range(fewer):
        ways = ways * (count - chosen) // (chosen + 1)
        tail += ways
    return min(1.0, 2 * tail / (1 << count))


def holm(values: Sequence[float]) -> list[float]:
    """Holm-corrected p of several tests: the probability of any false positive at 0.05 is at most 5 %.

    The smallest is multiplied by the number of tests, the next by one less and so on; none is smaller than the one
    before it (Holm, 1979).
    """
    corrected, largest = [0.0] * len(values), 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = largest
    return corrected
