"""Imports go one way, from the end of `ORDER` to its beginning, also inside functions; names are not used twice."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import labbook

PACKAGE = Path(labbook.__file__).parent
ORDER = (
    "installation", "setup", "errors", "files", "signals", "console", "starting", "lazy_imports",
    "config", "data", "runs", "training", "models", "plots", "loggers", "callbacks", "trainer", "experiment", "fit",
    "inference", "reports", "sweeps", "cli", "api",
)  # fmt: skip


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules of the package that a module imports, but for types."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{item.name}" for item in node.names)


def test_imports_go_one_way() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        here = path.relative_to(PACKAGE)
        unit = here.parts[0].removesuffix(".py")
        if unit == "__init__":
            continue
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
            package, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if package == "labbook" and other in ORDER and ORDER.index(other) > ORDER.index(unit):
                wrong.append(f"{here} imports {name}")
    assert not wrong


def test_each_part_has_its_place_in_the_order_and_few_lie_at_the_top() -> None:
    parts = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert parts - {"__pycache__", "__init__"} == set(ORDER)
    assert len(list(PACKAGE.glob("[!_]*.py"))) <= 12


def test_the_page_has_the_parts_in_their_order() -> None:
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+`) \|", page.partition("| package |")[2].partition("\n\n")[0], re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"\w+", row)] == [*ORDER]
    drawn = re.findall(r"```text\n(.+)\n```", page)[0].split(" <- ")
    assert drawn == [name for name in ORDER if (PACKAGE / name).is_dir()]


def test_a_name_is_found_in_one_place() -> None:
    modules: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                modules.setdefault(node.name, set()).add(path.relative_to(PACKAGE).as_posix())
    del modules["main"]  # of each command
    assert {name: sorted(where) for name, where in modules.items() if len(where) > 1} == {}
