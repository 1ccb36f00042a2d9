"""Peak memory: this program's own, not its parent's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from edgecnn.edge.measure.memory import peak_rss_mib

REPO = Path(__file__).parents[3]


def test_it_reads_the_high_water_mark(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t  999999 kB\nVmHWM:\t   51200 kB\nVmRSS:\t   40960 kB\n")
    assert peak_rss_mib(status) == 50.0


def test_what_is_not_said_is_absent(tmp_path: Path) -> None:
    assert peak_rss_mib(tmp_path / "status") is None
    (tmp_path / "status").write_text("Name:\tpython\n")
    assert peak_rss_mib(tmp_path / "status") is None


def test_what_was_freed_still_counts_and_what_the_parent_holds_does_not() -> None:
    code = (
        "from edgecnn.edge.measure.memory import peak_rss_mib; before = peak_rss_mib(); "
        "held = b'x' * (64 << 20); del held; print(before, peak_rss_mib())"
    )
    own = bytearray(b"y" * (200 << 20))
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert own[0] == ord("y")
    assert before < 100, "ru_maxrss would say 200 MiB and more"
    assert 60 < after - before < 70
