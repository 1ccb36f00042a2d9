"""What the emulated machine says of itself: /proc/cpuinfo and /sys, which engines choose their kernels by.

With the host's /sys they crash, with none they compute something else. Sensors are plain files, for tests to write to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CORES = 4


@dataclass(frozen=True)
class Cpu:
    """A processor: what its cores' lines of /proc/cpuinfo say, and the fastest that they are clocked."""

    model: str
    features: str
    variant: int
    part: int
    revision: int
    max_khz: int

    def midr(self) -> int:
        """The main identification register: implementer 0x41 (Arm), variant, architecture 15, part, revision."""
        return 0x41 << 24 | self.variant << 20 | 0xF << 16 | self.part << 4 | self.revision


# As a Raspberry Pi 4's and 5's kernels (6.6, 64-bit) print them. The model says that it is none.
CPUS = {
    "cortex-a72": Cpu("Virtual Pi 4 (qemu-user)", "fp asimd evtstrm crc32 cpuid", 0, 0xD08, 3, 1_500_000),
    "cortex-a76": Cpu(
        "Virtual Pi 5 (qemu-user)",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        4,
        0xD0B,
        1,
        2_400_000,
    ),
}


def cpuinfo(cpu: Cpu) -> str:
    """The text of /proc/cpuinfo."""
    core = (
        "processor\t: {number}\nBogoMIPS\t: 108.00\n"
        f"Features\t: {cpu.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: {cpu.variant:#x}\n"
        f"CPU part\t: {cpu.part:#x}\nCPU revision\t: {cpu.revision}\n\n"
    )
    return "".join(core.format(number=number) for number in range(CORES)) + f"Model\t\t: {cpu.model}\n"


def sys_files(cpu: Cpu) -> Mapping[str, str]:
    """The files below /sys: path -> text."""
    files = {
        "class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "class/thermal/thermal_zone0/temp": "45000\n",
        "devices/platform/soc/soc:firmware/get_throttled": "0\n",
        "firmware/devicetree/base/model": f"{cpu.model}\0",
        "devices/system/cpu/kernel_max": "255\n",
    }
    everyone = f"0-{CORES - 1}\n"
    for name in ("possible", "present", "online"):
        files[f"devices/system/cpu/{name}"] = everyone
    for number in range(CORES):
        folder = f"devices/system/cpu/cpu{number}"
        files |= {
            f"{folder}/regs/identification/midr_el1": f"{cpu.midr():#018x}\n",
            f"{folder}/topology/core_id": f"{number}\n",
            f"{folder}/topology/physical_package_id": "0\n",
            f"{folder}/topology/core_siblings_list": everyone,
            f"{folder}/topology/package_cpus_list": everyone,
            f"{folder}/topology/thread_siblings_list": f"{number}\n",
            f"{folder}/topology/core_cpus_list": f"{number}\n",
            f"{folder}/cpufreq/scaling_governor": "performance\n",
            f"{folder}/cpufreq/scaling_cur_freq": f"{cpu.max_khz}\n",
            f"{folder}/cpufreq/cpuinfo_cur_freq": f"{cpu.max_khz}\n",
            f"{folder}/cpufreq/cpuinfo_min_freq": "600000\n",
            f"{folder}/cpufreq/cpuinfo_max_freq": f"{cpu.max_khz}\n",
            f"{folder}/cpufreq/scaling_min_freq": "600000\n",
            f"{folder}/cpufreq/scaling_max_freq": f"{cpu.max_khz}\n",
        }
    return files


VCGENCMD = """#!/bin/sh
# The firmware's answers, from the files that tests write to.
cpu=/sys/devices/system/cpu/cpu0/cpufreq
case "$*" in
get_throttled) echo "throttled=0x$(cat /sys/devices/platform/soc/soc:firmware/get_throttled)" ;;
measure_temp) echo "temp=$(($(cat /sys/class/thermal/thermal_zone0/temp) / 1000)).0'C" ;;
"measure_clock arm") echo "frequency(48)=$(cat $cpu/cpuinfo_cur_freq)000" ;;
*) echo 'error=1 error_msg="Command not registered"'; exit 255 ;;
esac
"""
"""/usr/bin/vcgencmd. Source: Raspberry Pi documentation, vcgencmd."""


def put_on(root: Path, cpu: Cpu) -> None:
    """Write /sys below `root` anew, as a machine that was just switched on."""
    for name, text in sys_files(cpu).items():
        path = root / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
