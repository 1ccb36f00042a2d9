"""Top-1 on the test pictures, against the fp32 network and against our file of the same format, picture by picture."""

from __future__ import annotations

from edgecnn.metrics import agreement, drop_interval, mcnemar, top1
from tools.exporters.exporter import Array
from tools.exporters.journal import Accuracy, Converted


def compare(made: Converted, logits: Array, fp32: Array, ours: Array, classes: Array) -> Accuracy:
    """What a file's logits are worth; all are [N, K], `classes` [N]."""
    right, right_fp32 = logits.argmax(1) == classes, fp32.argmax(1) == classes
    return Accuracy(
        key=made.key,
        sha256=made.sha256,
        n=len(classes),
        top1=top1(logits, classes),
        fp32_top1=top1(fp32, classes),
        drop_pp=points(right_fp32, right),
        mcnemar=mcnemar(right_fp32, right),
        behind_ours_pp=points(ours.argmax(1) == classes, right),
        same_answer=agreement(logits, fp32),
    )


def points(right_a: Array, right_b: Array) -> tuple[float, float, float]:
    """By how many points a is better than b, with the paired 95 % interval."""
    low, high = drop_interval(right_a, right_b)
    return (100.0 * float(right_a.mean() - right_b.mean()), 100.0 * low, 100.0 * high)
