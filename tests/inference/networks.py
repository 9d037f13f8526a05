"""Networks that nobody trained, which say something of every image nonetheless, and runs that hold them."""

from dataclasses import asdict
from pathlib import Path

import torch
from omegaconf import OmegaConf

from labbook import experiment
from labbook.config.compose import compose_config
from labbook.inference.trained_model import TrainedModel
from labbook.runs.run_folder import CHECKPOINTS, CONFIG, LAST, METRICS
from labbook.training.hardware import DeviceChoice


def untrained(*settings: str) -> TrainedModel:
    """The network of these settings with its first weights, in 32 bits on the CPU."""
    config = compose_config("trainer.precision=32", "test_checkpoint=last", *settings)
    model = experiment.build_model(config, experiment.build_data(config).spec).eval()
    return TrainedModel(Path("run"), config, model, DeviceChoice("cpu", "32-true", False, ""), 1)


def saved(network: TrainedModel, path: Path) -> Path:
    """What `trained.load` needs of the folder of a run that trained this network."""
    (path / CHECKPOINTS).mkdir(parents=True)
    kept = {name: value for name, value in network.config.items() if name not in ("sweep", "seeds", "resume")}
    OmegaConf.save(OmegaConf.create(kept), path / CONFIG, resolve=True)
    (path / METRICS).write_text('{"status": "finished"}')
    content = {"state_dict": network.model.state_dict(), "epoch": 0, "spec": asdict(network.spec)}
    torch.save(content, path / CHECKPOINTS / LAST)
    return path
