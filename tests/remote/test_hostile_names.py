"""Any text reaches a device as one argument, one value of the environment or one file's name, whatever is in it.

Tried with each of SHELLS as the login shell over there (zsh 5.9 and fish 3.6 of Debian's bookworm). tcsh
6.24 can't be had: it ends a quoted word at a newline and looks for an event behind `!`, in single quotes too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.errors import UsageError
from edgecnn.remote import address
from edgecnn.remote.address import LONGEST_COMMAND, remote_command
from edgecnn.remote.files import Parcel, upload
from edgecnn.remote.ssh import Connection
from tests.loopback import Loopback, loopback

SHELLS = ("dash", "bash", "zsh", "fish")
TELL = "import json, os, sys; print(json.dumps([os.fsencode(word).hex() for word in sys.argv[1:]]))"
TELL_ENVIRONMENT = (
    "import json, os; "
    "print(json.dumps({k: os.fsencode(v).hex() for k, v in os.environ.items() if k.startswith('HOSTILE')}))"
)
GIVEN = [
    *[
        "",
        " ",
        "  ",
        "\t",
        "\n",
        "\n\n",
        "\r\n",
        "a b",
        " a",
        "a ",
        "a\nb",
        "-",
        "--",
        "-n",
        "-e",
        "--help",
        "-oProxyCommand=x",
    ],
    *[
        "'",
        "''",
        '"',
        "'\"'",
        "\\",
        "\\\\",
        "\\'",
        "'\\''",
        "\\n",
        "a\\",
        "a'",
        "'a",
        "`",
        "`id`",
        "$(id)",
        "$HOME",
        "${HOME}",
    ],
    *[
        "$'a'",
        '$"a"',
        "$((1+1))",
        "*",
        "?",
        "[a-z]",
        "**",
        "{a,b}",
        "{1..9}",
        "~",
        "~root",
        "~+",
        "!",
        "!!",
        "!$",
        "^a^b",
        "#",
        "#a",
    ],
    *[
        "a#",
        ";",
        "a;id",
        "&",
        "&&",
        "||",
        "|id",
        ">x",
        "<x",
        ">>x",
        "2>&1",
        "<(id)",
        "(id)",
        "{ id; }",
        "=ls",
        "a=b",
        "=",
        "%",
        "%1",
    ],
    *[
        "%self",
        "%h",
        "%%",
        "%C",
        "\x01",
        "\x03",
        "\x04",
        "\x07",
        "\x08",
        "\x0b",
        "\x1b[31m",
        "\x1b]0;x\x07",
        "\x7f",
        "\x80",
        "\x9b",
    ],
    *[
        "ü",
        "日本",
        "\u202eabc",
        "\u200b",
        "\u2028",
        "\ufeff",
        "\U0001f600",
        "e\u0301",
        "\u00a0",
        "\uff07",
        "\u2019",
        "\ufffd",
    ],
    *[
        "\udcff",
        "\udc80\udcfe",
        "a\udce4b",
        "\udcc3",
        "\udcf0\udc9f",
        "'\udcff'",
        "EOF",
        "exit",
        "exit 1",
        "\n.\n",
        "~.",
        "\n~.",
        "~C",
    ],
    *[
        "if",
        "then",
        "fi",
        "exec",
        "eval",
        "cd ..",
        "../..",
        "/",
        "//",
        ".",
        "..",
        "a/b",
        "C:\\",
        "\\\\host",
        "%s%n",
        "0",
        "-1",
        "1e9",
    ],
    *[
        "--\n--",
        "\\\n",
        "x\\\ny",
        "'\n'",
        '"\n"',
        "$(\n)",
        "a" * 255,
        " " * 1000,
        "'" * 1000,
        "\\" * 1000,
        "\n" * 1000,
        "*" * 1000,
    ],
]
"""What shells, ssh and terminals make something of."""
ALPHABET = [*" \t\n'\"\\$`*?[]{}()<>|&;!#~=%^-aZ0./,:@+", "\x1b", "ü", "\U0001f600", "\udcff"]


def hostile_names(count: int = 300) -> list[str]:
    """The given ones, and random ones of the same letters."""
    draw = np.random.default_rng(6)
    more = ["".join(draw.choice(ALPHABET, size=draw.integers(1, 40))) for _ in range(count - len(GIVEN))]
    return [*GIVEN, *more]


@pytest.fixture(scope="module", params=SHELLS)
def device(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Loopback]:
    """Skipped, aloud, without the shell (CI: fails)."""
    shell = shutil.which(request.param)
    if shell is None:
        reason = f"no {request.param} here (apt-get install {request.param})"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with loopback(tmp_path_factory.mktemp("loopback"), shell=shell) as found:
        yield found


@pytest.fixture(scope="module")
def connection(device: Loopback) -> Iterator[Connection]:
    with Connection(device.address) as found:
        yield found


def arrived(connection: Connection, words: list[str]) -> list[bytes]:
    done = connection.run([sys.executable, "-I", "-X", "utf8", "-c", TELL, *words])
    assert done.code == 0, done.err
    return [bytes.fromhex(word) for word in json.loads(done.out)]


def test_each_of_three_hundred_names_is_one_argument(connection: Connection) -> None:
    names = hostile_names()
    assert len(names) == 300
    assert arrived(connection, names) == [os.fsencode(name) for name in names]


def test_each_is_one_value_of_the_environment(connection: Connection) -> None:
    names = hostile_names()
    environment = {f"HOSTILE_{number}": name for number, name in enumerate(names)}
    done = connection.run([sys.executable, "-I", "-X", "utf8", "-c", TELL_ENVIRONMENT], environment=environment)
    found = {name: bytes.fromhex(value) for name, value in json.loads(done.out).items()}
    assert found == {name: os.fsencode(value) for name, value in environment.items()}


def test_each_that_can_be_one_is_a_files_name(tmp_path: Path) -> None:
    """No shell sees them: they travel on stdin."""
    legal = []
    for name in dict.fromkeys(hostile_names()):
        if "/" in name or name in ("", ".", "..") or len(os.fsencode(name)) > 255:
            continue
        legal.append(name)
    assert len(legal) > 200
    parcels = [Parcel(f"names/{name}", os.fsencode(name)) for name in legal]
    parcels += [Parcel(f"folders/{name}/x", b"1") for name in legal]
    with loopback(tmp_path) as device, Connection(device.address) as connection:
        upload(connection, parcels, python=sys.executable)
        home = os.fsencode(device.home)
    assert {
        name: Path(os.fsdecode(home + b"/names/" + name)).read_bytes() for name in os.listdir(home + b"/names")
    } == {os.fsencode(name): os.fsencode(name) for name in legal}
    assert sorted(os.listdir(home + b"/folders")) == sorted(map(os.fsencode, legal))


@pytest.mark.parametrize("letter", ["a", " ", "'", "\\", "\n"])
def test_a_hundred_thousand_bytes_are_one_argument_or_refused(connection: Connection, letter: str) -> None:
    word = letter * 100_000
    if letter in "'\\":  # four bytes each on the way
        with pytest.raises(UsageError, match=r"is 400,\d\d\d bytes long"):
            connection.run([sys.executable, "-c", TELL, word])
        word = word[:25_000]
    assert arrived(connection, [word]) == [word.encode()]


def test_the_longest_command_arrives_and_one_byte_more_is_refused(connection: Connection) -> None:
    start = len(remote_command([sys.executable, "-I", "-X", "utf8", "-c", TELL, ""])) - len("''")
    word = "a" * (LONGEST_COMMAND - start)
    assert arrived(connection, [word]) == [word.encode()]
    with pytest.raises(UsageError, match="bytes long"):
        arrived(connection, [word + "a"])


def test_a_transport_without_quotes_does_not_pass(device: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: what the names are to find."""
    monkeypatch.setattr(address, "_quoted", lambda word: word if word in GIVEN else f"'{word}'")
    with Connection(device.address) as connection, pytest.raises(AssertionError):
        assert arrived(connection, ["a b"]) == [b"a b"]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5))
def test_a_shell_makes_the_same_words_of_it(words: list[str]) -> None:
    line = remote_command(["printf", "%s\\0", *words, "end"])
    said = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True).stdout
    assert said == b"".join(word.encode() + b"\0" for word in [*words, "end"])


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ([], "no program's name"),
        ([""], "no program's name"),
        (["-c"], "no program's name"),
        (["a=b"], "no program's name"),
        (["a", "b\0"], "NUL"),
        (["a", "\ud800"], "no text can hold"),
    ],
)
def test_what_can_be_no_command_is_refused_in_a_sentence(words: list[str], match: str) -> None:
    with pytest.raises(UsageError, match=match) as refused:
        remote_command(words)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "A B", "1A", "A=B", "A\n", "Ä", "-u", "A;id"])
def test_what_is_no_name_for_a_variable_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no name"):
        remote_command(["true"], {name: "x"})


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("", "empty"),
        ("/etc/passwd", "from the home folder"),
        ("../x", "'..'"),
        ("a/../../x", "'..'"),
        ("a//b", "empty"),
        ("a/", "empty"),
        ("./a", "'.'"),
        ("a\0b", "NUL"),
        ("a/" + "b" * 256, "longer than 255 bytes"),
        ("\ud800", "no text can hold"),
    ],
)
def test_what_can_be_no_path_is_refused_in_a_sentence(path: str, match: str) -> None:
    with pytest.raises(UsageError, match=match) as refused:
        Parcel(path, b"")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250
