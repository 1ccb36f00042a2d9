"""What `devices` prints: profiles, and what a device says of itself."""

from __future__ import annotations

from rich.console import Console

from edgecnn.cli.show import heading, rows, table
from edgecnn.remote.advice import Offer
from edgecnn.remote.probing import Probe
from edgecnn.verbs.add_device import AddedRecord
from edgecnn.verbs.devices import DeviceList, DeviceRecord, ProbeRecord
from edgecnn.verbs.setup_device import SetupRecord

UNSAID = "not said"


def devices(console: Console, record: DeviceList) -> None:
    """`devices list`."""
    lines = [(found.name, found.title, found.cpu, _where(found), str(found.cores)) for found in record.devices]
    console.print(rows(table("device", "what", "processor", "where", "cores", left=4), lines))


def _where(record: DeviceRecord) -> str:
    if record.unsupported is not None:
        return "not supported"
    return "here" if record.here else record.host or "-"


def device(console: Console, record: DeviceRecord) -> None:
    """`devices show`."""
    sets = f" ({', '.join(record.instruction_sets)})" if record.instruction_sets else ""
    _line(console, f"{record.title}: {record.cores} x {record.cpu}, {record.architecture}{sets}")
    if record.unsupported is not None:
        _line(console, f"NOT SUPPORTED: {record.unsupported}")
    else:
        _line(console, _reached(record))
        _line(console, f"runtimes, the one to ship first: {', '.join(record.runtimes)}; camera: {record.camera}")
    if record.throttles_at_c is not None:
        _line(console, f"throttles at {record.throttles_at_c:g} C")
    if record.emulated:
        _line(console, "emulated: instructions are counted, no time is measured")
    if record.bounds:
        lines = [(bound.what, f"{bound.value:g} {bound.unit}", bound.source) for bound in record.bounds]
        heading(console, "Peak rates, all cores")
        console.print(rows(table("what", "at most", "source", left=3), lines))
    for note in record.notes:
        _line(console, note)


def _reached(record: DeviceRecord) -> str:
    if record.here:
        return "it is this machine"
    if record.host is None:
        return f"where yours is, this says: edgecnn devices add {record.name} --host USER@ADDRESS"
    return f"reached by ssh: {record.host}"


def probed(console: Console, record: ProbeRecord) -> None:
    """`devices probe`."""
    known = f" (profile {record.profile})" if record.profile else ""
    heading(console, f"{record.device}: {record.probe.model or 'a board that does not say what it is'}{known}")
    console.print(rows(table("what", "found", left=2), _facts(record.probe)))
    lines = [(offer.runtime, offer.installed or "no", offer.system or "no", _had(offer)) for offer in record.runtimes]
    console.print(rows(table("runtime", "in its environment", "in its system", "setup brings", left=4), lines))
    for finding in record.findings:
        _line(console, f"{'NOT SUPPORTED' if finding.blocks else 'note'}: {finding}")
    if record.next:
        _line(console, f"next: {record.next}")


def added(console: Console, record: AddedRecord) -> None:
    """`devices add`."""
    known = f"figures of the profile {record.profile}" if record.profile else "no packaged profile knows this board"
    _line(console, f"{record.probe.model or 'a board that does not say what it is'}: {known}")
    for finding in record.findings:
        _line(console, f"note: {finding}")
    _line(console, f"wrote {record.path}")
    heading(console, "next:")
    for command in record.next:
        _line(console, f"  {command}")


def ready(console: Console, record: SetupRecord) -> None:
    """`devices setup`."""
    lines = [(name, version) for name, version in record.packages.items()]
    lines += [(name, "the system's") for name in record.system]
    console.print(rows(table("package", "version", left=2), lines))
    what = f"installed {', '.join(record.installed)}" if record.installed else "nothing to do"
    sent = f", {record.uploaded_bytes / 1e6:.1f} MB sent" if record.uploaded_bytes else ""
    size = f"{record.environment_bytes / 1e6:.0f} MB"
    _line(console, f"{record.device}: {what}{sent}; ~/.edgecnn/venv (Python {record.python}) takes {size} there")


def _had(offer: Offer) -> str:
    return offer.version or f"nothing: {offer.reason}"


def _facts(probe: Probe) -> list[tuple[str, str]]:
    sets = f" ({', '.join(probe.instruction_sets)})" if probe.instruction_sets else ""
    kernel = f"{probe.kernel}, {probe.kernel_architecture}, pages of {probe.page_bytes // 1024} KiB"
    libc = f"glibc {probe.glibc}" if probe.glibc else "not glibc"
    venv = "" if probe.has_venv else ", no venv"
    memory = f"{_mib(probe.available_mib)} free of {_mib(probe.memory_mib)}, swap {_mib(probe.swap_mib)}"
    heat = UNSAID if probe.temperature_c is None else f"{probe.temperature_c:.0f} C"
    firmware = {None: [], True: [("vcgencmd", "answers")], False: [("vcgencmd", "does not answer")]}[probe.vcgencmd]
    cameras = ", ".join(f"{camera.source} ({camera.name})" for camera in probe.cameras) or "none"
    processor = f"{probe.cores} x {probe.processor or 'a core that is not known'}"
    return [
        ("system", f"{probe.system or UNSAID}, {probe.architecture}"),
        ("kernel", kernel),
        ("python", f"{probe.python} ({probe.executable}{venv}), {libc}"),
        ("processor", f"{processor}{sets}, governor {probe.governor or UNSAID}, {heat}"),
        ("memory", memory),
        ("disk", f"{_mib(probe.disk_free_mib)} free"),
        *([("Jetson Linux", probe.l4t)] if probe.l4t else []),
        *firmware,
        ("cameras", cameras),
    ]


def _mib(count: int | None) -> str:
    return UNSAID if count is None else f"{count:,} MiB"


def _line(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True)
