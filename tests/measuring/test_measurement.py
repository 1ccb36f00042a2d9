"""What rows are called, and when the machine was too busy for one."""

from __future__ import annotations

import pytest

from edgecnn.measuring.measurement import Busy, Protocol, row_name, too_busy, within
from tests.verbs.small_bench import IDLE


def test_names() -> None:
    assert row_name("ds_cifar", "onnx", "int8", "openvino", 2) == "ds_cifar onnx-int8 in openvino, 2 threads"
    assert row_name("net.onnx", "onnx", None, "onnxruntime", 1) == "net.onnx onnx in onnxruntime, 1 thread"


def test_little_time_is_kept_to() -> None:
    assert within(5.0) == Protocol(5.0)
    little = within(0.9)
    assert little.warmup_s + little.windows_least * little.window_s == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("busy", "reasons"),
    [
        (IDLE, 0),
        (Busy(0.1, 0.02, 0.02, 1e6), 0),  # the limits themselves; switches are told, not judged
        (Busy(0.11, 0.0, 0.0, 0.0), 1),
        (Busy(0.11, 0.03, 0.03, 0.0), 3),
        (Busy(None, None, 0.0, None), 0),
        (Busy(None, 0.0, None, None), 1),
    ],
)
def test_too_busy(busy: Busy, reasons: int) -> None:
    assert len(too_busy(busy, Protocol(1.0))) == reasons
