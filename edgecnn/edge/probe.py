"""What a device is: `python3 - < this file` prints one line of JSON. Nothing is imported from edgecnn or installed.

Old Pythons read it too (3.6, of the first Jetson Nano), to say that they are too old: so no `from __future__ import
annotations`, no walrus, no `capture_output`. Nothing is asked that could hang: commands are given seconds, and files
are read that a kernel answers by itself. What a device does not say is null.
"""

import importlib.util
import json
import os
import platform
import re
import subprocess
import sys

COMMAND_S = 2
CAMERAS_S = 8
"""libcamera starts the sensors to list them."""
MACHINES = {0x03: "i686", 0x28: "arm", 0x3E: "x86_64", 0xB7: "aarch64", 0xF3: "riscv64"}
"""e_machine of an ELF header (elf.h)."""
MODULES = {
    "numpy": ("numpy",),
    "ai_edge_litert": ("ai-edge-litert",),
    "tflite_runtime": ("tflite-runtime",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "openvino": ("openvino",),
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv"),
    "picamera2": ("picamera2",),
    "starlette": ("starlette",),
    "uvicorn": ("uvicorn",),
}
"""Modules that matter here, and the distributions that they come in."""
NO_CAMERA = re.compile(r"codec|isp|hevc|pispbe|vdec|venc|stateless|scaler|rotator", re.IGNORECASE)
"""Video devices that are a step in a pipeline, not its source."""
RECEIVERS = {"unicam": "picamera://0", "rp1-cfe": "picamera://0", "tegra": "csi://0", "vi-output": "csi://0"}
"""What the drivers of ribbon-cable cameras call themselves -> the source that brings their pictures through the ISP."""
PARTS = {0xD03: "A53", 0xD05: "A55", 0xD07: "A57", 0xD08: "A72", 0xD0B: "A76", 0xD0D: "A77", 0xD42: "A78AE"}
"""Arm's processors by the part number in /proc/cpuinfo (main ID register, Arm's technical reference manuals)."""
CAMERA_LINE = re.compile(r"^\s*(\d+)\s*:\s*(\S+)", re.MULTILINE)
"""Of `rpicam-hello --list-cameras`: `0 : imx708 [4608x2592 10-bit RGGB] (/base/...)`."""
PROCESSOR_ZONE = re.compile(r"cpu|soc|x86_pkg_temp|k10temp|coretemp|^tj", re.IGNORECASE)
ENVIRONMENT = os.path.join(os.path.expanduser("~"), ".edgecnn", "venv")
STATE = "edgecnn.json"
"""In the environment: what setup put there, and whether it came to its end."""


def main() -> None:
    """Print what there is to know."""
    sys.path[:] = [folder for folder in sys.path if folder]  # not the folder that the login shell starts in
    memory = meminfo()
    found = {
        "architecture": architecture(),
        "kernel": platform.release(),
        "kernel_architecture": platform.machine(),
        "system": os_release().get("PRETTY_NAME"),
        "codename": os_release().get("VERSION_CODENAME"),
        "python": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "has_venv": importlib.util.find_spec("venv") is not None,
        "glibc": glibc(),
        "page_bytes": os.sysconf("SC_PAGE_SIZE"),
        "cores": os.cpu_count() or 1,
        "processor": processor(),
        "flags": sorted(set((cpuinfo().get("flags") or cpuinfo().get("features") or "").split())),
        "model": model(),
        "memory_mib": memory.get("MemTotal"),
        "available_mib": memory.get("MemAvailable"),
        "swap_mib": memory.get("SwapTotal"),
        "disk_free_mib": disk_free_mib(),
        "governor": governor(),
        "temperature_c": temperature_c(),
        "cameras": cameras(),
        "l4t": l4t(),
        "vcgencmd": vcgencmd(),
        "packages": packages(),
        "environment": environment(),
    }
    print(json.dumps(found))


def architecture() -> str:
    """Of the userland, by this Python's own file: under a 64-bit kernel there may be a 32-bit system."""
    try:
        with open(os.path.realpath(sys.executable), "rb") as file:
            header = file.read(20)
        name = MACHINES[int.from_bytes(header[18:20], sys.byteorder)] if header[:4] == b"\x7fELF" else ""
    except (OSError, KeyError):
        name = ""
    if name == "arm":
        return platform.machine() if platform.machine().startswith(("armv6", "armv7")) else "armv7l"
    if name:
        return name
    return platform.machine() if sys.maxsize > 2**32 else "32-bit"


def glibc() -> "str | None":
    """Its version, such as 2.36; None where the C library is another."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (OSError, ValueError):
        return None
    return version if name == "glibc" else None


def os_release() -> "dict[str, str]":
    """The pairs of /etc/os-release."""
    lines = (line.partition("=") for line in read("/etc/os-release").splitlines())
    return {key: value.strip("\"'") for key, _, value in lines}


def cpuinfo() -> "dict[str, str]":
    """Every key of /proc/cpuinfo with the value that it has first."""
    said = {}  # type: dict[str, str]
    for line in read("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        said.setdefault(key.strip().lower(), value.strip())
    return said


def processor() -> "str | None":
    """What the first core is called; Arm's have numbers."""
    said = cpuinfo()
    if said.get("cpu implementer") == "0x41" and said.get("cpu part", "").startswith("0x"):
        part = int(said["cpu part"], 16)
        return "Cortex-" + PARTS[part] if part in PARTS else "Arm part " + said["cpu part"]
    return said.get("model name")


def model() -> "str | None":
    """What the board calls itself; the kernel ends it with a NUL."""
    said = read("/proc/device-tree/model") or read("/sys/firmware/devicetree/base/model")
    return said.strip("\0\n ") or None


def meminfo() -> "dict[str, int]":
    """/proc/meminfo in MiB."""
    pairs = (line.split() for line in read("/proc/meminfo").splitlines())
    return {words[0].rstrip(":"): int(words[1]) // 1024 for words in pairs if len(words) > 1 and words[1].isdigit()}


def disk_free_mib() -> int:
    """Where the home folder is."""
    disk = os.statvfs(os.path.expanduser("~"))
    return disk.f_bavail * disk.f_frsize // 2**20


def governor() -> "str | None":
    """The first core's frequency governor."""
    return read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None


def temperature_c() -> "float | None":
    """The hottest of the processor's thermal zones."""
    found = []
    for zone in names("/sys/class/thermal"):
        if PROCESSOR_ZONE.search(read("/sys/class/thermal/" + zone + "/type")):
            said = read("/sys/class/thermal/" + zone + "/temp").strip()
            if re.match(r"-?\d+$", said) and -40000 < int(said) < 150000:
                found.append(int(said) / 1000)
    return max(found) if found else None


def cameras() -> "list[dict[str, str]]":
    """The sources that `edgecnn camera` would open, with their names."""
    found = []
    for command in ("rpicam-hello", "libcamera-hello"):
        said = run([command, "--list-cameras"], CAMERAS_S)
        if said is not None:
            found = [{"source": "picamera://" + at, "name": name} for at, name in CAMERA_LINE.findall(said)]
            break
    for name in names("/sys/class/video4linux"):
        folder = "/sys/class/video4linux/" + name
        label = read(folder + "/name").strip()
        is_its_first = read(folder + "/index").strip() in ("", "0") and os.path.exists("/dev/" + name)
        source = next((RECEIVERS[part] for part in RECEIVERS if part in label), name[len("video") :])
        is_known = any(camera["source"] == source for camera in found)  # by its sensor's name, from libcamera
        if re.match(r"video\d+$", name) and is_its_first and not is_known and not NO_CAMERA.search(label):
            found.append({"source": source, "name": label})
    return found


def l4t() -> "str | None":
    """The release of a Jetson's Linux, such as 36.4.3."""
    said = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", read("/etc/nv_tegra_release"))
    return said.group(1) + "." + said.group(2) if said else None


def vcgencmd() -> "bool | None":
    """Whether a Raspberry Pi's firmware answers; None where there is no such command."""
    if not any(os.access(os.path.join(folder, "vcgencmd"), os.X_OK) for folder in os.get_exec_path()):
        return None
    return (run(["vcgencmd", "get_throttled"], COMMAND_S) or "").startswith("throttled=")


def packages() -> "dict[str, str | None]":
    """The modules that the system's Python finds, with their versions as far as they are said."""
    return {name: version(name) for name in MODULES if importlib.util.find_spec(name) is not None}


def version(module: str) -> "str | None":
    """Of the distribution that a module is from."""
    try:
        from importlib import metadata
    except ImportError:  # before Python 3.8
        return None
    for name in MODULES[module]:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def environment() -> "dict[str, object] | None":
    """What setup says that it has put into the environment; None where there is none."""
    if not os.path.exists(os.path.join(ENVIRONMENT, "pyvenv.cfg")):
        return None
    try:
        found = json.loads(read(os.path.join(ENVIRONMENT, STATE)))
        return {
            "python": str(found["python"]),
            "packages": dict(found["packages"]),
            "whole": bool(found["whole"]),
            "size_bytes": int(found["bytes"]),
        }
    except (ValueError, KeyError, TypeError):
        return {"python": "0.0", "packages": {}, "whole": False, "size_bytes": 0}


def run(command: "list[str]", seconds: int) -> "str | None":
    """What a command prints; None where it is not there, fails or does not end in time."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError:
        return None
    try:
        said = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.kill()  # and not waited for: one that hangs in the kernel does not end
        return None
    return said.decode("utf-8", "replace") if process.returncode == 0 else None


def names(folder: str) -> "list[str]":
    """What lies in a folder, in the order of its numbers; nothing where there is none."""
    try:
        return sorted(os.listdir(folder), key=lambda name: (len(name), name))
    except OSError:
        return []


def read(path: str) -> str:
    """A small file's text; empty where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20).decode("utf-8", "replace")
    except OSError:
        return ""


if __name__ == "__main__":
    main()
