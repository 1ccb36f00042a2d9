"""tools/virtual_pi: it answers as the machine that it plays, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn.edge import machine as telling
from edgecnn.edge.measure import sensors
from tests.virtual_pi import REPO, VirtualPi, fresh, started
from tools.emulation import Trouble, binfmt, looks, machine, userland

pytestmark = pytest.mark.slow
TOOL = REPO / "tools/virtual_pi"
DOT_PRODUCTS = 1 << 20
"""HWCAP_ASIMDDP: what the processor itself says, whatever /proc/cpuinfo does."""
HWCAP = """
import json, struct
pairs = struct.iter_unpack("<2Q", open("/proc/self/auxv", "rb").read())
print(json.dumps(dict(pairs)[16]))
"""


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one that may be started and stopped at will."""
    return fresh(tmp_path_factory.mktemp("second") / "pi")


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualPi]:
    """A cortex-a76."""
    with started(tmp_path_factory.mktemp("newer") / "pi", "cortex-a76") as pi:
        yield pi


def has_dot_products(pi: VirtualPi, *unset: str) -> bool:
    """Whether the processor that a session runs on says so."""
    return bool(pi.ask(*unset, "python3", "-c", HWCAP) & DOT_PRODUCTS)


def namespaces() -> set[str]:
    """The process namespaces that have processes."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/ns/pid"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(entry))
    return found


def is_registered(folder: Path) -> bool:
    return (binfmt.REGISTRY / machine.entry_name(folder)).exists()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


# --- what it says of itself ------------------------------------------------------------------------------------------


def test_it_is_an_arm64_debian_with_four_cores_and_a_python(virtual_pi: VirtualPi) -> None:
    said = virtual_pi.ask(
        "python3",
        "-c",
        "import json, os, platform, sys; print(json.dumps([platform.machine(), os.cpu_count(), sys.version_info[:2],"
        " os.getuid(), platform.libc_ver()[1], platform.node()]))",
    )
    assert said == ["aarch64", 4, [3, 11], 1000, "2.36", "virtual-pi"]
    assert "bookworm" in virtual_pi.run("cat", "/etc/os-release").stdout


def test_a_session_runs_on_the_processor_that_cpuinfo_names(virtual_pi: VirtualPi, newer: VirtualPi) -> None:
    for pi, expected in ((virtual_pi, False), (newer, True)):
        said = pi.run("cat", "/proc/cpuinfo").stdout
        assert said.count("processor") == looks.CORES
        assert ("asimddp" in said.split()) is expected
        assert has_dot_products(pi) is expected


def test_without_its_setting_a_session_runs_on_another_processor(virtual_pi: VirtualPi) -> None:
    """The fault that `has_dot_products` is there to see: qemu's `max`, which computes wrong int8 results."""
    assert has_dot_products(virtual_pi, "env", "-u", "QEMU_CPU")


def test_its_sensors_are_read_as_a_pi_s_and_can_be_written_to(virtual_pi: VirtualPi) -> None:
    throttled = virtual_pi.sensor("devices/platform/soc/soc:firmware/get_throttled")
    assert sensors.hottest_c(virtual_pi.sensor("class/thermal")) == 45.0
    assert telling.governor(virtual_pi.sensor("devices/system/cpu/cpu0")) == "performance"
    assert sensors.Sensors(throttled=throttled).throttled() is False
    assert virtual_pi.run("vcgencmd", "measure_clock", "arm").stdout == "frequency(48)=1500000000\n"
    throttled.write_text("50005\n")
    try:
        assert virtual_pi.run("vcgencmd", "get_throttled").stdout == "throttled=0x50005\n"
        assert sensors.Sensors(throttled=throttled).throttled() is True
    finally:
        throttled.write_text("0\n")


def test_files_come_and_go_by_scp_and_a_venv_can_be_made(virtual_pi: VirtualPi, tmp_path: Path) -> None:
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(1 << 20))
    for source, target in ((sent, "virtual-pi:there and 'back"), ("virtual-pi:there and 'back", back)):
        subprocess.run(["scp", "-q", "-F", virtual_pi.folder / "ssh_config", source, target], check=True)
    assert back.read_bytes() == sent.read_bytes()
    assert virtual_pi.run("python3", "-m", "venv", "--without-pip", "made").returncode == 0
    assert virtual_pi.ask("made/bin/python", "-c", "import sys; print(int(sys.prefix != sys.base_prefix))") == 1


# --- coming and going ------------------------------------------------------------------------------------------------


def test_it_starts_twice_stops_twice_and_leaves_nothing(second: Path) -> None:
    state = machine.start(second, 0)
    assert machine.start(second) == state
    with pytest.raises(Trouble, match=r"runs as cortex-a72 on port \d+; tools/virtual_pi stop comes first"):
        machine.start(second, cpu="cortex-a76")
    inside = os.readlink(f"/proc/{state.process}/ns/pid_for_children")
    assert (answers(state.port), is_registered(second), inside in namespaces()) == (True, True, True)
    assert machine.stop(second)
    assert (answers(state.port), is_registered(second), inside in namespaces()) == (False, False, False)
    assert str(second) not in Path("/proc/mounts").read_text()
    assert not machine.stop(second)


def test_a_state_that_is_stale_is_noticed(second: Path) -> None:
    stale = machine.State(os.getpid(), 1, 22022, "cortex-a72", False)  # this process's number, of another time
    (second / "state.json").write_text(json.dumps(stale.__dict__))
    assert machine.find(second) is None
    assert machine.start(second, 0).process != os.getpid()
    assert machine.stop(second)


def test_a_port_that_is_taken_is_said_and_nothing_is_left(second: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(Trouble, match=r"port \d+: can't be had \(Address already in use"),
    ):
        machine.start(second, server.getsockname()[1])
    assert (is_registered(second), machine.find(second)) == (False, None)


def test_an_entry_of_somebody_else_s_is_named(virtual_pi: VirtualPi) -> None:
    name = "edgecnn-test-other"
    binfmt.register(name, virtual_pi.root / userland.QEMU)
    try:
        assert name in binfmt.others("")
        assert name not in binfmt.others(name)
    finally:
        binfmt.unregister(name)


def test_the_tool_says_what_is_wrong_in_one_sentence(second: Path, tmp_path: Path) -> None:
    for words, said in (
        (["start", "--folder", tmp_path / "none"], f"tools/virtual_pi: {tmp_path}/none: there is no virtual Pi; "),
        (["make", "--folder", tmp_path / "new", "--mirror", tmp_path.as_uri()], "tools/virtual_pi: mmdebstrap: "),
    ):
        done = subprocess.run([TOOL, *words], check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.startswith(said)
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "new").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {".none.lock", ".new.lock"}
    done = subprocess.run([TOOL, "make", "--folder", second], check=True, capture_output=True, text=True)
    assert done.stdout == f"{second}: was made already\n"
