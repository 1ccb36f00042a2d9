"""What a machine says of itself, on machines that are not this one."""

from __future__ import annotations

from pathlib import Path

from edgecnn.edge.machine import governor, instruction_sets, processor

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
