"""Training with Keras as its users do. Only the process that `apart` starts imports this."""

import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tools.benchmark.keras_process import Epoch, Layer, Pictures, Training


class Clock(keras.callbacks.Callback):
    """Notes when the first step, which does not count, and the last one are over, and the seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.last = 0.0
        self.epochs: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Note the time."""
        self.last = time.perf_counter()
        self.first = self.first or self.last

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        self._epoch_started = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        """The training part of the epoch is over."""
        self.epochs.append(time.perf_counter() - self._epoch_started)


def twin(layers: Sequence[Layer], shape: Sequence[int]) -> keras.Sequential:
    """The network of these layers, with their weights, for images [n, H, W, C] of `shape` (H, W, C)."""
    network = keras.Sequential([keras.Input(tuple(shape)), *(made(layer) for layer in layers)])
    for layer, own in zip(layers, network.layers, strict=True):
        own.set_weights(layer.weights)
    return network


def made(layer: Layer) -> keras.layers.Layer:
    """A layer without its weights."""
    return getattr(keras.layers, layer.kind)(**layer.settings)


def logits(layers: Sequence[Layer], images: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """What the twin says of images [n, H, W, C], in evaluation mode, and how many numbers it would train."""
    network = twin(layers, images.shape[1:])
    return np.array(network(images, training=False)), sum(item.numpy().size for item in network.trainable_weights)


def compiled(training: Training) -> keras.Sequential:
    """The twin, ready to be trained."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(training.seed)
    keras.config.set_dtype_policy(training.policy)
    network = twin(training.layers, training.images.pixels.shape[1:])
    kind, settings = training.optimizer
    network.compile(
        optimizer=getattr(keras.optimizers, kind)(**settings),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return network


def normalized(pictures: Pictures) -> NDArray[np.float32]:
    """Images as the network sees them, all in memory: float32 [N, H, W, C]."""
    mean, std = np.array(pictures.mean, np.float32), np.array(pictures.std, np.float32)
    scaled = pictures.pixels.astype(np.float32)
    scaled /= 255 * std
    scaled -= mean / std
    return scaled


def seconds(training: Training) -> tuple[float, float]:
    """The time of all steps of `fit` but the first, and of what follows the last; its graph was made before."""
    network, images, labels = compiled(training), normalized(training.images), training.images.labels
    options = {"batch_size": training.batch_size, "shuffle": training.shuffle}
    network.fit(images[: training.batch_size], labels[: training.batch_size], **options)
    clock = Clock()
    network.fit(images, labels, epochs=training.epochs, callbacks=[clock], **options)
    return clock.last - clock.first, time.perf_counter() - clock.last


def epochs(training: Training, test: Pictures) -> list[Epoch]:
    """Train, and test after each epoch; the first epoch includes making the graph."""
    network, clock = compiled(training), Clock()
    history = network.fit(
        normalized(training.images),
        training.images.labels,
        batch_size=training.batch_size,
        shuffle=training.shuffle,
        epochs=training.epochs,
        validation_data=(normalized(test), test.labels),
        validation_batch_size=training.batch_size,
        callbacks=[clock],
    )
    return [Epoch(*each) for each in zip(history.history["val_accuracy"], clock.epochs, strict=True)]


def described() -> str:
    """The versions, for the figures to go with."""
    return f"TensorFlow {version('tensorflow')}, Keras {version('keras')}"
