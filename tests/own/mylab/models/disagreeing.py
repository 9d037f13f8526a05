"""A metric that is better in one process and worse in the other, as of a module that forgets `sync_dist`."""

from mylab.models.regression import Regression
from torch import Tensor


class Disagreeing(Regression):
    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        self.log("val/score", float(self.current_epoch if self.global_rank == 0 else -self.current_epoch))
