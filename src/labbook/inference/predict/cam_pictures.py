"""A picture for each image of a prediction: the image, its Grad-CAM heat map, the predicted class."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from labbook.data.image_spec import join_class_names
from labbook.inference.grad_cam import CamLayer, grad_cam
from labbook.inference.predict.classify import PredictedBatch, Prediction
from labbook.inference.trained_model import TrainedModel
from labbook.plots import fonts, plots
from labbook.plots.heat_maps import heat_map_picture

AT_ONCE = 16  # images with a gradient in memory


def write_pictures(
    network: TrainedModel, batches: Iterator[PredictedBatch], files: Mapping[str, Path], layer: CamLayer
) -> Iterator[PredictedBatch]:
    """The batches, each after the pictures of its images are written; `files` by name of an image."""
    names = dict(zip(network.spec.class_names, fonts.drawable_names(network.spec.class_names), strict=True))
    for batch in batches:
        for start in range(0, len(batch.predictions), AT_ONCE):
            said, pixels = batch.predictions[start : start + AT_ONCE], batch.pixels[start : start + AT_ONCE]
            for prediction, image, heat in zip(said, pixels, heat_maps(network, layer, said, pixels), strict=True):
                classes = prediction.classes
                also = "" if classes is None else f"; above their thresholds: {join_class_names(classes)}"
                (name, probability), *_ = prediction.guesses
                of_test = f"image {prediction.image}, true class: {prediction.true}"
                source = prediction.image if prediction.true is None else of_test
                lines = [f"{names[name]}  {probability:.1%}{also}", fonts.replace_undrawable(source)]
                plots.save_png(heat_map_picture(image[None], heat, lines), files[prediction.image])
        yield batch


def heat_maps(network: TrainedModel, layer: CamLayer, said: Sequence[Prediction], pixels: Tensor) -> Tensor:
    """Heat maps [n, H, W] of images uint8 [n, C, H, W] for their most probable classes."""
    targets = torch.tensor([network.spec.class_names.index(each.guesses[0].name) for each in said])
    return grad_cam(network.model, layer, network.normalized(pixels), targets.to(network.device)).cpu()
