"""Runs' names, shortened."""

from pathlib import Path

import pytest

from labbook.reports.comparison.load_runs import run_labels


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (("r/2026-11-23_17-43-08_lenet5_digits", "r/2026-11-23_17-43-09_mlp_digits"), ["lenet5_digits", "mlp_digits"]),
        (
            ("r/2026-11-23_17-43-08_mlp", "r/2026-11-23_17-43-09_mlp", "r/2026-11-23_17-43-09_a"),
            ["2026-11-23_17-43-08_mlp", "2026-11-23_17-43-09_mlp", "a"],
        ),
        (
            ("r/2026-11-23_17-43-08_mlp", "r/2026-11-24_17-43-08_mlp"),
            ["2026-11-23_17-43-08_mlp", "2026-11-24_17-43-08_mlp"],
        ),
        (("r/2026-11-23_17-43-08_mlp", "r/2026-11-23_17-43-08_mlp_2"), ["mlp", "mlp_2"]),
        (("s/one/4_relu", "s/other/4_relu"), ["one/4_relu", "other/4_relu"]),
        (("s/one/x", "s/x"), ["one/x", "x"]),
        (("here/2026-11-23_17-43-08_mlp", "there/2026-11-23_17-43-08_mlp"), None),
    ],
)
def test_as_short_as_can_be(paths: tuple[str, ...], expected: list[str] | None) -> None:
    found = run_labels([Path(path) for path in paths])
    assert len(set(found)) == len(paths)
    assert found == (expected or list(paths))
