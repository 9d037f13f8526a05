"""Seconds of a step of Keras' `fit`, run by a Python that has Keras; `keras_training` says what to train on stdin."""

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np

MAKERS: Mapping[str, Any] = {
    "Conv2d": lambda filters, size, padding, bias: keras.layers.Conv2D(filters, size, padding=padding, use_bias=bias),
    "MaxPool2d": lambda size, stride: keras.layers.MaxPooling2D(size, stride),
    "Upsample": keras.layers.UpSampling2D,
    "BatchNorm2d": keras.layers.BatchNormalization,
    "ReLU": keras.layers.ReLU,
    "Dropout": keras.layers.Dropout,
    "Flatten": keras.layers.Flatten,
    "Linear": keras.layers.Dense,
}


def main() -> None:
    """Print the seconds."""
    request = json.load(sys.stdin)
    random = np.random.default_rng(0)
    count = request["batch_size"] * (request["steps"] + 1)
    images = random.integers(0, 256, (count, *request["shape"]), dtype=np.uint8).astype(np.float32) / 127.5 - 1
    labels = random.integers(0, request["classes"], count)
    layers = [MAKERS[name](*options) for name, *options in request["layers"]]
    model = keras.Sequential([keras.Input(request["shape"]), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.001), loss, metrics=["accuracy"])
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: ends.append(time.perf_counter()))
    model.fit(images, labels, batch_size=request["batch_size"], epochs=1, callbacks=[clock], verbose=0)
    print((ends[-1] - ends[0]) / request["steps"])  # the first step does not count


if __name__ == "__main__":
    main()
