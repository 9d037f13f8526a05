"""Whether two networks differ by more than chance, from the images that only one of them told right."""

from collections.abc import Sequence


def mcnemar(only_one: int, only_other: int) -> float:
    """The two-sided p of McNemar's exact test, of how many images only the one and only the other told right.

    Were both right equally often, each of these images would be the one's or the other's like the toss of a coin
    (McNemar, 1947): p is the probability of a split at least so uneven. All in whole numbers, so no digit is lost.
    """
    count, fewer = only_one + only_other, min(only_one, only_other)
    ways, tail = 1, 1  # to choose none of `count`
    for chosen in range(fewer):
        ways = ways * (count - chosen) // (chosen + 1)
        tail += ways
    return min(1.0, 2 * tail / (1 << count))


def holm(values: Sequence[float]) -> list[float]:
    """The p of several tests, corrected so that all of them together find what is not there in 5 % of cases at 0.05.

    The smallest is multiplied by the number of tests, the next by one less and so on, and none is below the one
    before it (Holm, 1979).
    """
    corrected, largest = [0.0] * len(values), 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = largest
    return corrected
