"""A torch network as a list of Keras layers with their weights; Keras itself is not needed for it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from labbook.data.module import Images
from labbook.data.spec import ImageSpec
from labbook.errors import SettingError
from labbook.training.classifier import Classifier
from tools.benchmark.keras_process import Array, Layer, Pictures

Shape = tuple[int, ...]  # of one image: (C, H, W), or (features,)

ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid"}
BY_NUMBER = (nn.Dropout, nn.GELU, nn.Identity, *ACTIVATIONS)  # what these do does not depend on a number's place


def layers_of(model: Classifier) -> list[Layer]:
    """The layers that compute from images [n, size, size, channels] what `model` does from [n, channels, size, size].

    Raises:
        SettingError: something in the network that has no like in Keras, or another form than a chain of layers.
    """
    shape: Shape = (model.spec.channels, model.spec.size, model.spec.size)
    layers: list[Layer] = []
    flattened: Shape | None = None  # the images whose numbers still lie in Keras' order, channels last
    before: fx.Node | None = None
    called: set[Any] = set()
    for node in chain(model):
        if before is not None and (node.args[0] is not before or len(node.all_input_nodes) != 1):
            raise refused(node.name, "does not go on from the layer before it")
        before = node
        if node.op in ("placeholder", "output"):
            continue
        module = module_of(model, node)
        if node.target in called and node.op == "call_module":
            raise refused(node.name, "is used twice")
        called.add(node.target)
        if isinstance(module, nn.Flatten):
            if len(shape) == 3:
                flattened = shape
                layers.append(Layer("Flatten"))
        elif isinstance(module, nn.Linear):
            layers.append(dense(module, flattened))
            flattened = None
        elif flattened is not None and type(module) not in BY_NUMBER:
            raise refused(f"{node.target} ({module})", "stands between flattening and a dense layer")
        else:
            layers += like(module, shape, str(node.target))
        shape = shape_after(module, shape)
    if flattened is not None:
        raise refused("flatten", "has no dense layer after it")
    return layers


def chain(model: Classifier) -> list[fx.Node]:
    """What is done to the images, in the order of execution.

    Raises:
        SettingError: a network that decides by the numbers what it does.
    """
    try:
        return list(fx.Tracer().trace(model).nodes)
    except (fx.proxy.TraceError, TypeError) as error:
        raise refused(type(model).__name__, "cannot be followed layer by layer") from error


def module_of(model: Classifier, node: fx.Node) -> nn.Module:
    """The module that a step calls; flattening as a method or a function counts as one.

    Raises:
        SettingError: a step without a module.
    """
    if node.op == "call_module":
        return model.get_submodule(str(node.target))
    flattens = node.target in ("flatten", torch.flatten) and node.args[1:] in ((1,), (1, -1)) and not node.kwargs
    if flattens or (node.target in ("flatten", torch.flatten) and node.kwargs == {"start_dim": 1}):
        return nn.Flatten()
    raise refused(node.name, "is no layer")


def shape_after(module: nn.Module, shape: Shape) -> Shape:
    """The shape of one image behind a module, found by doing it."""
    training = module.training
    with torch.no_grad():
        after = module.eval()(torch.zeros(1, *shape, device=next((p.device for p in module.parameters()), None)))
    module.train(training)
    return tuple(after.shape[1:])


def like(module: nn.Module, shape: Shape, name: str) -> list[Layer]:
    """The layers that do what a module does to images of a shape (C, H, W).

    Raises:
        SettingError: there are none, naming the module.
    """
    if type(module) in ACTIVATIONS:
        return [Layer("Activation", {"activation": ACTIVATIONS[type(module)]})]
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return adaptive_pooling(module, shape[1:])
    make = MAKERS.get(type(module))
    made = make(module) if make else None
    if made is None:
        raise refused(f"{name} ({module})", "has no like among the layers it is made of")
    return made


def dense(module: nn.Linear, flattened: Shape | None) -> Layer:
    """A dense layer; after images (C, H, W) were flattened, with its inputs in the order of Keras, (H, W, C)."""
    kernel = module.weight.detach()  # [outputs, inputs]
    if flattened is not None:
        kernel = kernel.reshape(-1, *flattened).permute(0, 2, 3, 1).flatten(1)
    settings = {"units": module.out_features, "use_bias": module.bias is not None}
    return Layer("Dense", settings, arrays(kernel.T, module.bias))


def convolution(module: nn.Conv2d) -> list[Layer] | None:
    """A convolution; zeros around the images are its own where "same" means as many, else a layer before it."""
    padding, kernel = module.padding, module.kernel_size
    plain = module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"
    if not plain or isinstance(padding, str):
        return None
    same = module.stride == (1, 1) and all(size == 2 * around + 1 for size, around in zip(kernel, padding, strict=True))
    before = [Layer("ZeroPadding2D", {"padding": tuple(padding)})] if any(padding) and not same else []
    settings = {
        "filters": module.out_channels,
        "kernel_size": tuple(kernel),
        "strides": tuple(module.stride),
        "padding": "same" if same else "valid",
        "use_bias": module.bias is not None,
    }
    return [*before, Layer("Conv2D", settings, arrays(module.weight.detach().permute(2, 3, 1, 0), module.bias))]


def max_pooling(module: nn.MaxPool2d) -> list[Layer] | None:
    """Pooling without padding."""
    if module.ceil_mode or pair(module.padding) != (0, 0) or pair(module.dilation) != (1, 1):
        return None
    return [Layer("MaxPooling2D", {"pool_size": pair(module.kernel_size), "strides": pair(module.stride)})]


def batch_norm(module: nn.BatchNorm2d) -> list[Layer] | None:
    """Batch norm with its running figures; torch's momentum is the part that is new, Keras' the part that stays."""
    if module.momentum is None or not module.affine or not module.track_running_stats:
        return None
    settings = {"momentum": 1 - module.momentum, "epsilon": module.eps}
    figures = arrays(module.weight, module.bias, module.running_mean, module.running_var)
    return [Layer("BatchNormalization", settings, figures)]


def adaptive_pooling(module: nn.AdaptiveAvgPool2d, inputs: Shape) -> list[Layer]:
    """Means over as many tiles as there are outputs; where there are more outputs than inputs, each input repeated."""
    outputs = tuple(
        given if wanted is None else wanted for given, wanted in zip(inputs, pair(module.output_size), strict=True)
    )
    sides = list(zip(inputs, outputs, strict=True))
    if all(given % wanted == 0 for given, wanted in sides):
        return [Layer("AveragePooling2D", {"pool_size": tuple(given // wanted for given, wanted in sides)})]
    if all(wanted % given == 0 for given, wanted in sides):
        return [Layer("UpSampling2D", {"size": tuple(wanted // given for given, wanted in sides)})]
    return [Layer("AdaptiveAveragePooling2D", {"output_size": outputs})]


def gelu(module: nn.GELU) -> list[Layer] | None:
    """GELU by the error function, which is what Keras means by the name."""
    return [Layer("Activation", {"activation": "gelu"})] if module.approximate == "none" else None


MAKERS: dict[type[nn.Module], Callable[[Any], list[Layer] | None]] = {
    nn.Conv2d: convolution,
    nn.MaxPool2d: max_pooling,
    nn.BatchNorm2d: batch_norm,
    nn.GELU: gelu,
    nn.Dropout: lambda module: [Layer("Dropout", {"rate": module.p})],
    nn.Identity: lambda _: [],
}


def pictures(images: Images, spec: ImageSpec, rows: Tensor | slice = slice(None)) -> Pictures:
    """Images, or some rows of them, as Keras takes them."""
    pixels = images.pixels[rows].permute(0, 2, 3, 1).contiguous().numpy()
    return Pictures(pixels, images.labels[rows].numpy(), spec.mean, spec.std)


def pair(value: Any) -> tuple[Any, Any]:
    """Height and width of a setting that may be one number for both."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def arrays(*tensors: Tensor | None) -> tuple[Array, ...]:
    """Copies in memory of their own; what is None is left out."""
    return tuple(tensor.detach().float().cpu().numpy().copy(order="C") for tensor in tensors if tensor is not None)


def refused(what: str, why: str) -> SettingError:
    """The sentence for a network that cannot be made in Keras."""
    known = "Linear, Conv2d, MaxPool2d, BatchNorm2d, AdaptiveAvgPool2d, Dropout, flatten, ReLU, Tanh, Sigmoid, GELU"
    return SettingError(f"model: {what} {why}, so Keras cannot be given this network; it can a chain of {known}")
