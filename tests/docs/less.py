"""`python` as the pages' commands find it in their tests: the same program, given less to do.

Used as `python less.py PROGRAM ARGUMENTS`. What a command has much of, such as images, epochs and repetitions, is cut;
sets and weights that cannot be downloaded are made up; a server is left once it says where it listens.
"""

import csv
import os
import re
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FEW = ["data.limit=60", "epochs=1"]
MEASURED = {  # scripts that take minutes: arguments that are added unless they are given
    "measure_speed.py": {"--repetitions": "1", "--sections": "startup"},
    "stress_test.py": {"--quick": None, "--seconds": "20", "--parts": "full_disk"},
}
OWN_LOADERS = ("data=numbers", "data=photographs", "data=two_views")  # which have no `data.limit`
SERVERS = ("tensorboard", "serve.py")
PATIENCE = 120  # seconds that a server may take to start


def replaced(words: list[str], instead: list[str]) -> list[str]:
    """Settings, those of `instead` in the place of others of the same name."""
    names = {word.partition("=")[0] for word in instead}
    return [word for word in words if word.partition("=")[0] not in names] + instead


def of_training(words: list[str]) -> list[str]:
    """The arguments of train.py for a run of a second or so."""
    if any(word.startswith(("--cfg", "--help", "-h", "--info", "-sc", "--shell")) for word in words):
        return words
    if folder := next((word.partition("=")[2] for word in words if word.startswith("resume=")), None):
        return replaced(words, [f"epochs={trained(Path(folder)) + 1}"])
    limited = any(word.startswith(("data.limit=", *OWN_LOADERS)) for word in words)
    instead = ["epochs=1"] if limited else list(FEW)
    instead += ["data.image_size=32"] if "model.pretrained=true" in words else []
    instead += ["seeds=2"] if "seeds=3" in words else []
    undrawn = "-m" in words and not any(word.startswith("callbacks=") for word in words)
    instead += ["callbacks=none"] if undrawn else []  # pictures take longer than tiny runs
    instead += ["sweep.n_trials=2"] if any("optuna" in word or "search" in word for word in words) else []
    return replaced(words, instead)


def trained(run: Path) -> int:
    """How many epochs a run has behind it."""
    with (run / "metrics.csv").open(encoding="utf-8") as table:
        return len(list(csv.DictReader(table)))


def fewer(name: str, words: list[str]) -> list[str]:
    """The arguments of a program with less to do."""
    if name in ("train.py", "find_lr.py"):
        return of_training(words)
    if name == "model_costs.py" and not any(re.fullmatch(r"[a-z]\w*", word) for word in words):
        return ["lenet5", "mlp", *words]  # of all networks
    for option, value in MEASURED.get(name, {}).items():
        if option not in words:
            words += [option, value] if value is not None else [option]
    return words


def make_up() -> None:
    """CIFAR's images, whose files must be as published, and torchvision's weights."""
    import torch

    from labbook.data.cifar import CIFAR10
    from labbook.data.datamodule import Images
    from labbook.models.torchvision_model import TorchvisionModel

    def read(self: Any) -> tuple[Images, Images]:
        random = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (80, 3, 32, 32), dtype=torch.uint8, generator=random)
        images = Images(pixels, torch.arange(80) % len(self.class_names))
        return images, images

    CIFAR10.read = read  # type: ignore[method-assign]
    TorchvisionModel.load_pretrained = lambda _: None  # type: ignore[method-assign]
    if find_spec("timm"):
        from labbook.models.timm_model import TimmModel

        TimmModel.load_pretrained = lambda _: None  # type: ignore[method-assign]


def serve(command: list[str]) -> int:
    """Start a server, and end it once it has printed an address."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout
    try:
        for line in server.stdout:
            print(line, end="")
            if re.search(r"http://\S+", line):
                return 0
        return server.wait(PATIENCE) or 1  # it ended by itself, which no server should
    finally:
        server.terminate()
        server.wait(PATIENCE)


def main() -> None:
    """Run the program that the arguments name, in this process."""
    program, *words = sys.argv[1:]
    name = Path(program).name
    if name in SERVERS:
        sys.exit(serve([sys.executable, *(["-m", "tensorboard.main"] if name == "tensorboard" else [program]), *words]))
    if program in ("-m", "-c"):
        os.execv(sys.executable, [sys.executable, program, *words])
    sys.argv = [program, *fewer(name, words)]
    sys.path[0] = str(Path(program).resolve().parent)
    if {"model.pretrained=true"} & set(words) or any("cifar" in word or "airbench" in word for word in words):
        make_up()
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
