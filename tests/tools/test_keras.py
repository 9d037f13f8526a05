"""Keras is given the same networks, and trains them alike; without TensorFlow, what does not need it is tested."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from labbook.config import schema
from labbook.errors import SettingError
from labbook.sweeps import grid_sweeper
from labbook.training.classifier import Classifier
from tests.models.test_architectures import MODELS, build, images_for, spec_of
from tools import compare_keras as script
from tools.benchmark import keras_comparison, keras_process
from tools.benchmark.contenders import CONTESTANTS
from tools.benchmark.keras_comparison import Pair, both
from tools.benchmark.keras_model import layers_of
from tools.benchmark.keras_process import Epoch

needs_tensorflow = pytest.mark.skipif(not keras_process.installed(), reason="TensorFlow is an extra")

TINY = ["data=digits", "data.augment=[]", "data.image_size=8", "data.limit=200", "model=mlp", "model.width=16"]


@pytest.fixture(autouse=True)
def _composing() -> None:
    schema.register_schema()
    grid_sweeper.register()


class Chain(Classifier):
    """Any layers, one after the other."""

    def __init__(self, *layers: nn.Module, size: int = 8, channels: int = 2) -> None:
        super().__init__(spec_of(channels, size, 10))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


def compare(model: Classifier) -> None:
    """The twin gives the same logits and trains as many numbers."""
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after a training, and not as it begins
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                assert values is not None
                values.data.uniform_(0.5, 2)
    images = images_for(model, 4)
    theirs, parameters = keras_process.process().ask("logits", layers_of(model), images.permute(0, 2, 3, 1).numpy())
    with torch.no_grad():
        ours = model(images)
    difference = float(ours.std(0).max())  # that the images make
    torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=0, atol=min(1e-3 * difference, 1e-4))
    assert parameters == model.num_parameters


# Parts of the first are frozen and its logits are divided; the others are no chains of layers.
WITHOUT_TWIN = {"airbench94", "resnet", "resnet20", "vit", "vit_tiny", "wide_resnet"}


@needs_tensorflow
@pytest.mark.parametrize("name", sorted({*MODELS} - WITHOUT_TWIN))
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (3, 64)])
def test_the_twin_of_every_architecture_says_the_same(name: str, channels: int, size: int) -> None:
    compare(build(name, channels, size))


@needs_tensorflow
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu"])
def test_the_twin_has_the_same_activation(activation: str) -> None:
    compare(build("convnet", 3, 12, activation=activation, hidden=[7]))


@needs_tensorflow
@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(3 * 16, 10)],
        [nn.Conv2d(2, 3, (3, 1), padding=(1, 0), bias=False), nn.Flatten(), nn.Dropout(), nn.Linear(3 * 64, 10)],
        [nn.MaxPool2d(3, 1), nn.AdaptiveAvgPool2d((3, None)), nn.Flatten(), nn.Tanh(), nn.Linear(36, 10, bias=False)],
        [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Identity(), nn.Linear(2, 10)],
        [nn.AdaptiveAvgPool2d((5, 3)), nn.Flatten(), nn.Flatten(), nn.Linear(30, 10)],
    ],
    ids=str,
)
def test_the_twin_of_other_chains_says_the_same(layers: list[nn.Module]) -> None:
    compare(Chain(*layers))


class Residual(Chain):
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = images + self.layers(images)
        return logits


class Twice(Chain):
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(self.layers(images))
        return logits


class Deciding(Chain):
    def forward(self, images: Tensor) -> Tensor:
        return images if images.sum() > 0 else -images


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Chain(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")), "layers.0 (Conv2d"),
        (Chain(nn.Conv2d(2, 2, 3, groups=2)), "layers.0 (Conv2d"),
        (Chain(nn.MaxPool2d(3, padding=1)), "layers.0 (MaxPool2d"),
        (Chain(nn.ReLU(), nn.MaxPool2d(3, ceil_mode=True)), "layers.1 (MaxPool2d"),
        (Chain(nn.BatchNorm2d(2, affine=False)), "layers.0 (BatchNorm2d"),
        (Chain(nn.GELU(approximate="tanh")), "layers.0 (GELU"),
        (Chain(nn.PReLU()), "layers.0 (PReLU"),
        (Chain(nn.Flatten(), nn.BatchNorm1d(128)), "layers.1 (BatchNorm1d"),
        (Chain(nn.Flatten(), nn.ReLU()), "flatten has no dense layer"),
        (Residual(nn.ReLU()), "add does not go on"),
        (Twice(nn.ReLU()), "is used twice"),
        (Deciding(), "Deciding cannot be followed"),
        (build("airbench94"), "truediv is no layer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_network_is_refused_by_the_layer(model: Classifier, words: str) -> None:
    with pytest.raises(SettingError) as refused:
        layers_of(model)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@needs_tensorflow
@pytest.mark.parametrize(
    "optimizer",
    [
        ["optimizer=sgd", "optimizer.lr=0.5"],
        ["optimizer=sgd_momentum", "optimizer.nesterov=true", "optimizer.lr=0.05"],
        ["optimizer=adam", "optimizer.betas=[0.8,0.9]", "+optimizer.amsgrad=true", "optimizer.lr=0.01"],
        ["optimizer=adamw", "optimizer.weight_decay=0.5", "optimizer.lr=0.01"],
        # RMSprop's epsilon stands elsewhere in Keras, so none is given
        ["optimizer=rmsprop", "optimizer.eps=0", "optimizer.momentum=0.5", "optimizer.lr=0.001"],
    ],
    ids=lambda settings: settings[0],
)
def test_both_frameworks_learn_alike_from_the_same_images_in_the_same_order(optimizer: list[str]) -> None:
    pair = both([*TINY, *optimizer, "data.shuffle=false", "data.val_fraction=0", "epochs=4", "model.activation=tanh"])
    ours, keras = ([epoch.test_acc for epoch in epochs] for epochs in (pair.ours, pair.keras))
    assert keras == pytest.approx(ours, abs=0.0051)  # one of 200 images
    assert len(ours) == 4
    assert ours[-1] > 0.5
    assert all(epoch.seconds > 0 for epoch in pair.ours + pair.keras)


@needs_tensorflow
def test_seeds_differ_and_are_repeated_in_both() -> None:
    first, again, other = (both([*TINY, "epochs=1"], seed) for seed in (1, 1, 2))
    for name in ("ours", "keras"):
        accuracies = [getattr(pair, name)[0].test_acc for pair in (first, again, other)]
        assert accuracies[0] == accuracies[1] != accuracies[2]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["data.augment=[flip]"], "use data.augment=[]"),
        (["task.label_smoothing=0.1"], "use task.label_smoothing=0.0"),
        (["scheduler=cosine"], "use scheduler=none"),
        (["scheduler.warmup_epochs=1"], "use scheduler=none"),
        (["data.drop_last=true"], "use data.drop_last=false"),
        (["trainer.gradient_clip_val=1"], "use trainer.gradient_clip_val=null"),
        (["trainer.precision=bf16-mixed"], "use trainer.precision=32"),
        (["callbacks=early_stopping"], "callbacks.early_stopping"),
        (["optimizer.weight_decay=0.1"], "use optimizer.weight_decay=0.0"),
        (["optimizer._target_=torch.optim.Adagrad", "~optimizer.betas"], "Adam, AdamW, RMSprop, SGD"),
    ],
)
def test_what_keras_cannot_be_given_alike_is_refused(
    settings: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_process, "process", lambda: None)
    with pytest.raises(SettingError) as refused:
        both([*TINY, *settings])
    assert words in str(refused.value)


def test_without_tensorflow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_process, "installed", lambda: False)
    monkeypatch.setattr(keras_process, "process", keras_process.process.__wrapped__)  # even if there is one
    with pytest.raises(SettingError, match="make setup EXTRAS=keras"):
        both(TINY)


@pytest.mark.skipif(torch.cuda.is_available(), reason="TensorFlow knows only the CPU")
def test_keras_is_timed_where_it_is_installed() -> None:
    assert ("keras" in CONTESTANTS) == keras_process.installed()


def test_a_table_has_the_mean_and_range_of_each_epoch_and_the_total() -> None:
    one = Pair([Epoch(0.5, 1.0), Epoch(0.75, 2.0)], [Epoch(0.25, 4.0), Epoch(0.5, 3.0)])
    assert keras_comparison.lines([one]) == [
        ("1", "0.5000", "0.2500", "1.00", "4.00"),
        ("2", "0.7500", "0.5000", "2.00", "3.00"),
        ("all", "0.7500", "0.5000", "3.00", "7.00"),
    ]
    other = Pair([Epoch(0.6, 1.0), Epoch(0.85, 4.0)], one.keras)
    total = ("all", "0.8000 (0.7500 to 0.8500)", "0.5000 (0.5000 to 0.5000)", "4.00 (3.00 to 5.00)")
    assert keras_comparison.lines([one, other])[-1] == (*total, "7.00 (7.00 to 7.00)")


@needs_tensorflow
def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["compare_keras.py", *TINY, "--seeds", "2", "epochs=1"])
    script.main()
    printed = capsys.readouterr().out
    assert "Labbook" in printed
    assert [line.split()[0] for line in printed.splitlines()[:3]] == ["epoch", "1", "all"]
    assert "of 2 seeds" in printed
    assert "TensorFlow 2." in printed


# The process --------------------------------------------------------------------------------------------------------


@pytest.fixture
def process() -> Iterator[keras_process.Process]:
    started = keras_process.Process()
    yield started
    started.close()


@needs_tensorflow
def test_what_fails_there_is_said_here_and_the_next_call_goes_on() -> None:
    process = keras_process.process()
    with pytest.raises(RuntimeError, match="AttributeError"):
        process.ask("no_such_function")
    assert process.ask("described").startswith("TensorFlow")


def test_a_death_is_noticed(process: keras_process.Process) -> None:
    process.python.kill()
    with pytest.raises(RuntimeError, match="ended with exit code -9"):
        process.ask("described")


def test_the_process_ends_with_the_one_that_started_it() -> None:
    code = "from tools.benchmark.keras_process import Process; print(Process().python.pid, flush=True); os.abort()"
    code = f"import os; {code}"
    died = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    assert died.returncode == -signal.SIGABRT
    deadline = time.monotonic() + 30
    while alive(int(died.stdout)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(int(died.stdout))


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be asked for its exit code does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


@needs_tensorflow
@pytest.mark.slow
def test_training_does_not_load_tensorflow() -> None:
    code = "import sys, labbook.experiment, labbook.loggers; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
