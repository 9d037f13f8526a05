"""What is relied on of TensorBoard beyond its public names."""

import sys
from importlib.util import find_spec
from pathlib import Path

from tensorboard.summary.writer import event_file_writer

from labbook.training import tensorboard_internals


def test_tensorboard_asks_for_the_sign_to_take_no_tensorflow() -> None:
    tensorboard_internals.without_tensorflow()
    assert "tensorboard.compat.notf" in sys.modules
    spec = find_spec("tensorboard.compat")
    assert spec is not None
    assert spec.origin is not None
    assert 'import_module("tensorboard.compat.notf")' in Path(spec.origin).read_text()


def test_the_thread_that_writes_events_has_the_name_it_is_known_by() -> None:
    assert isinstance(vars(event_file_writer)["_AsyncWriterThread"], type)
