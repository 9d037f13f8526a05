"""What `auto` means on which machine. Every rule is a pure function of a description."""

from typing import Any

import pytest
import torch

from labbook import experiment
from labbook.config import instantiate
from labbook.errors import SettingError
from labbook.training import hardware
from labbook.training.capabilities import has_strided_depthwise
from labbook.training.classifier import Task
from labbook.training.hardware import (
    ACCELERATORS,
    PRECISIONS,
    Machine,
    check_devices,
    choose_accelerator,
    choose_device,
    choose_precision,
    parse_devices,
)
from tests import composing
from tests.cases import each_case
from tests.models.test_architectures import spec_of
from tests.models.test_torchvision_model import slow_but

AUTO = {"accelerator": "auto", "precision": "auto"}

H100 = Machine(gpus=8, capability=(9, 0), gpu_name="NVIDIA H100 80GB HBM3", cpu_name="Xeon", cpu_bf16=True)
A100 = Machine(gpus=1, capability=(8, 0), gpu_name="NVIDIA A100-SXM4-40GB", cpu_name="EPYC")
RTX3060 = Machine(gpus=1, capability=(8, 6), gpu_name="NVIDIA GeForce RTX 3060", cpu_name="Ryzen")
RTX5090 = Machine(gpus=1, capability=(12, 0), gpu_name="NVIDIA GeForce RTX 5090", cpu_name="Ryzen")
T4 = Machine(gpus=1, capability=(7, 5), gpu_name="Tesla T4", cpu_name="Xeon")
V100 = Machine(gpus=4, capability=(7, 0), gpu_name="Tesla V100-SXM2-16GB", cpu_name="Xeon")
GTX1080 = Machine(gpus=1, capability=(6, 1), gpu_name="NVIDIA GeForce GTX 1080", cpu_name="Core i7")
K80 = Machine(gpus=2, capability=(3, 7), gpu_name="Tesla K80", cpu_name="Xeon")
M2 = Machine(mps=True, cpu_name="Apple M2")
SAPPHIRE_RAPIDS = Machine(cpu_name="Xeon Platinum 8480+", cpu_bf16=True)
LAPTOP = Machine(cpu_name="Core i5-8250U")


@each_case(
    ("machine", "accelerator", "precision", "channels_last", "reasons"),
    [
        (H100, "gpu", "bf16-mixed", True, ("NVIDIA H100 80GB HBM3", "9.0", "bf16")),
        (A100, "gpu", "bf16-mixed", True, ("NVIDIA A100-SXM4-40GB", "8.0", "bf16")),
        (RTX3060, "gpu", "bf16-mixed", True, ("RTX 3060", "8.6")),
        (RTX5090, "gpu", "bf16-mixed", True, ("RTX 5090", "12.0")),
        (T4, "gpu", "16-mixed", True, ("Tesla T4", "7.5", "not bf16")),
        (V100, "gpu", "16-mixed", True, ("Tesla V100-SXM2-16GB", "7.0", "not bf16")),
        (GTX1080, "gpu", "32-true", True, ("GTX 1080", "6.1", "slow with fewer than 32 bits")),
        (K80, "gpu", "32-true", True, ("Tesla K80", "3.7")),
        (M2, "mps", "32-true", False, ("MPS", "Apple GPU")),
        (SAPPHIRE_RAPIDS, "cpu", "bf16-mixed", True, ("CPU", "Xeon Platinum 8480+", "supports bf16")),
        (LAPTOP, "cpu", "32-true", True, ("CPU", "Core i5-8250U", "no bf16 instructions")),
    ],
)
def test_what_auto_chooses_and_why(
    machine: Machine, accelerator: str, precision: str, channels_last: bool, reasons: tuple[str, ...]
) -> None:
    choice = choose_device(AUTO, machine)
    assert (choice.accelerator, choice.precision, choice.channels_last) == (accelerator, precision, channels_last)
    for reason in reasons:
        assert reason in choice.reason
    assert choice.reason.startswith(f"{accelerator.upper()} (")
    assert f"), {precision} (" in choice.reason


def test_the_cpu_is_judged_by_itself_where_there_is_a_gpu_too() -> None:
    choice = choose_device({"accelerator": "cpu", "precision": "auto"}, T4)
    assert (choice.accelerator, choice.precision) == ("cpu", "32-true")
    assert "Xeon" in choice.reason
    assert "T4" not in choice.reason
    assert choose_device({"accelerator": "cpu", "precision": "auto"}, H100).precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("machine", "precision"), [(SAPPHIRE_RAPIDS, "32-true"), (LAPTOP, "32-true"), (H100, "bf16-mixed")]
)
def test_strided_depthwise_convolutions_are_taken_in_32_bits_on_a_cpu(machine: Machine, precision: str) -> None:
    choice = choose_device(AUTO, machine, strided_depthwise=True)
    assert choice.precision == precision
    asked = choose_device({"accelerator": "cpu", "precision": "bf16-mixed"}, machine, strided_depthwise=True)
    assert asked.precision == "bf16-mixed"


DEPTHWISE = ("efficientnet_b0", "mobilenet_v2", "mobilenet_v3_small")


@pytest.mark.parametrize("model", slow_but(("mobilenet_v3_small", "lenet5", "resnet18"), composing.MODELS))
def test_the_networks_that_have_them(model: str) -> None:
    with torch.device("meta"):
        network = instantiate.build_object(composing.node(model), spec=spec_of(3, 224, 10))
    assert has_strided_depthwise(network) is (model in DEPTHWISE)


@pytest.mark.slow
def test_convolutions_that_are_not_trained_do_not_count() -> None:
    with torch.device("meta"):
        network = instantiate.build_object(composing.node("mobilenet_v2"), spec=spec_of(3, 224, 10), pretrained=True)
        network.freeze_layers("backbone")
    assert not has_strided_depthwise(network)


def test_the_choice_for_a_network_looks_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "describe_machine", lambda: SAPPHIRE_RAPIDS)
    with torch.device("meta"):
        networks = [
            instantiate.build_object(composing.node(name), spec=spec_of(3, 32, 10))
            for name in ("mobilenet_v2", "resnet18")
        ]
    choices = [hardware.choose_for_run(composing.composed("trainer=cpu"), network) for network in networks]
    assert [choice.precision for choice in choices] == ["32-true", "bf16-mixed"]
    monkeypatch.setattr(hardware, "describe_machine", lambda: T4)
    networks[1].task = Task(sam=0.1)
    choices = [hardware.choose_for_run(composing.composed(), network) for network in networks]
    assert [choice.precision for choice in choices] == ["16-mixed", "32-true"]


@pytest.mark.parametrize(
    ("words", "precision"),
    [
        (["model=lenet5", "data=mnist"], "32-true"),
        (["model=lenet5", "data=mnist", "data.batch_size=1024"], "bf16-mixed"),
        (["experiment=c1_mlp_mnist"], "32-true"),
        (["experiment=c2_convnet_mnist"], "bf16-mixed"),
        (["model=vit_tiny", "data=mnist", "data.batch_size=32"], "bf16-mixed"),  # by its weights alone
    ],
)
def test_small_steps_are_taken_in_32_bits_on_a_cpu(
    words: list[str], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = composing.composed(*words)
    monkeypatch.setattr(hardware, "describe_machine", lambda: SAPPHIRE_RAPIDS)
    choice = hardware.choose_for_run(config, experiment.build_model(config, spec_of(1, 28, 10)))
    assert choice.precision == precision
    assert ("faster than bf16 below 128 million multiply-adds" in choice.reason) is (precision == "32-true")


@pytest.mark.parametrize("asked", ["gpu", "cuda"])
def test_a_gpu_goes_by_both_names(asked: str) -> None:
    assert choose_accelerator(asked, A100) == "gpu"


@pytest.mark.parametrize(
    ("asked", "machine", "has"),
    [("gpu", LAPTOP, "it has cpu"), ("cuda", M2, "it has mps, cpu"), ("mps", A100, "it has gpu, cpu")],
)
def test_a_device_that_is_not_there_is_refused_and_what_is_there_named(asked: str, machine: Machine, has: str) -> None:
    with pytest.raises(
        SettingError, match=f"^trainer.accelerator={asked}: this machine has none; {has}, and trainer=auto"
    ):
        choose_accelerator(asked, machine)


def test_an_unknown_accelerator_is_refused_with_the_choices() -> None:
    with pytest.raises(SettingError) as refused:
        choose_accelerator("gpus", A100)
    assert (
        str(refused.value)
        == f"trainer.accelerator=gpus is unknown; did you mean gpu? choices: {', '.join(sorted(ACCELERATORS))}"
    )


@each_case(
    ("machine", "asked", "chosen"),
    [
        *((machine, "32", "32-true") for machine in (A100, GTX1080, M2, LAPTOP)),
        *((machine, "bf16-mixed", "bf16-mixed") for machine in (A100, GTX1080, M2, LAPTOP)),
        *((machine, "16-mixed", "16-mixed") for machine in (A100, GTX1080, M2)),
    ],
)
def test_a_precision_that_is_asked_for_is_taken(machine: Machine, asked: str, chosen: str) -> None:
    choice = choose_device({"accelerator": "auto", "precision": asked}, machine)
    assert choice.precision == chosen
    assert choice.reason.endswith("(as set)")


def test_sharpness_aware_steps_are_not_taken_with_16_bit_floats() -> None:
    choice = choose_device(AUTO, T4, sam=True)
    assert choice.precision == "32-true"
    assert choice.reason.endswith("(capability 7.5 does not support bf16, and task.sam cannot use 16-bit floats)")
    assert choose_device(AUTO, A100, sam=True) == choose_device(AUTO, A100)
    with pytest.raises(SettingError, match=r"^task\.sam does not work with scaled gradients: use .*bf16-mixed or 32$"):
        choose_device({"accelerator": "auto", "precision": "16-mixed"}, A100, sam=True)


def test_16_bit_floats_are_refused_on_a_cpu() -> None:
    with pytest.raises(SettingError, match=r"^trainer\.precision=16-mixed is not for CPUs: use .*=bf16-mixed or 32$"):
        choose_device({"accelerator": "cpu", "precision": "16-mixed"}, T4)


def test_a_precision_may_be_a_number_as_yaml_reads_it() -> None:
    assert choose_device({"accelerator": "cpu", "precision": 32}, SAPPHIRE_RAPIDS).precision == "32-true"


@pytest.mark.parametrize("asked", ["8", "64", "bf16", "bf16-true", "16", ""])
def test_an_unknown_precision_is_refused_with_the_choices(asked: str) -> None:
    with pytest.raises(SettingError) as refused:
        choose_precision(asked, "cpu", LAPTOP)
    assert str(refused.value).startswith(f"trainer.precision={asked} is unknown; ")
    assert str(refused.value).endswith(f"choices: {', '.join(sorted(PRECISIONS))}")


@pytest.mark.parametrize("machine", [A100, M2, LAPTOP])
@pytest.mark.parametrize("asked", [True, False])
def test_the_layout_is_as_asked_where_it_is_asked(asked: bool, machine: Machine) -> None:
    assert choose_device(AUTO, machine, channels_last=asked).channels_last is asked


def test_a_trainer_without_these_settings_means_auto() -> None:
    assert choose_device({}, T4) == choose_device(AUTO, T4)


@each_case("asked", ["abc", "", "[0]", "1,1", "0,-1", 0, -3, 1.5, True, None, [], [0, 0], [-1], ["a"], {"a": 1}])
def test_devices_that_are_none_are_refused(asked: Any) -> None:
    with pytest.raises(SettingError, match=r"^trainer\.devices=.* must be a number of devices, such as 2, or "):
        parse_devices(asked)


@pytest.mark.parametrize(
    ("asked", "accelerator", "machine"),
    [
        (99, "cpu", LAPTOP),
        (-1, "cpu", LAPTOP),
        ([0], "cpu", LAPTOP),
        (2, "gpu", A100),
        ([1], "gpu", A100),
        ("0,8", "gpu", H100),
        (2, "mps", M2),
    ],
)
def test_devices_that_are_not_there_are_refused(asked: Any, accelerator: Any, machine: Machine) -> None:
    with pytest.raises(SettingError, match=r"^trainer\.devices=.*: (on a CPU it is|this machine has) "):
        check_devices({"devices": asked}, accelerator, machine)


@pytest.mark.parametrize(
    ("asked", "accelerator", "machine"),
    [
        (1, "cpu", LAPTOP),
        ("auto", "cpu", LAPTOP),
        (8, "gpu", H100),
        ([7, 0], "gpu", H100),
        ("3,", "gpu", H100),
        (-1, "gpu", A100),
        (1, "mps", M2),
    ],
)
def test_devices_that_are_there_are_taken(asked: Any, accelerator: Any, machine: Machine) -> None:
    check_devices({"devices": asked}, accelerator, machine)
