"""No line of the project unpickles, evaluates or fetches code; what must, is listed here with its reason."""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import requires

import pytest

from labbook import lazy_imports
from labbook.errors import SettingError
from labbook.installation import CONFIGS
from tests.cases import each_case

ROOT = CONFIGS.parent
FILES = [
    ROOT / "train.py",
    *sorted(path for folder in ("src", "scripts", "tests", "tools") for path in (ROOT / folder).rglob("*.py")),
]

DANGEROUS = re.compile(
    r"(^|\.)(pickle|_pickle|cPickle|dill|cloudpickle|joblib|shelve|marshal)\.(load|loads|Unpickler|open)$"
    r"|^(builtins\.)?(eval|exec|__import__)$|^torch\.export\.load$|^os\.(system|popen)$"
    r"|(^|\.)hub\.\w+$|^(unsafe_load|full_load|jit\.load|load_from_checkpoint)$|\.(unsafe_load|full_load|load_from_checkpoint)$"
)
ALLOWED = {
    ("src/labbook/models/pretrained.py", "torch.hub.get_dir"): "where torch keeps what it downloads",
    ("src/labbook/models/weights.py", "torch.hub.get_dir"): "where torch keeps what it downloads",
    ("src/labbook/models/pretrained.py", "torch.hub.download_url_to_file"): "bytes, read as tensors only",
    ("src/labbook/inference/export/writers.py", "torch.export.load"): "the file that it wrote a moment ago",
    ("tests/inference/test_export.py", "exec"): "the examples of docs/export.md",
    ("tests/docs/test_examples.py", "exec"): "the example of a notebook",
    ("tests/hydra_memory.py", "pickle.loads"): "copies of configurations that the same process made",
    ("tests/security/test_runs_of_strangers.py", "pickle.loads"): "shows that the traps would spring",
    ("tests/runs/test_bad_resume.py", "torch.load"): "shows that the code would run",
}


def name_of(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def is_true(call: ast.Call, key: str) -> bool:
    return any(item.arg == key and ast.unparse(item.value) == "True" for item in call.keywords)


def dangers(source: str) -> Iterator[str]:
    """The names of calls that could run what a file holds."""
    telling = (
        r"\b(loads?|unsafe_load|full_load|load_from_checkpoint|Unpickler|popen|system)\(|(?<![\w.])(eval|exec|__import__)\("
        r"|builtins|shelve|marshal|shell=|allow_pickle|hub"
    )
    if not re.search(telling, source):
        return  # most files need not be parsed
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = name_of(call.func)
        unsafe = {
            "torch.load": not is_true(call, "weights_only"),
            "yaml.load": "SafeLoader" not in ast.unparse(call) and "LOADER" not in ast.unparse(call),
        }
        if unsafe.get(name) or DANGEROUS.search(name) or is_true(call, "allow_pickle") or is_true(call, "shell"):
            yield name


@each_case(
    "source",
    [
        "torch.load(x)", "torch.load(x, weights_only=False)", "pickle.load(x)", "pickle.loads(x)", "joblib.load(x)",
        "np.load(x, allow_pickle=True)", "yaml.load(x)", "yaml.load(x, Loader=yaml.Loader)", "yaml.unsafe_load(x)",
        "eval(x)", "exec(x)", "torch.hub.load(x)", "subprocess.run(x, shell=True)", "os.system(x)", "__import__(x)",
        "cloudpickle.loads(x)", "Classifier.load_from_checkpoint(x)", "pickle.Unpickler(x).load()",
        "torch.export.load(x)",
    ],
)  # fmt: skip
def test_what_is_looked_for_is_found(source: str) -> None:
    assert list(dangers(source))


def test_what_is_safe_is_let_pass() -> None:
    safe = (
        "torch.load(x, weights_only=True); np.load(x); model.eval(); yaml.load(x, Loader=yaml.SafeLoader); json.load(x)"
    )
    assert not list(dangers(safe))


def test_nothing_runs_what_a_file_holds() -> None:
    found = {
        (str(path.relative_to(ROOT)), name) for path in FILES for name in dangers(path.read_text(encoding="utf-8"))
    }
    assert found == ALLOWED.keys()


def test_the_newest_hole_in_torch_is_behind_us() -> None:
    floor = next(item for item in requires("labbook-vision") or [] if re.match(r"torch\W", item))
    assert tuple(map(int, re.findall(r"\d+", floor))) >= lazy_imports.SAFE_TORCH == (2, 10)
    declared = re.search(r'"torch>=(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert declared
    assert tuple(map(int, declared.groups())) >= lazy_imports.SAFE_TORCH
    assert "CVE-2025-32434" in (told := (ROOT / "docs" / "security.md").read_text(encoding="utf-8"))
    assert "CVE-2026-24747" in told
    assert "docs/security.md" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("there", ["1.13.1", "2.5.1+cu121", "2.6.0", "2.9.1"])
def test_an_older_torch_is_refused(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_imports, "version", lambda _: there)
    with pytest.raises(SettingError, match=rf"^torch {re.escape(there)} may run code .*: install torch>=2\.10"):
        lazy_imports.check_torch()


@pytest.mark.parametrize("there", ["2.10.0", "2.10.0a0+git1", "2.15.0", "3.0"])
def test_a_newer_torch_is_taken(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_imports, "version", lambda _: there)
    lazy_imports.check_torch()


def test_tensorboard_listens_on_this_machine_only() -> None:
    told = {
        path: path.read_text(encoding="utf-8")
        for path in (ROOT / "src/labbook/setup.py", ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    }
    lines = [line for text in told.values() for line in text.splitlines() if "tensorboard --logdir" in line]
    assert lines
    assert all("--host localhost" in line for line in lines)
    assert not any("bind_all" in text or "0.0.0.0" in text for text in told.values())
