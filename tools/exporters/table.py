"""What the journal holds, as Markdown for the README."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tools.exporters.exporter import OURS, Exporter
from tools.exporters.journal import Accuracy, Converted, Journal, Latency, Operators

HEAD = (
    "| exporter, setting | runtime | top-1 | loss against fp32, points (95 %) | behind ours, points (95 %) "
    "| KiB | operators (in float; conversions) | time against ours (quartiles) | seconds | installed MB |"
)
RULE = "|---|---|---|---|---|---|---|---|---|---|"


def report(journal: Journal, models: Iterable[str], exporters: Mapping[str, Exporter]) -> str:
    """A table a model, what the settings mean, versions and protocol."""
    parts = [part for model in models for part in (model_table(journal, model), "")]
    return "\n".join([*parts, *legend(journal, exporters)])


def model_table(journal: Journal, model: str) -> str:
    """The files made of one model, format by format, ours first in each."""
    made = [found for found in journal.all(Converted) if found.key.model == model]
    rows = [row(journal, found) for found in sorted(made, key=_place)]
    about = next((found for found in journal.all(Accuracy) if found.key.model == model), None)
    caption = f"`{model}`"
    if about is not None:
        caption += f", {about.n:,} test pictures; fp32: {100 * about.fp32_top1:.2f} %"
    return "\n".join([caption + ":", "", HEAD, RULE, *rows])


def _place(found: Converted) -> tuple[str, bool, str, str]:
    return found.form, found.key.exporter != OURS, found.key.exporter, found.key.setting


def row(journal: Journal, made: Converted) -> str:
    """One file; what was not measured yet is empty."""
    accuracy, operators, latency = (_current(journal, kind, made) for kind in (Accuracy, Operators, Latency))
    ours = made.key.exporter == OURS
    cells = [
        f"{made.key.exporter}, {made.key.setting}",
        latency.runtime if isinstance(latency, Latency) else made.form,
        f"{100 * accuracy.top1:.2f} %" if isinstance(accuracy, Accuracy) else "",
        interval(accuracy.drop_pp) if isinstance(accuracy, Accuracy) else "",
        interval(accuracy.behind_ours_pp) if isinstance(accuracy, Accuracy) and not ours else "",
        f"{made.bytes / 1024:,.0f}",
        operator_counts(operators) if isinstance(operators, Operators) else "",
        times(latency, ours) if isinstance(latency, Latency) else "",
        f"{made.seconds:.1f}",
        installed(made),
    ]
    return f"| {' | '.join(cells)} |"


def _current(
    journal: Journal, kind: type[Accuracy] | type[Operators] | type[Latency], made: Converted
) -> Accuracy | Operators | Latency | None:
    """What was measured of this very file."""
    found = journal.find(kind, made.key)
    return found if found is not None and found.sha256 == made.sha256 else None


def interval(points: tuple[float, float, float]) -> str:
    """+0.06 (-0.07 .. +0.19)"""
    middle, low, high = points
    return f"{middle:+.2f} ({low:+.2f} .. {high:+.2f})"


def installed(made: Converted) -> str:
    """402 + 5,717 torch"""
    rest = f"{made.installed_mb - made.torch_mb:,.0f}"
    return f"{rest} + {made.torch_mb:,.0f} torch" if made.torch_mb else rest


def operator_counts(found: Operators) -> str:
    """21 (0; 2): all that compute, those of them in float, and beside them those that only convert."""
    total, floats, conversions = (sum(kinds.values()) for kinds in (found.kinds, found.floats, found.conversions))
    return f"{total} ({floats}; {conversions})"


def times(found: Latency, ours: bool) -> str:
    """1.12 (1.10 .. 1.14), or our own median in microseconds."""
    if ours:
        return f"1 = {found.p50_us:.0f} µs"
    middle, low, high = found.ratio
    return f"{middle:.3f} ({low:.3f} .. {high:.3f})"


def legend(journal: Journal, exporters: Mapping[str, Exporter]) -> list[str]:
    """What the settings set, versions, and how times were taken."""
    made = {found.key.exporter: found for found in journal.all(Converted)}
    lines = []
    for name, exporter in exporters.items():
        if name in made:
            versions = ", ".join(f"{package} {made[name].versions.get(package, '?')}" for package in exporter.shows)
            settings = "; ".join(f"{setting.name}: {setting.means}" for setting in exporter.settings)
            lines.append(f"- {name} ({versions}). {settings}.")
    timed = journal.all(Latency)
    if timed:
        first, windows, loads = timed[0], [one.inferences for one in timed], [one.load for one in timed]
        lines.append(
            f"- Times: theirs divided by ours, {first.rounds} rounds, all files of a format in turns, windows of "
            f"{min(windows)} to {max(windows)} inferences, {first.threads} thread, {first.machine}; load average "
            f"{min(loads):.1f} to {max(loads):.1f}."
        )
    return lines
