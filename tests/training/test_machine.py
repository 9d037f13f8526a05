"""The machine that a run describes: its GPUs and its CPU."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch

from labbook.training.hardware import (
    choose_device,
    cpu_name,
    describe_machine,
)
from tests.training.test_hardware import AUTO


def cuda_with(monkeypatch: pytest.MonkeyPatch, *gpus: tuple[str, tuple[int, int]]) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(gpus))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: gpus[index][0])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: gpus[index][1])


def test_of_several_gpus_the_oldest_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_with(monkeypatch, ("NVIDIA A100", (8, 0)), ("Tesla T4", (7, 5)))
    machine = describe_machine()
    assert (machine.gpus, machine.capability, machine.gpu_name) == (2, (7, 5), "NVIDIA A100")
    assert choose_device(AUTO, machine).precision == "16-mixed"


def test_a_capability_is_compared_as_two_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_with(monkeypatch, ("new", (12, 0)), ("newer", (10, 3)))
    assert describe_machine().capability == (10, 3)


def test_a_machine_without_gpus_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_with(monkeypatch)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    machine = describe_machine()
    assert (machine.gpus, machine.capability, machine.gpu_name, machine.mps) == (0, (0, 0), "", False)
    assert machine.cpu_name
    assert choose_device(AUTO, machine).accelerator == "cpu"


@pytest.mark.parametrize(
    ("avx512_bf16", "amx", "bf16"),
    [(False, False, False), (True, False, True), (False, True, True), (True, True, True)],
)
def test_either_instruction_set_makes_a_cpu_fit_for_bf16(
    avx512_bf16: bool, amx: bool, bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert describe_machine().cpu_bf16 is bf16


def opening(monkeypatch: pytest.MonkeyPatch, content: str | None) -> None:
    real = Path.open

    def opened(self: Path, *args: Any, **options: Any) -> Any:
        if str(self) != "/proc/cpuinfo":
            return real(self, *args, **options)
        if content is None:
            raise FileNotFoundError(self)
        return io.StringIO(content)

    monkeypatch.setattr(Path, "open", opened)


def test_the_cpu_is_named_as_its_maker_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    opening(
        monkeypatch, "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Gold 6130\nprocessor\t: 1\nmodel name\t: other\n"
    )
    assert cpu_name() == "Intel(R) Xeon(R) Gold 6130"


@pytest.mark.parametrize("content", [None, "processor\t: 0\n"])
def test_a_cpu_without_a_name_is_a_cpu(content: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    opening(monkeypatch, content)
    monkeypatch.setattr("platform.processor", lambda: "")
    assert cpu_name() == "CPU"
