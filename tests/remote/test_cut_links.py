"""Links that are cut or stall anywhere in an upload: no part of a file under its name, no hang, a clean next run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from edgecnn.errors import DeviceError
from edgecnn.remote import files
from edgecnn.remote.address import Address
from edgecnn.remote.files import Parcel, upload
from edgecnn.remote.ssh import Connection
from tests.loopback import Loopback, loopback
from tests.remote.proxy import Direction, Fault, Kind, Proxy, proxy
from tests.remote.waiting import eventually

SEED = 6
LIMIT_S = 30.0
SIZES = {"a": 3_000, "deep/b": 150_000, "deep/c": 250_000}
EARLY = 6_000
"""Bytes in which the banners, the keys, the login, the code and the order go there."""


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("loopback")) as found:
        yield found


@dataclass
class Uploads:
    """The same names again and again with new content, into a folder of their own, by way of a link that fails."""

    device: Loopback
    link: Proxy
    name: str
    draw: np.random.Generator
    before: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._address = self.device.through(self.link.port)

    @property
    def folder(self) -> Path:
        return self.device.home / self.name

    def contents(self) -> dict[str, bytes]:
        return {path: self.draw.bytes(size) for path, size in SIZES.items()}

    def upload(self, contents: dict[str, bytes], address: Address) -> None:
        parcels = [Parcel(f"{self.name}/{path}", content) for path, content in contents.items()]
        with Connection(address) as connection:
            upload(connection, parcels, python=sys.executable)

    def length(self) -> dict[Direction, int]:
        """Bytes that an upload takes each way."""
        self.link.passed.update(there=0, back=0)
        self.clean()
        return dict(self.link.passed)

    def fault(self, length: dict[Direction, int], number: int, kinds: Sequence[Kind]) -> Fault:
        """A random one; there and back, early and anywhere in turn."""
        direction: Direction = "there" if number % 2 else "back"
        most = min(EARLY, length["there"]) if number % 4 == 1 else length[direction]
        return Fault(kinds[self.draw.integers(len(kinds))], direction, int(self.draw.integers(most)))

    def under(self, fault: Fault) -> Outcome:
        """Upload under a fault, and see what lies there then."""
        contents = self.contents()
        self.link.arm(fault)
        began, said = time.monotonic(), None
        try:
            self.upload(contents, self._address)
        except DeviceError as error:
            said = str(error)
        self.link.fault = None
        seconds = time.monotonic() - (self.link.fired_at or began)
        for path, content in contents.items():
            if (self.folder / path).exists():
                found = (self.folder / path).read_bytes()
                assert found in (content, self.before.get(path)), f"{len(found)} bytes lie at {path} after {fault}"
        if said is None:  # the fault came behind the last answer
            assert all((self.folder / path).read_bytes() == content for path, content in contents.items()), fault
        return Outcome(fault, seconds, said)

    def clean(self, address: Address | None = None) -> None:
        """A run without fault: all in place."""
        contents = self.contents()
        self.upload(contents, address or self._address)
        self.before = contents
        assert {path: (self.folder / path).read_bytes() for path in contents} == contents

    def left_over(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file() and path not in self._own()]

    def _own(self) -> set[Path]:
        return {self.folder / path for path in SIZES}


@dataclass(frozen=True)
class Outcome:
    """What came of a fault: seconds until the run was over, and what it said, if it failed."""

    fault: Fault
    seconds: float
    said: str | None


def judge(outcomes: Sequence[Outcome]) -> None:
    """Each is over in time, in one sentence; most have failed (behind the last answer none has to)."""
    reported = [outcome for outcome in outcomes if outcome.said is not None]
    slowest = max(outcome.seconds for outcome in outcomes)
    print(f"{len(outcomes)} faults, {len(reported)} reported, {slowest:.1f} s at most")
    for outcome in outcomes:
        print(outcome)
        assert outcome.seconds < LIMIT_S, outcome
        assert outcome.said is None or "\n" not in outcome.said, outcome
    assert len(reported) >= 0.5 * len(outcomes)


def cut(device: Loopback, count: int, seed: int) -> list[Outcome]:
    """So many cuts, each followed by a clean run."""
    outcomes = []
    with proxy(device.port) as link:
        uploads = Uploads(device, link, f"cut{seed}", np.random.default_rng(seed))
        length = uploads.length()
        for number in range(count):
            outcomes.append(uploads.under(uploads.fault(length, number, ("reset", "end"))))
            uploads.clean()
            assert eventually(lambda: not uploads.left_over()), f"left: {uploads.left_over()} {outcomes[-1]}"
    return outcomes


def stall(device: Loopback, seed: int) -> Outcome:
    """One stall; a clean run by another way while it lasts; and nothing is left when it has ended."""
    with proxy(device.port) as link:
        uploads = Uploads(device, link, f"stall{seed}", np.random.default_rng(seed))
        outcome = uploads.under(uploads.fault(uploads.length(), seed, ("stall",)))
        uploads.clean(device.address)
    assert eventually(lambda: not uploads.left_over()), f"left: {uploads.left_over()} {outcome}"
    return outcome


def stalls(device: Loopback, count: int, seed: int) -> list[Outcome]:
    """So many at once: each takes 20 s of waiting."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda number: stall(device, seed + number), range(count)))


@pytest.mark.slow
@pytest.mark.long
def test_cuts_leave_whole_files_and_a_clean_next_run(device: Loopback) -> None:
    judge(cut(device, 20, SEED))


@pytest.mark.slow
@pytest.mark.long
def test_a_hundred_cuts(device: Loopback) -> None:
    judge(cut(device, 100, SEED + 1))


@pytest.mark.slow
@pytest.mark.long
def test_stalls_are_reported_and_the_next_run_is_clean(device: Loopback) -> None:
    judge(stalls(device, 4, SEED))


@pytest.mark.slow
@pytest.mark.long
def test_twenty_stalls(device: Loopback) -> None:
    judge(stalls(device, 20, SEED + 4))


@pytest.mark.slow
def test_a_receiver_that_writes_under_the_final_name_does_not_pass(
    device: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted fault: what the cuts above are to find."""
    code = (resources.files("edgecnn.edge") / "receive.py").read_text(encoding="utf-8")
    planted = code.replace("file, name = temporary(folder)", "file, name = open(entry['path'], 'wb'), entry['path']")
    planted = planted.replace("os.unlink(name)", "pass")
    assert planted != code
    monkeypatch.setattr(files, "receiver", lambda: planted)
    with proxy(device.port) as link:
        uploads = Uploads(device, link, "planted", np.random.default_rng(SEED))
        uploads.clean()
        with pytest.raises(AssertionError, match="bytes lie at"):
            uploads.under(Fault("reset", "there", uploads.length()["there"] - 100_000))
