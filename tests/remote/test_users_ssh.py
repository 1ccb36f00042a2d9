"""The user's own OpenSSH: what it is configured to do works, and nothing of that lets a wrong key pass."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgecnn.errors import DeviceError
from edgecnn.remote import ssh
from edgecnn.remote.address import Address
from edgecnn.remote.ssh import Connection
from tests.loopback import Loopback, loopback

LAX = [
    ["StrictHostKeyChecking no", "LogLevel QUIET", "CheckHostIP no"],
    ["StrictHostKeyChecking accept-new", "UpdateHostKeys yes"],
    ["StrictHostKeyChecking ask", "BatchMode no", "VerifyHostKeyDNS yes"],
    ["NoHostAuthenticationForLocalhost yes"],
]
HARMLESS = [
    [
        "RemoteCommand echo hello",
        "RequestTTY force",
        "LogLevel QUIET",
        "Compression yes",
        "ControlPersist yes",
        "PermitLocalCommand yes",
        "LocalCommand echo hello",
        "ForwardX11 yes",
        "ForwardAgent yes",
        "ServerAliveInterval 0",
        "SendEnv LANG LC_*",
        "IdentityFile /nowhere/key",
    ],
    ["LogLevel DEBUG3", "SetEnv A=b"],
    ["LocalForward 127.0.0.1:{taken} 127.0.0.1:22", "ExitOnForwardFailure yes"],
]


@pytest.fixture(scope="module")
def one_device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("loopback")) as found:
        yield found


@pytest.fixture
def device(one_device: Loopback) -> Iterator[Loopback]:
    """The same for all tests, and after each as it was."""
    names = ["known_hosts", "ssh_config", "entry", "client_key", "client_key.pub"]
    before = {one_device.folder / name: (one_device.folder / name).read_bytes() for name in names}
    yield one_device
    for path, content in before.items():
        if not path.exists():
            path.touch(0o600)
        path.write_bytes(content)


def configure(device: Loopback, *lines: str) -> Address:
    """The device with more lines in the user's configuration, which come first and so count."""
    assert device.address.config is not None
    text = device.address.config.read_text()
    path = device.folder / "users_config"
    path.write_text("Host *\n" + "".join(f"    {line}\n" for line in lines) + text)
    return Address("loopback", config=path)


@pytest.mark.parametrize("lines", LAX, ids=" ".join)
def test_a_changed_key_is_refused_whatever_the_user_has_configured(device: Loopback, lines: list[str]) -> None:
    device.know_another()
    address = configure(device, *lines)
    with pytest.raises(DeviceError, match="REFUSED, its host key is not the one") as refused, Connection(address):
        pass
    assert "SHA256:" in str(refused.value)


@pytest.mark.parametrize("lines", [*LAX, ["UserKnownHostsFile /dev/null", *LAX[0]]], ids=" ".join)
def test_an_unknown_key_is_refused_whatever_the_user_has_configured(device: Loopback, lines: list[str]) -> None:
    device.forget()
    address = configure(device, *lines)
    with pytest.raises(DeviceError, match=r"its host key is not known here .*SHA256:"), Connection(address):
        pass
    assert (device.folder / "known_hosts").read_text() == ""


def test_a_known_key_does_not_help_where_the_user_forgets_all(device: Loopback) -> None:
    address = configure(device, "UserKnownHostsFile /dev/null", "StrictHostKeyChecking no")
    with pytest.raises(DeviceError, match="its host key is not known here"), Connection(address):
        pass


@pytest.mark.parametrize("option", ["StrictHostKeyChecking", "NoHostAuthenticationForLocalhost"])
def test_without_our_option_the_key_would_pass(device: Loopback, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    """A planted fault: what the tests above are to find."""
    monkeypatch.delitem(ssh.OPTIONS, option)
    device.know_another()
    with Connection(configure(device, "StrictHostKeyChecking no", "NoHostAuthenticationForLocalhost yes")):
        pass


@pytest.mark.parametrize("lines", HARMLESS, ids=["many", "debug", "taken"])
def test_what_a_user_may_have_configured_does_not_disturb(device: Loopback, lines: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        address = configure(device, *(line.format(taken=taken) for line in lines))
        with Connection(address) as connection, connection.forward(taken) as port:
            assert connection.run(["cat"], stdin=b"\0x\r\n") == ssh.Finished(0, b"\0x\r\n", b"")
            with socket.create_connection(("127.0.0.1", port)):
                server.accept()[0].close()


def test_a_master_of_the_users_own_to_another_host_is_not_taken(device: Loopback, tmp_path: Path) -> None:
    with loopback(tmp_path / "other") as other, master(other, tmp_path / "m") as path:
        address = configure(device, f"ControlPath {path}", "ControlMaster auto", "ControlPersist 60")
        with Connection(address) as connection:
            assert connection.run(["pwd"]).out.decode() == f"{device.home}\n"
        device.know_another()
        with pytest.raises(DeviceError, match="REFUSED"), Connection(address):  # nor does it help to get in
            pass


@contextmanager
def master(device: Loopback, path: Path) -> Iterator[Path]:
    """A master process as users have them, at a socket."""
    config = str(device.address.config)
    with subprocess.Popen(
        ["ssh", "-F", config, "-N", "-M", "-S", str(path), "loopback"], stdin=subprocess.DEVNULL
    ) as process:
        while not path.exists():
            assert process.poll() is None
        try:
            yield path
        finally:
            process.terminate()


def test_a_jump_host(device: Loopback, tmp_path: Path) -> None:
    with loopback(tmp_path / "jump") as jump:
        config = device.folder / "jumping"
        through = (jump.folder / "ssh_config").read_text().replace("Host loopback", "Host jump")
        config.write_text(f"{(device.folder / 'ssh_config').read_text()}    ProxyJump jump\n{through}")
        with Connection(Address("loopback", config=config)) as connection:
            assert connection.run(["pwd"]).out.decode() == f"{device.home}\n"
        jump.know_another()
        with pytest.raises(DeviceError), Connection(Address("loopback", config=config)):
            pass


def test_an_agent(device: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = device.folder / "client_key"
    socket_path = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL) as agent:
        try:
            while not socket_path.exists():
                assert agent.poll() is None
            monkeypatch.setenv("SSH_AUTH_SOCK", str(socket_path))
            subprocess.run(["ssh-add", "-q", str(key)], check=True)
            key.unlink()
            (device.folder / "client_key.pub").unlink()
            config = (device.folder / "ssh_config").read_text()
            (device.folder / "ssh_config").write_text(config.replace("    IdentitiesOnly yes\n", ""))
            with Connection(device.address) as connection:
                assert connection.run(["true"]).code == 0
        finally:
            agent.terminate()


def test_an_alias_and_a_port_given_beside_it(device: Loopback) -> None:
    config = device.folder / "aliases"
    text = (device.folder / "ssh_config").read_text()
    config.write_text(text.replace("Host loopback", "Host my-pi").replace(f"Port {device.port}", "Port 1"))
    with Connection(Address("my-pi", port=device.port, config=config)) as connection:
        assert connection.run(["true"]).code == 0
    with pytest.raises(DeviceError, match="nothing answers"), Connection(Address("my-pi", config=config)):
        pass


@pytest.mark.parametrize("folder", ["with space, %h and '", "a" * 70])
def test_the_socket_lies_where_ssh_finds_it(
    device: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (tmp_path / folder).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    with Connection(device.address) as connection:
        assert connection.run(["true"]).code == 0
    assert os.listdir(tmp_path / folder) == []


def test_a_login_shell_that_runs_no_programs(device: Loopback) -> None:
    (device.folder / "entry").write_text("#!/bin/sh\necho This account is currently not available.\nexit 1\n")
    with pytest.raises(DeviceError, match="not available"), Connection(device.address):
        pass


@pytest.mark.parametrize("noise", ["echo Welcome", "printf hello"])
def test_a_login_shell_that_greets_is_named(device: Loopback, noise: str) -> None:
    entry = (device.folder / "entry").read_text()
    (device.folder / "entry").write_text(entry.replace("#!/bin/sh\n", f"#!/bin/sh\n{noise}\n"))
    with pytest.raises(DeviceError, match="login shell prints something of its own"), Connection(device.address):
        pass


def test_a_greeting_on_stderr_is_none(device: Loopback) -> None:
    entry = (device.folder / "entry").read_text()
    (device.folder / "entry").write_text(entry.replace("#!/bin/sh\n", "#!/bin/sh\necho Welcome >&2\n"))
    with Connection(device.address) as connection:
        assert connection.run(["echo", "1"]).out == b"1\n"


@pytest.mark.slow
def test_more_programs_at_once_than_sshd_allows_are_a_sentence(device: Loopback) -> None:
    with Connection(device.address) as connection:
        processes = [connection.start(["cat"]) for _ in range(9)]
        for process in processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"1")
            assert process.stdout.read(1) == b"1"
        with pytest.raises(DeviceError, match="MaxSessions"):
            connection.run(["true"])
    for process in processes:
        with process:
            pass
