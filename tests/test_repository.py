"""The files for GitHub, pre-commit, Docker and editors fit the project."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from labbook import installation, setup

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def commands(text: str) -> list[str]:
    """The commands behind `make` or `scripts/make.py` in a text."""
    return re.findall(r"(?:\bmake|scripts/make\.py) ([a-z][a-z-]*)(?![\w/])", text)


def test_the_workflow_tests_each_python_and_system_that_labbook_runs_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest, newest = (int(number) for number in re.findall(r"3\.(\d+)", project["requires-python"]))
    pythons = [f"3.{minor}" for minor in range(oldest, newest)]  # the newest is excluded
    assert (3, newest) == installation.TOO_NEW
    jobs = read(WORKFLOW)["jobs"]
    assert jobs.keys() == {"lint", "test", "wheel", "docs", "notebook"}
    matrix = jobs["test"]["strategy"]["matrix"]
    assert matrix["python"] == pythons
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "macos", "windows"]
    others = [
        step["with"]["python-version"]
        for name, job in jobs.items() if name != "test"
        for step in job["steps"] if "python-version" in step.get("with", {})
    ]  # fmt: skip
    assert set(others) <= set(pythons)


def test_their_commands_exist() -> None:
    container = ROOT / ".devcontainer" / "devcontainer.json"
    for path in (WORKFLOW, ROOT / ".pre-commit-config.yaml", ROOT / "Dockerfile", container):
        found = commands(path.read_text(encoding="utf-8"))
        assert found
        assert set(found) <= setup.COMMANDS.keys(), path
    assert "make setup" in json.loads(container.read_text(encoding="utf-8"))["postCreateCommand"]


def test_the_dockerfile_copies_what_the_setup_reads_before_the_rest() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY --chown=1000 (.+) \S+$", dockerfile.partition("RUN make setup")[0], re.MULTILINE)
    patterns = [pattern for line in copied for pattern in line.split()]
    assert all(list(ROOT.glob(pattern)) for pattern in patterns)
    needed = {"Makefile", "pyproject.toml", "setup.py", "scripts/make.py", "src/labbook/setup.py", "requirements*.lock"}
    assert needed <= set(patterns)
    assert re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE) == ["1000"]  # not root


def test_forms_and_hooks_are_read() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
    assert [form.stem for form in forms] == ["bug", "feature"]
    assert all({"name", "description", "body"} <= read(form).keys() for form in forms)
    assert {item["package-ecosystem"] for item in read(ROOT / ".github" / "dependabot.yml")["updates"]} == {
        "github-actions"
    }
    (hooks,) = (repository["hooks"] for repository in read(ROOT / ".pre-commit-config.yaml")["repos"])
    assert [hook["id"] for hook in hooks] == ["format", "lint", "nbstripout"]


def test_notebooks_have_no_output() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")], path
