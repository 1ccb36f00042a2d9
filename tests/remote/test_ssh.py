"""The link to a device, against a real sshd on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn.errors import DeviceError, UsageError
from edgecnn.remote.address import Address, remote_command
from edgecnn.remote.ssh import Connection
from tests.loopback import Loopback, loopback


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("loopback")) as found:
        yield found


def test_a_program_runs_over_there(device: Loopback) -> None:
    with Connection(device.address) as connection:
        done = connection.run(["sh", "-c", "cat; pwd; exit 3"], stdin=b"hello\n")
    assert done.code == 3
    assert done.out.decode().split() == ["hello", str(device.home)]


def test_environment_is_set(device: Loopback) -> None:
    with Connection(device.address) as connection:
        done = connection.run(["sh", "-c", 'echo "$A"'], environment={"A": "x 'y' $Z"})
    assert done.out == b"x 'y' $Z\n"


def test_an_unknown_host_key_is_refused_with_fingerprint_and_the_command_that_accepts_it(
    tmp_path: Path,
) -> None:
    with loopback(tmp_path) as device:
        device.forget()
        key = subprocess.run(
            ["ssh-keygen", "-lf", str(device.folder / "host_key.pub")], capture_output=True, text=True, check=True
        ).stdout.split()[1]
        with pytest.raises(DeviceError, match="host key is not known") as refused, Connection(device.address):
            pass
    assert key in str(refused.value)
    assert f"ssh -o StrictHostKeyChecking=ask -F {device.folder}/ssh_config loopback true" in str(refused.value)


@pytest.mark.parametrize("strict", ["no", "accept-new", "ask"])
def test_a_changed_host_key_is_refused_whatever_the_users_configuration_says(tmp_path: Path, strict: str) -> None:
    with loopback(tmp_path) as device:
        device.know_another()
        config = device.folder / "ssh_config"
        config.write_text(f"{config.read_text()}    StrictHostKeyChecking {strict}\n")
        with pytest.raises(DeviceError, match="REFUSED, its host key is not the one"), Connection(device.address):
            pass


def test_nothing_listens(tmp_path: Path) -> None:
    with loopback(tmp_path) as device:
        pass
    with pytest.raises(DeviceError, match="nothing answers"), Connection(device.address):
        pass


def test_a_key_that_is_not_let_in(tmp_path: Path) -> None:
    with loopback(tmp_path) as device:
        (device.folder / "authorized_keys").write_text("")
        with pytest.raises(DeviceError, match="ssh-copy-id"), Connection(device.address):
            pass


@pytest.mark.parametrize("host", ["", "-oProxyCommand=touch /tmp/x", "a b", "a\nb"])
def test_what_ssh_would_take_for_an_option_is_no_host(host: str) -> None:
    with pytest.raises(UsageError, match="is no host"):
        Address(host)


def test_a_nul_is_refused() -> None:
    with pytest.raises(UsageError, match="NUL"):
        remote_command(["echo", "a\0b"])


def test_a_port_over_there_is_a_port_here(device: Loopback) -> None:
    import socket

    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Connection(device.address) as connection,
        connection.forward(server.getsockname()[1]) as port,
        socket.create_connection(("127.0.0.1", port)) as caller,
    ):
        assert port != server.getsockname()[1]
        caller.sendall(b"hello")
        answered, _ = server.accept()
        with answered:
            assert answered.recv(5) == b"hello"


def test_the_link_ends_with_this_process(device: Loopback) -> None:
    script = (
        "import sys, os, json; from pathlib import Path; from edgecnn.remote.ssh import Connection\n"
        "from edgecnn.remote.address import Address\n"
        "with Connection(Address('loopback', config=Path(sys.argv[1]))) as c:\n"
        "    print(c._master.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(device.address.config)], capture_output=True, text=True)
    pid = json.loads(done.stdout)
    deadline = 50
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() and deadline:
        deadline -= 1
        subprocess.run(["sleep", "0.1"], check=True)
    assert deadline, "ssh's master outlived the process that it was made for"
