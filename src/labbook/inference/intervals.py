"""Confidence intervals of an accuracy: over test images, and over seeds."""

import math
from statistics import NormalDist

LEVEL = 0.95
# Student's t at 97.5 % for 1 to 10 degrees of freedom; an expansion in 1/n is exact to 4 digits beyond.
T = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)

Interval = tuple[float, float]


def wilson_interval(accuracy: float, images: int) -> Interval:
    """The 95% score interval (Wilson, 1927) of an accuracy on a number of images."""
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    middle = (accuracy + z * z / (2 * images)) / (1 + z * z / images)
    half = z * math.sqrt(accuracy * (1 - accuracy) / images + z * z / (4 * images * images)) / (1 + z * z / images)
    return max(0.0, middle - half), min(1.0, middle + half)


def student_interval(mean: float, sd: float, runs: int) -> Interval:
    """The 95% t interval of the mean of 2 or more runs; `sd` is the sample standard deviation."""
    half = t_quantile(runs - 1) * sd / math.sqrt(runs)
    return mean - half, mean + half


def t_quantile(freedom: int) -> float:
    """Student's t at 97.5% for 1 or more degrees of freedom."""
    if freedom <= len(T):
        return T[freedom - 1]
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)  # Cornish and Fisher's expansion
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / freedom + second / freedom**2 + third / freedom**3 + fourth / freedom**4


def format_interval(interval: Interval) -> str:
    """Such as 0.9032 to 0.9268."""
    low, high = interval
    return f"{low:.4f} to {high:.4f}"
