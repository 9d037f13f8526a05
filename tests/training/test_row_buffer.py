"""Rows of many batches in few tensors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labbook.training import row_buffer
from labbook.training.row_buffer import RowBuffer


@settings(max_examples=20)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_rows_keep_their_order_type_and_values(sizes: list[int]) -> None:
    batches = [(torch.randn(size, 3, dtype=torch.bfloat16), torch.randint(0, 3, (size,))) for size in sizes]
    buffer = RowBuffer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_buffer, "SMALLEST", 4)
        for batch in batches:
            buffer.add(batch)
    assert bool(buffer)
    assert buffer.count == sum(sizes)
    logits, labels = buffer.take()
    torch.testing.assert_close(logits, torch.cat([each for each, _ in batches]), rtol=0, atol=0)
    torch.testing.assert_close(labels, torch.cat([each for _, each in batches]), rtol=0, atol=0)
    assert not buffer
    assert buffer.take() == []


def test_a_taken_tensor_holds_only_its_rows() -> None:
    buffer = RowBuffer()
    buffer.add([torch.zeros(5, 2)])
    (rows,) = buffer.take()
    assert rows.untyped_storage().nbytes() == 5 * 2 * 4


def test_many_batches_take_few_tensors() -> None:
    buffer = RowBuffer()
    addresses = set()
    for _ in range(1000):
        buffer.add([torch.zeros(8)])
        addresses.add(buffer._whole[0].data_ptr())
    assert len(addresses) <= 4  # 1024, 2048, 4096 and 8192 rows
