"""Names and values in commands that a person copies."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from labbook.config.path_rules import quote_override


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_path_comes_through_the_shell_and_hydra_as_it_was(text: str) -> None:
    path = f"/{text}"
    (word,) = shlex.split(quote_override("resume", path))
    assert OverridesParser.create().parse_override(word).value() == path


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("logs/runs/2026-01-01_mlp_digits", "resume=logs/runs/2026-01-01_mlp_digits"),
        ("my runs/a", "\"resume='my runs/a'\""),
        ("r\u00e9/a", "\"resume='r\u00e9/a'\""),
    ],
)
def test_quotes_are_where_they_need_be(path: str, written: str) -> None:
    assert quote_override("resume", path) == written
