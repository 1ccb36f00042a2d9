"""What a machine says of itself, on machines that are not this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.edge.machine import governor, instruction_sets, processor, saturates_pairs

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


X86 = (
    "processor\t: 0\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R)\nflags\t\t: fpu avx2 avx512_vnni sse\n\n"
    "processor\t: 1\n"
)
PI = (
    "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid asimddp\nCPU part\t: 0xd0b\n\n"
    "processor\t: 1\nFeatures\t: fp\n\nRevision\t: c04170\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"
)


def test_processors(tmp_path: Path) -> None:
    for text, name, sets in (
        (X86, "Intel(R) Xeon(R)", ("avx2", "avx512_vnni")),
        (PI, "Raspberry Pi 5 Model B Rev 1.0", ("asimd", "asimddp")),
        ("", None, ()),
    ):
        (tmp_path / "cpuinfo").write_text(text)
        assert processor(tmp_path / "cpuinfo") == name
        assert instruction_sets(tmp_path / "cpuinfo") == sets
    assert processor(tmp_path / "missing") is None
    assert instruction_sets(tmp_path / "missing") == ()


def test_governors(tmp_path: Path) -> None:
    assert governor(tmp_path) is None
    (tmp_path / "cpufreq").mkdir()
    (tmp_path / "cpufreq/scaling_governor").write_text("ondemand\n")
    assert governor(tmp_path) == "ondemand"
