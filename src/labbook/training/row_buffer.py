"""Rows of many batches in few tensors."""

from collections.abc import Sequence

from torch import Tensor

SMALLEST = 1024  # rows of a new tensor


class RowBuffer:
    """Collects what is kept of each batch, such as labels [n] and logits [n, classes].

    The rows are copied into one tensor each, which doubles when it is full. Small tensors of each batch would split the
    memory that large tensors have left. On a CPU, it would grow with every batch.
    """

    def __init__(self) -> None:
        self.count = 0  # rows
        self._whole: list[Tensor] = []

    def add(self, parts: Sequence[Tensor]) -> None:
        """Add the rows of a batch: tensors [n, ...], the same kinds in each call."""
        end = self.count + len(parts[0])
        room = len(self._whole[0]) if self._whole else 0
        if end > room or not self._whole:
            size = max(end, 2 * room, SMALLEST)
            larger = [part.new_empty((size, *part.shape[1:])) for part in parts]
            for new, old in zip(larger, self._whole, strict=bool(self._whole)):
                new[: self.count] = old[: self.count]
            self._whole = larger
        for whole, part in zip(self._whole, parts, strict=True):
            whole[self.count : end] = part
        self.count = end

    def __bool__(self) -> bool:
        """Whether a batch was added, even one without rows."""
        return bool(self._whole)

    def take(self) -> list[Tensor]:
        """All rows, one tensor [N, ...] for each kind, in the order in which they came; the buffer is empty then."""
        taken = [whole[: self.count].clone() for whole in self._whole]
        self.count, self._whole = 0, []
        return taken
