"""What the verbs about models print: training, evaluation, export, verification, prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from edgecnn.cli.progress import duration
from edgecnn.cli.show import heading, percent, rows, size, table
from edgecnn.errors import plural

if TYPE_CHECKING:  # each verb wants libraries that showing another one's record must do without
    from edgecnn.proof.certificate import Certificate
    from edgecnn.proof.device import DeviceCertificate
    from edgecnn.proof.parity import Parity
    from edgecnn.train.percentages import Percentages
    from edgecnn.verbs.eval import EvalRecord
    from edgecnn.verbs.export import ExportRecord
    from edgecnn.verbs.predict import PredictRecord
    from edgecnn.verbs.train import TrainRecord

BAR = 24


def trained(console: Console, record: TrainRecord) -> None:
    """`train`."""
    made = table("class", "val")
    for name, accuracy in record.per_class.items():
        made.add_row(name, percent(accuracy))
    console.print(made)
    console.print(
        f"{record.run}: val {percent(record.val_top1)} after epoch {record.best_epoch} of {record.epochs}, "
        f"{duration(record.seconds)}, "
        f"{record.images_per_s:,.0f} images/s; {record.params:,} parameters, {record.macs / 1e6:.2f} M multiply-adds"
    )
    if record.teacher is not None:
        told = record.teacher
        console.print(
            f"its teacher: val {percent(told.val_top1)} after epoch {told.best_epoch} of {told.epochs}, "
            f"{duration(told.seconds)}; {told.params:,} parameters, {told.macs / 1e6:.2f} M multiply-adds"
        )
    if record.percentages is not None:
        console.print(_percentages(record.percentages), soft_wrap=True)
    console.print(
        f"curves.png and confusion.png are in {record.run}; next: edgecnn export {record.run} --int8 --target all"
    )


def _percentages(found: Percentages) -> str:
    fitted = "left at 1" if found.temperature == 1.0 else f"{found.temperature:.2f} fitted"
    gain = f"NLL {found.nll_plain:.2f} -> {found.nll:.2f}"
    note = f"; {found.note}" if found.note else ""
    return (
        f"percentages: temperature {fitted} on {found.n:,} validation pictures ({gain}), "
        f"unsure below {percent(found.unsure_below)}{note}"
    )


def evaluated(console: Console, record: EvalRecord) -> None:
    """`eval`."""
    heading(console, f"{record.model} on {plural(record.n, f'{record.split} picture')}")
    made = table("class", "accuracy")
    for name, accuracy in record.per_class.items():
        made.add_row(name, percent(accuracy))
    console.print(made)
    console.print(f"top-1 {percent(record.top1)}, top-5 {percent(record.top5)}")
    if record.ece is not None:
        console.print(f"its percentages are off by {percent(record.ece)} on average (expected calibration error)")
    for note in record.notes:
        console.print(f"note: {note}", soft_wrap=True)


def exported(console: Console, record: ExportRecord) -> None:
    """`export`."""
    lines = [(f"{made.target}-{made.precision}", str(made.model), size(made.bytes)) for made in record]
    console.print(rows(table("artifact", "file", "size", left=2), lines))
    console.print(
        f"{plural(len(record), 'file')} in {duration(record.seconds)}, each opened by its runtime and checked"
    )
    if record.heat_maps:
        console.print(f"heat maps beside them: {', '.join(folder.name for folder in record.heat_maps)}", markup=False)
    for note in record.notes:
        console.print(f"note: {note}", soft_wrap=True)
    if record.saturates_in:
        layers = sum(sums.saturates for sums in record.saturation)
        console.print(
            f"on x86 without VNNI, sums in {plural(layers, 'layer')} can saturate in "
            f"{' and '.join(record.saturates_in)}; for such machines export with --weights-bits 7, or say "
            "quantize: {weights_bits: 7} in the recipe",
            markup=False,
        )


def verified(console: Console, record: Certificate) -> None:
    """`verify`: the table, what differs, and the verdict."""
    from edgecnn.verbs.verify import REFERENCE

    known = "" if record.details else " whose classes are unknown: parity only"
    heading(console, f"{plural(record.n, f'{record.split} picture')}{known}")
    made = table(
        "model", "size", "top-1", "drop, points (95 %)", "McNemar p", "same answer", "within 1 step", "at most"
    )
    against = {pair.b: pair for pair in record.parity if pair.a == REFERENCE}
    for name in ("fp32", *record.bytes):
        found = record.details.get(name)
        top, drop, p = "", "", ""
        if found is not None:
            top = percent(found.top1)
        if found is not None and name != "fp32":
            drop = f"{found.drop_pp:+.2f} ({found.drop_low_pp:+.2f} .. {found.drop_high_pp:+.2f})"
            p = f"{found.mcnemar_p:.2f}"
        held = size(record.bytes[name]) if name in record.bytes else ""
        parity = _parity_cells(against.get(name), record.float_apart.get(name), record.float_agreement.get(name))
        made.add_row(name, held, top, drop, p, *parity)
    console.print(made)
    console.print(
        "int8 is held against the reference, the QDQ graph in ONNX Runtime without optimizations; fp32 against torch "
        "and fp32.onnx, fp16 against fp32.onnx, as a share of the largest logit",
        style="dim",
    )
    if record.logit_grid is not None:
        _parity_between(console, record)
    layers = sum(len(report.layers) for report in record.layers)
    wrong = sum(check.reason is not None for report in record.layers for check in report.layers)
    console.print(f"layers by themselves: {layers - wrong} of {layers} within one rounding step of the reference")
    _failures(console, record)


def verified_there(console: Console, record: DeviceCertificate) -> None:
    """`verify --device`: over there beside here."""
    heading(console, f"{plural(record.n, f'{record.split} picture')} on {record.device}, beside the same files here")
    made = table("file and engine", "top-1", "drop, points", "same answer", "logits exact", "at most", "golden exact")
    golden = {found.name: found for found in record.golden}
    for pair in record.parity:
        name = pair.a.removesuffix(", here")
        most = plural(pair.max_steps, "step")
        cells = (percent(pair.top1_agreement), percent(pair.exact), most)
        made.add_row(name, *_accuracy_cells(record, name), *cells, percent(golden[name].exact))
    for found in record.float_parity:
        cells = (percent(found.top1_agreement), "", f"{found.apart:.0e} of 1")
        made.add_row(found.name, *_accuracy_cells(record, found.name), *cells, percent(golden[found.name].exact))
    console.print(made)
    if record.emulated:
        console.print("an emulated device: its answers mean something, its time would not", style="dim")
    for failure in record.failures:
        console.print(f"failed: {failure}", style="red", markup=False, soft_wrap=True)
    if record.passed:
        console.print("passed", style="green")


def _accuracy_cells(record: DeviceCertificate, name: str) -> tuple[str, str]:
    if name not in record.accuracy:
        return "", ""
    return percent(record.accuracy[name]), f"{record.drop_pp[name]:+.2f}"


def _parity_cells(pair: Parity | None, apart: float | None, agreement: float | None) -> Sequence[str]:
    if pair is not None:
        most = plural(pair.max_steps, "step")
        return percent(pair.top1_agreement), f"{100 * pair.within_1:.3f} %", most
    same = "" if agreement is None else percent(agreement)
    return same, "", "" if apart is None else f"{apart:.0e} of 1"


def _parity_between(console: Console, record: Certificate) -> None:
    from edgecnn.verbs.verify import REFERENCE

    between = [pair for pair in record.parity if pair.a != REFERENCE]
    if between:
        heading(console, "int8 against int8")
        made = table("", "", "same answer", "exact", "logits by steps apart", left=2)
        for pair in between:
            spread = ", ".join(f"{level}: {count:,}" for level, count in pair.steps.items())
            made.add_row(pair.a, pair.b, percent(pair.top1_agreement), percent(pair.exact), spread)
        console.print(made)
    grid = record.logit_grid
    assert grid is not None, "asked for only where there is int8"
    console.print(
        f"logits use {grid.levels} of 256 levels, {percent(grid.saturated)} at an end; {record.ties} ties for first"
    )


def _failures(console: Console, record: Certificate) -> None:
    if record.passed:
        console.print("passed", style="green")
        return
    for failure in record.failures:
        console.print(f"failed: {failure}", style="red", markup=False, soft_wrap=True)
    for picture in record.worst:
        answers = ", ".join(f"{name}: {label}" for name, label in picture.answers.items())
        console.print(f"  {picture.name} ({picture.label}): {picture.steps} steps apart; {answers}", soft_wrap=True)


def predicted(console: Console, record: Sequence[PredictRecord]) -> None:
    """`predict`: a bar a label."""
    for found in record:
        if len(found.top) == 1:
            console.print(f"{found.image}: {found.top[0].label} {percent(found.top[0].probability)}", soft_wrap=True)
            continue
        heading(console, found.image)
        made = table("label", "", "")
        made.columns[2].justify = "left"
        for prediction in found.top:
            bar = "█" * round(BAR * prediction.probability)
            made.add_row(prediction.label, percent(prediction.probability), bar)
        console.print(made)
