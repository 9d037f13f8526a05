"""Private names of other libraries stand in one file for each library, behind functions."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import labbook

PACKAGE = Path(labbook.__file__).parent
FILES = {
    "config/hydra_internals.py",
    "data/torchvision_by_name.py",
    "sweeps/optuna_internals.py",
    "training/lightning_internals.py",
    "training/tensorboard_internals.py",
    "training/torch_internals.py",
}
MOST = 24
PRIVATE = re.compile(r"_[A-Za-z]\w*(?<!_)")
PUBLIC = {"_asdict", "_exit"}  # of a NamedTuple and of os, as documented


def own_names(trees: list[ast.Module]) -> set[str]:
    """All names that the package gives itself."""
    names = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
    return names


def own_functions(tree: ast.Module) -> set[str]:
    """The functions and methods that a file defines and may call by private names."""
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def used(tree: ast.Module) -> Iterator[str]:
    """The private names that a module imports from others, or takes as attributes and keywords."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("labbook"):
            yield from (node.module or "").split(".")
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.Import):
            yield from (part for item in node.names for part in item.name.split("."))


def test_private_names_of_other_libraries_are_in_their_files() -> None:
    trees = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    others = {path: tree for path, tree in trees.items() if path not in FILES}
    allowed = own_names([*others.values()]) | PUBLIC
    private = {path: {name for name in used(tree) if PRIVATE.fullmatch(name)} for path, tree in trees.items()}
    found = {path: names - allowed - own_functions(trees[path]) for path, names in private.items() if names}
    assert {path: names for path, names in found.items() if names and path not in FILES} == {}
    assert sum(map(len, found.values())) <= MOST
    assert all(found.get(path) for path in FILES - {"training/tensorboard_internals.py"})  # whose names are texts
