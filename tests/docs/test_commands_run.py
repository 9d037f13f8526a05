"""Every command of every page, run: in the order of the page, in a clean copy of the project, with little data."""

from pathlib import Path

import pytest

from tests.docs import sandbox
from tests.docs.pages import IN_PROJECT, PAGES, commands, missing_extra, why_not

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if commands(page)])
def test_the_commands_of_a_page_run(name: str, tmp_path: Path) -> None:
    page = PAGES[name]
    place = sandbox.made(tmp_path)
    if name in IN_PROJECT:
        sandbox.add_own_code(place)
    sandbox.fill_in(place, "\n".join(commands(page)))
    left_out = set()
    for line in dict.fromkeys(commands(page)):
        if extra := missing_extra(line):
            left_out.add(extra)
        elif why_not(line) is None:
            ended = place.run(line)
            assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
            assert "Traceback" not in ended.stdout + ended.stderr, line
    if left_out:
        pytest.skip(f"all but what needs the extras {', '.join(sorted(left_out))}, which are not installed")
