"""Docstrings name only what exists."""

import ast
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import labbook
from labbook.config.schema import GROUPS, TrainConfig

PACKAGE = Path(labbook.__file__).parent
DOTTED = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)+)(?:\(\))?`")
SETTINGS = {*GROUPS, *(item.name for item in fields(TrainConfig)), "hydra"}
LIBRARIES = ("hydra", "numpy", "optuna", "pytorch_lightning", "sklearn", "torch", "torchmetrics", "torchvision")


def defined(module: str, text: str, tree: ast.Module) -> Iterator[str]:
    """The dotted names that a module gives: its own, and in its classes whatever has a name."""
    yield module
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (f"{module}.{item.asname or item.name}" for item in node.names)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield f"{module}.{node.name}"
        else:
            yield from (f"{module}.{item.id}" for item in ast.walk(node) if isinstance(item, ast.Name))
        if isinstance(node, ast.ClassDef):
            inside = "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])
            yield from (f"{module}.{node.name}.{word}" for word in {*re.findall(r"\w+", inside)})


def dotted_names(tree: ast.Module) -> Iterator[str]:
    """The dotted names in backticks in all docstrings, but settings and attributes of a function's arguments."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            found = DOTTED.findall(ast.get_docstring(node) or "")
            arguments = {item.arg for item in ast.walk(node) if found and isinstance(item, ast.arg)}
            yield from (name for name in found if name.partition(".")[0] not in arguments | SETTINGS)


def exists(name: str) -> bool:
    """Whether a file of the package or an object of a library has this name."""
    if name.endswith(".py"):
        return any(PACKAGE.rglob(name))
    try:
        return name.startswith(LIBRARIES) and pkgutil.resolve_name(name) is not None
    except (ImportError, AttributeError):
        return False


def test_a_dotted_name_in_a_docstring_exists() -> None:
    files = {path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    texts = {name.removesuffix(".__init__"): path.read_text() for path, name in files.items()}
    modules = {name: ast.parse(text) for name, text in texts.items()}
    parts = [name.split(".") for module, tree in modules.items() for name in defined(module, texts[module], tree)]
    known = {".".join(each[start:]) for each in parts for start in range(len(each))}
    named = [(module, name) for module, tree in modules.items() for name in dotted_names(tree)]
    assert len(named) > 20
    assert [f"{module}: `{name}`" for module, name in named if name not in known and not exists(name)] == []
