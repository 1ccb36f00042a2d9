"""The verbs that measure what models cost, and compare two measurements."""

from __future__ import annotations

from pathlib import Path

import click

from edgecnn.cli.options import PLACE, SIZE, WHOLE, WORDS, Number, Voice, flattened, voice


@click.command()
@click.argument("models", nargs=-1, metavar="[RUN|ARTIFACT|MODEL ...]")
@click.option("--threads", type=WHOLE, multiple=True, help="One row for each: 1,2,4 (default: 1).")
@click.option("--runtime", "runtimes", type=WORDS, multiple=True, help="Only in these (default: all that read a file).")
@click.option("--seconds", type=Number(min=0.1), default=5.0, show_default=True, help="For each row, at most.")
@click.option("--input-size", type=SIZE, help="For files that leave a picture's size open: 224, or HEIGHTxWIDTH.")
@click.option("--device", metavar="NAME", help="Measure there, over SSH: a profile of `edgecnn devices list`.")
@click.option("--out", type=PLACE, help="The record's file (default: bench/DEVICE-TIME.json in the run, or here).")
@click.option(
    "--sustained",
    type=Number(min=0.01),
    metavar="MIN",
    help="Afterwards run each alone for so many minutes: does it slow down as the device gets hot?",
)
@click.option("--profile", is_flag=True, help="Afterwards time single operators, and see whether int8 ran as int8.")
@click.option("--check", is_flag=True, help="Hold it against the recipe's budget; exit code 7 where nothing meets it.")
@voice
def bench(
    models: tuple[str, ...],
    threads: tuple[tuple[int, ...], ...],
    runtimes: tuple[tuple[str, ...], ...],
    seconds: float,
    input_size: tuple[int, int] | None,
    device: str | None,
    out: Path | None,
    sustained: float | None,
    profile: bool,
    check: bool,
    voice: Voice,
) -> None:
    """Latency, memory and size of model files, in every runtime that reads them.

    MODEL is a run, an export, an artifact, a packaged model or any .tflite, .onnx or OpenVINO .xml file; without one,
    the newest run. Each is measured in a process of its own, by turns, until the percentiles are steady. What heat,
    throttling, swapping or other work has spoilt is measured again, after cooling; where that doesn't help, the row is
    marked invalid. An emulated device has no times: the instructions of an inference are counted.
    """
    from edgecnn.cli import show, show_bench
    from edgecnn.errors import GateFailed, UnusableFile
    from edgecnn.measuring.counting import CountRecord
    from edgecnn.measuring.measurement import BenchRecord
    from edgecnn.verbs.bench import bench as verb
    from edgecnn.verbs.folders import find_run

    if not models:
        models = (str(find_run(None).path),)
        voice.message(f"run {models[0]}")
    record = verb(
        models,
        threads=flattened(threads) or (1,),
        runtimes=flattened(runtimes),
        seconds=seconds,
        input_size=input_size,
        device=device,
        out=out,
        sustained_min=sustained,
        profile=profile,
        check=check,
        message=voice.message,
    )
    if isinstance(record, CountRecord):
        show.answer(voice, record, show_bench.counted)
    else:
        show.answer(voice, record, show_bench.benched)
    measured = {row.path for row in record.rows}
    for failed in record.unmeasured:
        if not failed.engine_missing and failed.path not in measured:
            raise UnusableFile(failed.reason)
    if isinstance(record, BenchRecord) and record.budget is not None and record.budget.met_by is None:
        raise GateFailed(f"the budget is not met: {'; '.join(record.budget.failures)}")


@click.command()
@click.argument("before", metavar="BENCH.json", type=PLACE)
@click.argument("after", metavar="BENCH.json", type=PLACE)
@click.option(
    "--tolerance",
    type=Number(min=0),
    default=5.0,
    show_default=True,
    metavar="PERCENT",
    help="How much slower or larger a model may get.",
)
@voice
def compare(before: Path, after: Path, tolerance: float, voice: Voice) -> None:
    """What moved from one bench record to another, with 95 % intervals.

    Leaves with exit code 7 when a time, a memory or a size grew by more than the tolerance for certain: the whole
    interval lies beyond it. Records of different devices or protocols are refused; invalid times are not compared. Of
    an emulated device, instructions are compared.
    """
    from edgecnn.cli import show, show_bench
    from edgecnn.errors import GateFailed, UsageError, plural
    from edgecnn.verbs.compare import compare as verb

    record = verb(before, after, tolerance_percent=tolerance)
    show.answer(voice, record, show_bench.compared)
    if record.failures:
        figures = plural(len(record.failures), "figure")
        raise GateFailed(f"{after}: {figures} beyond {tolerance:g} %; the first: {record.failures[0]}")
    if not record.times_compared:
        raise UsageError(
            "no times could be compared: no row is valid in both records; measure when the machine is idle"
        )
