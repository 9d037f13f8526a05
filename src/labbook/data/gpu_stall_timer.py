"""How long a GPU stood still because the images for its next step were not there yet."""

import time
from types import TracebackType

import torch


class GpuStallTimer:
    """Adds up the seconds spent within it that began with nothing left to do for the GPU.

    What takes time while the GPU is still at work on steps that were queued before costs nothing, and is not counted.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = 0.0
        self._since: float | None = None

    def at_rest(self) -> bool:
        """Whether the GPU has done all it was told."""
        return torch.cuda.current_stream(self.device).query()

    def __enter__(self) -> None:
        self._since = time.perf_counter() if self.at_rest() else None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since
