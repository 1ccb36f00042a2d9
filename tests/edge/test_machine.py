"""What /proc/cpuinfo says about how int8 is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.edge.machine import instruction_sets, saturates_pairs

# From real machines, shortened: Linux writes one block a core, in these words.
HASWELL = "processor\t: 0\nflags\t\t: fpu sse2 pni ssse3 fma cx16 sse4_1 sse4_2 avx f16c bmi1 avx2\nbugs\t: mds\n"
SKYLAKE_SERVER = "processor\t: 0\nflags\t\t: fpu sse2 ssse3 fma sse4_1 avx avx2 avx512f avx512dq avx512bw avx512vl\n"
CASCADE_LAKE = "processor\t: 0\nflags\t\t: fpu sse2 ssse3 fma sse4_1 avx avx2 avx512f avx512bw avx512_vnni\n"
ALDER_LAKE = "processor\t: 0\nflags\t\t: fpu sse2 ssse3 fma sse4_1 avx avx2 avx_vnni\n"
ATOM = "processor\t: 0\nflags\t\t: fpu sse2 ssse3 cx16 sse4_1 sse4_2 movbe popcnt\n"
CORTEX_A72 = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU part\t: 0xd08\n"
CORTEX_A76 = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes crc32 atomics asimdhp cpuid asimddp\n"


@pytest.mark.parametrize(
    ("text", "sets", "saturates"),
    [
        (HASWELL, ("avx", "avx2", "fma", "ssse3"), True),
        (SKYLAKE_SERVER, ("avx", "avx2", "avx512f", "fma", "ssse3"), True),
        (CASCADE_LAKE, ("avx", "avx2", "avx512_vnni", "avx512f", "fma", "ssse3"), False),
        (ALDER_LAKE, ("avx", "avx2", "avx_vnni", "fma", "ssse3"), False),
        (ATOM, ("ssse3",), True),
        (CORTEX_A72, ("asimd",), False),
        (CORTEX_A76, ("asimd", "asimddp"), False),
        ("", (), False),
    ],
)
def test_instruction_sets(text: str, sets: tuple[str, ...], saturates: bool, tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    assert instruction_sets(path) == sets
    assert saturates_pairs(sets) is saturates


def test_a_system_that_does_not_say(tmp_path: Path) -> None:
    assert instruction_sets(tmp_path / "nothing") == ()
