"""What a probe means: whether the device can be used at all, which runtimes it can have, what to do about the rest."""

from __future__ import annotations

from dataclasses import dataclass

from edgecnn.edge.machine import PERFORMANCE
from edgecnn.remote.probing import Probe, version_pair
from edgecnn.remote.wheels import ARCHITECTURES, ENGINES, GLIBC, PYTHONS, Target, pin

MODULES = {"litert": "ai_edge_litert", "onnxruntime": "onnxruntime", "openvino": "openvino"}
"""Runtime -> the module by which a system's own one is found."""
DISK_MIB = 400
"""An engine with numpy, its wheels, a few models."""
MEMORY_MIB = 250
HOT_C = 70.0
JETPACKS = {
    32: "JetPack 4 (Python 3.6), the last one of the original Jetson Nano, TX1 and TX2; the oldest supported is 6",
    35: "JetPack 5 (Python 3.8); put JetPack 6 or newer on it where the board takes that (every Orin does)",
}
"""Release of a Jetson's Linux -> what it is, of those that are too old."""


@dataclass(frozen=True)
class Finding:
    """Something to know about a device, and what to do about it. blocks: nothing can be installed before that."""

    what: str
    do: str | None = None
    blocks: bool = False

    def __str__(self) -> str:
        return f"{self.what}; {self.do}" if self.do else self.what


@dataclass(frozen=True)
class Offer:
    """A runtime on a device. version: what setup installs; None where it can't be had, and `reason` says why.

    installed: what is in the environment there; system: what the system's Python has.
    """

    runtime: str
    version: str | None
    installed: str | None
    system: str | None
    reason: str | None


@dataclass(frozen=True)
class Advice:
    """What follows from a probe."""

    runtimes: tuple[Offer, ...]
    findings: tuple[Finding, ...]

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """Why nothing can be put there; empty where the device is supported."""
        return tuple(finding for finding in self.findings if finding.blocks)


def advise(probe: Probe) -> Advice:
    """What can be had on a device, and what to do about what can't."""
    blocking = _blocking(probe)
    usable = "nothing can be installed there" if blocking else None
    return Advice(tuple(_offer(probe, runtime, usable) for runtime in ENGINES), (*blocking, *_remarks(probe)))


def target_of(probe: Probe) -> Target:
    """What wheels must fit; for a probe without blocking findings."""
    assert probe.glibc is not None, "without one nothing can be installed"
    return Target(probe.python_minor, probe.architecture, version_pair(probe.glibc))


def given_by_system(probe: Probe) -> tuple[str, ...]:
    """Packages of the system that nothing is put before: a Jetson's ONNX Runtime; beside picamera2, numpy and OpenCV.

    A Jetson's is NVIDIA's onnxruntime-gpu as a rule: the usual wheel before it would take TensorRT and CUDA away.
    Debian's picamera2 comes with modules that are compiled for Debian's numpy; a newer one before it makes them fail
    ("numpy.dtype size changed"). The engines take any numpy from 1.24 on, bookworm's.
    """
    return _of_a_jetson(probe) + _beside_picamera(probe)


def _of_a_jetson(probe: Probe) -> tuple[str, ...]:
    return ("onnxruntime",) if probe.l4t is not None and "onnxruntime" in probe.packages else ()


def _beside_picamera(probe: Probe) -> tuple[str, ...]:
    if "picamera2" not in probe.packages or version_pair(probe.packages.get("numpy") or "0.0") < (1, 24):
        return ()
    return ("numpy", "opencv-python-headless") if "cv2" in probe.packages else ("numpy",)


# --- what makes a device unusable ------------------------------------------------------------------------------------


def _blocking(probe: Probe) -> tuple[Finding, ...]:
    """Every reason, the deepest first: a 32-bit system's other troubles go away with it."""
    found = [reason for reason in (_wrong_system(probe), _wrong_python(probe)) if reason is not None]
    if probe.architecture in ARCHITECTURES and probe.glibc is None:
        found.append(
            Finding("its C library is not glibc, which every engine's wheels need", "use Debian, Ubuntu", True)
        )
    if not probe.has_venv:
        found.append(Finding("its Python has no venv module", "sudo apt install python3-venv", True))
    return tuple(found)


def _wrong_system(probe: Probe) -> Finding | None:
    if probe.l4t is not None and (jetpack := JETPACKS.get(version_pair(probe.l4t + ".0")[0])) is not None:
        return Finding(f"it is a Jetson with {jetpack}", None, True)
    if probe.architecture in ARCHITECTURES:
        return None
    if probe.architecture.startswith("armv6"):
        return Finding(
            f"its processor is a 32-bit one ({probe.architecture}), for which no engine has wheels", None, True
        )
    if probe.architecture.startswith("arm") or probe.architecture == "i686":
        kernel = " under a 64-bit kernel" if probe.kernel_architecture in ARCHITECTURES else ""
        return Finding(
            f"its system is a 32-bit one ({probe.architecture}{kernel}), for which the engines have no wheels",
            "write a 64-bit system to its card (Raspberry Pi Imager: Raspberry Pi OS (64-bit))",
            True,
        )
    return Finding(f"no engine has wheels for {probe.architecture}", None, True)


def _wrong_python(probe: Probe) -> Finding | None:
    oldest, newest = PYTHONS
    wanted = f"{oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
    if probe.python_minor < oldest:
        system = f" of {probe.system}" if probe.system else ""
        do = "install a newer system (Raspberry Pi OS bookworm, Ubuntu 22.04, JetPack 6 or newer)"
        return Finding(f"Python {probe.python}{system} is too old, the engines want {wanted}", do, True)
    if probe.python_minor > newest:
        do = (
            f"install a Python of {wanted} beside it and name it in the profile (python: python{newest[0]}.{newest[1]})"
        )
        return Finding(f"Python {probe.python} is too new, the engines want {wanted}", do, True)
    return None


# --- what it can have, and what it should know -----------------------------------------------------------------------


def _offer(probe: Probe, runtime: str, unusable: str | None) -> Offer:
    installed = probe.environment.packages.get(ENGINES[runtime][0]) if probe.environment is not None else None
    module = MODULES[runtime]
    system = (probe.packages[module] or "unknown") if module in probe.packages else None
    reason = unusable or _too_old_a_glibc(probe, runtime)
    version = None if reason else pin(ENGINES[runtime][0], probe.python_minor).version
    return Offer(runtime, version, installed, system, reason)


def _too_old_a_glibc(probe: Probe, runtime: str) -> str | None:
    has = version_pair(probe.glibc or "0.0")
    for package in ENGINES[runtime]:
        if has < (needs := GLIBC[package]):
            return f"{package} wants glibc {needs[0]}.{needs[1]}, there is {probe.glibc}"
    return None


def _remarks(probe: Probe) -> list[Finding]:
    found = [remark(probe) for remark in (_disk, _memory, _governor, _heat, _firmware, _pages, _cameras)]
    return [finding for finding in found if finding is not None]


def _disk(probe: Probe) -> Finding | None:
    if probe.disk_free_mib >= DISK_MIB or probe.environment is not None:
        return None
    return Finding(f"its disk has {probe.disk_free_mib} MiB free, of which setup wants {DISK_MIB}", "free some space")


def _memory(probe: Probe) -> Finding | None:
    if probe.available_mib is None or probe.available_mib >= MEMORY_MIB:
        return None
    do = "end what runs there, its desktop first (sudo raspi-config: boot to console)"
    return Finding(f"only {probe.available_mib} MiB of its memory are free: it will swap", do)


def _governor(probe: Probe) -> Finding | None:
    if probe.governor in (None, "performance"):
        return None
    if probe.governor == "powersave":
        return Finding("its governor is powersave: it stays at its lowest clock, and no timing counts", PERFORMANCE)
    return Finding(
        f"its governor is {probe.governor}: it changes its clock by load", f"for steady times: {PERFORMANCE}"
    )


def _heat(probe: Probe) -> Finding | None:
    if probe.temperature_c is None or probe.temperature_c < HOT_C:
        return None
    return Finding(f"it has {probe.temperature_c:.0f} C before it has anything to do", "give it a heat sink or a fan")


def _firmware(probe: Probe) -> Finding | None:
    if probe.vcgencmd is not False:
        return None
    do = "sudo usermod -aG video $USER, then log in again"
    return Finding("this user may not ask its firmware (vcgencmd) whether it throttles", do)


def _pages(probe: Probe) -> Finding | None:
    if probe.page_bytes == 4096:
        return None
    return Finding(
        f"its pages have {probe.page_bytes // 1024} KiB: the wheels that setup installs are laid out for up to 64 KiB, "
        "but other programs may want 4 KiB (on a Raspberry Pi 5: kernel=kernel8.img in /boot/firmware/config.txt)"
    )


def _cameras(probe: Probe) -> Finding | None:
    if probe.cameras:
        return None
    return Finding("it knows no camera", "if one is connected: `rpicam-hello --list-cameras` or `lsusb` over there")
