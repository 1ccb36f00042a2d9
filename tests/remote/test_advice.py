"""What a probe means: what makes a device unusable, what each runtime lacks, and what to do about it."""

from __future__ import annotations

from typing import Any

import pytest

from edgecnn.remote.advice import advise, given_by_system, target_of
from edgecnn.remote.wheels import wanted
from tests.remote.probes import environment, pi

BLOCKED: dict[str, tuple[dict[str, Any], str, str]] = {
    "32-bit system": (
        {"architecture": "armv7l", "kernel_architecture": "aarch64"},
        "32-bit one (armv7l under a 64-bit kernel)",
        "64-bit system to its card",
    ),
    "32-bit processor": ({"architecture": "armv6l", "kernel_architecture": "armv6l"}, "processor is a 32-bit one", ""),
    "risc-v": ({"architecture": "riscv64"}, "no engine has wheels for riscv64", ""),
    "JetPack 4": ({"l4t": "32.7.1", "python": "3.6.9", "glibc": "2.27"}, "JetPack 4 (Python 3.6)", "newer system"),
    "JetPack 5": ({"l4t": "35.4.1", "python": "3.8.10", "glibc": "2.31"}, "JetPack 5 (Python 3.8)", "newer system"),
    "bullseye": ({"python": "3.9.2", "glibc": "2.31"}, "Python 3.9.2 of Debian", "bookworm"),
    "too new": ({"python": "3.14.0"}, "Python 3.14.0 is too new", "python: python3.13"),
    "musl": ({"glibc": None}, "not glibc", "Debian"),
    "no venv": ({"has_venv": False}, "no venv", "sudo apt install python3-venv"),
}


@pytest.mark.parametrize("case", BLOCKED)
def test_what_makes_a_device_unusable(case: str) -> None:
    changes, what, do = BLOCKED[case]
    advice = advise(pi(**changes))
    said = "; ".join(map(str, advice.blocking))
    assert what in said
    assert do in said
    assert all(offer.version is None and offer.reason for offer in advice.runtimes)


REMARKS: dict[str, tuple[dict[str, Any], str, str]] = {
    "powersave": ({"governor": "powersave"}, "powersave", "scaling_governor"),
    "ondemand": ({"governor": "ondemand"}, "changes its clock by load", "scaling_governor"),
    "hot": ({"temperature_c": 78.4}, "78 C", "heat sink or a fan"),
    "full": ({"disk_free_mib": 120}, "120 MiB free", "free some space"),
    "little memory": ({"available_mib": 140}, "140 MiB", "desktop"),
    "firmware": ({"vcgencmd": False}, "vcgencmd", "usermod -aG video"),
    "pages": ({"page_bytes": 16384}, "16 KiB", "kernel8.img"),
    "no camera": ({"cameras": ()}, "no camera", "rpicam-hello"),
}


@pytest.mark.parametrize("case", REMARKS)
def test_what_is_worth_knowing(case: str) -> None:
    changes, what, do = REMARKS[case]
    advice = advise(pi(**changes))
    (finding,) = advice.findings
    assert what in str(finding)
    assert do in str(finding)
    assert not advice.blocking


def test_nothing_to_say_of_a_good_pi() -> None:
    advice = advise(pi())
    assert advice.findings == ()
    assert [(offer.runtime, offer.version) for offer in advice.runtimes] == [
        ("litert", "2.3.0"),
        ("onnxruntime", "1.31.1"),
        ("openvino", "2026.4.1"),
    ]
    assert target_of(pi()).platforms()[-1] == "manylinux_2_36_aarch64"


def test_a_runtime_may_want_a_newer_system_than_others() -> None:
    """Ubuntu 20.04's glibc with a Python of its own."""
    offers = {offer.runtime: offer for offer in advise(pi(python="3.10.4", glibc="2.31")).runtimes}
    assert offers["onnxruntime"].version == "1.23.2"
    assert offers["openvino"].reason == "openvino wants glibc 2.35, there is 2.31"


def test_what_is_installed_is_said() -> None:
    found = pi(packages={"onnxruntime": "1.19.2", "cv2": None}, environment=environment({"ai-edge-litert": "2.3.0"}))
    offers = {offer.runtime: (offer.installed, offer.system) for offer in advise(found).runtimes}
    assert offers == {"litert": ("2.3.0", None), "onnxruntime": (None, "1.19.2"), "openvino": (None, None)}


@pytest.mark.parametrize(
    ("packages", "given"),
    [
        ({}, ()),
        ({"numpy": "1.24.2", "cv2": None}, ()),
        ({"numpy": "1.24.2", "picamera2": "0.3.12"}, ("numpy",)),
        ({"numpy": "1.24.2", "picamera2": "0.3.12", "cv2": None}, ("numpy", "opencv-python-headless")),
        ({"numpy": "1.19.5", "picamera2": "0.3.12"}, ()),
    ],
)
def test_what_is_left_to_the_system(packages: dict[str, str | None], given: tuple[str, ...]) -> None:
    assert given_by_system(pi(packages=packages)) == given


def test_a_jetsons_onnxruntime_stays_in_front() -> None:
    """setup would put the usual wheel before NVIDIA's, which alone has TensorRT."""
    packages: dict[str, str | None] = {"onnxruntime": "1.23.0", "numpy": "1.26.4"}
    given = given_by_system(pi(packages=packages, l4t="36.4.7"))
    assert given == ("onnxruntime",)
    assert given_by_system(pi(packages=packages)) == ()
    assert given_by_system(pi(packages={"numpy": "1.26.4"}, l4t="36.4.7")) == ()
    assert [entry.package for entry in wanted(["onnxruntime"], (3, 10), given=given)] == ["numpy"]
