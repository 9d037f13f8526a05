"""Many small cases in one test, where pytest's own work for each test would take longer than the case."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest

Test = Callable[..., None]


def each_case(names: str | tuple[str, ...], cases: Iterable[Any]) -> Callable[[Test], Test]:
    """Like `pytest.mark.parametrize`, but all cases are one test, with the same fixtures. It fails after the last case.

    The error of each case that fails is shown, with the case as a note.
    """
    keys = [names] if isinstance(names, str) else list(names)
    rows = [(case,) if isinstance(names, str) else tuple(case) for case in cases]

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def every(**fixtures: Any) -> None:
            errors: list[BaseException] = []
            for row in rows:
                try:
                    test(**dict(zip(keys, row, strict=True)), **fixtures)
                except (Exception, SystemExit, pytest.fail.Exception) as error:
                    error.add_note(f"case: {row!r}")
                    errors.append(error)
            if errors:
                raise BaseExceptionGroup(f"{len(errors)} of {len(rows)} cases failed", errors)

        signature = inspect.signature(test)
        fixtures = [item for name, item in signature.parameters.items() if name not in keys]
        every.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return every

    return decorate
