"""`edgecnn verify --device`: the exported files on a device, beside the same files here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from edgecnn import __version__
from edgecnn.data import Pictures, fingerprint
from edgecnn.edge import artifact
from edgecnn.edge.artifact import Manifest
from edgecnn.edge.measure.process import Engine, Open
from edgecnn.edge.runtimes import Runtime, find_runtime
from edgecnn.errors import MissingExtra, UsageError, plural
from edgecnn.graph.edit import Array
from edgecnn.measuring.worker import Worker
from edgecnn.metrics import ties, top1
from edgecnn.proof.device import (
    Answered,
    DeviceCertificate,
    FloatParity,
    float_parity,
    golden_parity,
    int8_parity,
)
from edgecnn.proof.parity import Parity
from edgecnn.records import write_json
from edgecnn.remote.device import Device, reach
from edgecnn.remote.profiles import Profile, load_profile
from edgecnn.verbs.folders import Export, find_export, read_export
from edgecnn.verbs.foreign import Images
from edgecnn.verbs.measured import Chosen, pictures_for
from edgecnn.verbs.network import FLOAT_TOLERANCE, TOLERANCES
from edgecnn.verbs.subjects import files_of
from edgecnn.verbs.verify import certificate_path

SAMPLE = 200
AT_ONCE = 20
"""Pictures in one request."""
OPENING_S, EACH_S = 120.0, 10.0
"""How long opening a file, and one picture, may take on a slow device."""


@dataclass(frozen=True)
class _Case:
    """One artifact in one engine."""

    folder: Path
    manifest: Manifest
    runtime: Runtime

    @property
    def name(self) -> str:
        return f"{self.folder.name} in {self.runtime.name}"

    @property
    def path(self) -> Path:
        return self.folder / self.manifest.model


def verify_on_device(
    export: Path | str | None,
    device: str,
    images: Images | None = None,
    labels: Array | None = None,
    *,
    sample: int = SAMPLE,
    runtimes: Sequence[str] = (),
    data_dir: Path | None = None,
    message: Callable[[str], None] = lambda text: None,
) -> DeviceCertificate:
    """Run an export's files over there, in `runtimes` or the profile's, and hold their answers against here.

    The pictures are each artifact's golden ones and `sample` of the test split, or of `images`, evenly spread over it.
    int8 answers that differ more than the export's limits allow are failures in the certificate, not exceptions; how
    many steps they differ by is stated. Written beside the export as certificate-<device>.json. Raises what `reach`
    raises, UnusableFile for files that are not those exported, MissingExtra without an engine over there.
    """
    folder = find_export(export)
    about, profile = read_export(folder), load_profile(device)
    cases = list(_cases(folder, about, runtimes or profile.runtimes))
    chosen = pictures_for(folder, about, images, labels, data_dir)
    places = np.unique(np.linspace(0, len(chosen.pictures) - 1, min(sample, len(chosen.pictures))).astype(np.int64))
    pictures = chosen.pictures.take(places)
    message(f"verifying {folder} on {device}, {plural(len(pictures), f'{chosen.split} picture')}")
    with reach(profile, message) as there:
        there.put([files_of(case.path) for case in cases])
        answered, engines = [], []
        for case in cases:
            message(f"running {case.name}, here and there")
            found, engine = _answered(case, there, pictures.images)
            answered.append(found)
            engines.append(engine)
    made = _certificate(profile, about, chosen, pictures, cases, answered, engines)
    path = certificate_path(folder, f"certificate-{device}.json")
    write_json(path, made)
    message(f"certificate: {path}")
    return made


def _cases(folder: Path, about: Export, asked: Sequence[str]) -> Iterator[_Case]:
    runtimes = [find_runtime(name) for name in asked]
    found = False
    for name in about.artifacts:
        manifest = artifact.read_manifest(folder / name)
        artifact.check_files(folder / name, manifest)
        for runtime in runtimes:
            if manifest.target in runtime.reads:
                found = True
                yield _Case(folder / name, manifest, runtime)
    if not found:
        raise UsageError(f"{folder}: none of its files is read by {' or '.join(asked)}; say others with --runtime")


def _answered(case: _Case, device: Device, images: Array) -> tuple[Answered, Engine]:
    with np.load(case.folder / "golden.npz") as kept:
        golden_images, golden = kept["images"], kept["outputs"]
    opened = artifact.open_unchecked(case.folder, case.manifest, _engine_here(case))
    with Worker(case.path, device) as worker:
        engine = worker.load_engine(case.runtime.name)
        worker.open(Open(device.path_there(case.path), 1, None, 0.0, 1), OPENING_S)
        parts = [worker.classify(images[i : i + AT_ONCE], AT_ONCE * EACH_S) for i in range(0, len(images), AT_ONCE)]
        golden_there = worker.classify(golden_images, len(golden_images) * EACH_S)
    tolerance = TOLERANCES.get(case.manifest.precision, FLOAT_TOLERANCE)
    here, there, kept_here, kept_there = map(
        opened.points, (opened.raw(images), np.concatenate(parts), golden, golden_there)
    )
    return Answered(case.name, here, there, kept_here, kept_there, tolerance), engine


def _engine_here(case: _Case) -> str | None:
    """The same engine where this machine has it, else the one that it has for the format."""
    try:
        case.runtime.version()
    except MissingExtra:
        return None
    return case.runtime.name


def _certificate(
    profile: Profile,
    about: Export,
    chosen: Chosen,
    pictures: Pictures,
    cases: Sequence[_Case],
    answered: Sequence[Answered],
    engines: Sequence[Engine],
) -> DeviceCertificate:
    integer = [found for found in answered if found.here.dtype.kind in "iu"]
    floats = [found for found in answered if found.here.dtype.kind not in "iu"]
    parity = tuple(int8_parity(found, profile.name) for found in integer)
    float_pairs = tuple(float_parity(found) for found in floats)
    failures = _failures(parity, float_pairs, about.limits.agreement)
    here, there = (_accuracies(chosen, pictures, {f.name: getattr(f, side) for f in answered}) for side in _SIDES)
    return DeviceCertificate(
        passed=not failures,
        device=profile.name,
        n=len(pictures),
        accuracy=there,
        drop_pp={name: 100.0 * (here[name] - there[name]) for name in there},
        parity=parity,
        float_parity=float_pairs,
        golden=tuple(golden_parity(found) for found in answered),
        ties=ties(integer[0].here) if integer else 0,
        failures=tuple(failures),
        limits={"agreement": about.limits.agreement, "float_apart": FLOAT_TOLERANCE},
        hashes={f"{case.folder.name}/{case.manifest.model}": case.manifest.sha256 for case in cases},
        test_data=fingerprint(pictures),
        versions_here={"edgecnn": __version__, **_versions_here(cases)},
        versions_there={name: version for engine in engines for name, version in engine.versions.items()},
        machine=engines[0].machine,
        emulated=profile.emulated,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        notes=chosen.notes,
        split=chosen.split,
        scope="accuracy and parity" if chosen.labelled else "parity only",
    )


def _failures(parity: Sequence[Parity], floats: Sequence[FloatParity], agreement: float) -> list[str]:
    """What differs by more than the export's limits allow, or rounding explains."""
    found = [
        f"{pair.b} agrees with here on {100 * pair.top1_agreement:.2f} % of pictures, less than {100 * agreement:g} %"
        for pair in parity
        if pair.top1_agreement < agreement
    ]
    found += [
        f"{pair.b} disagrees with here on {pair.unexplained} pictures that rounding does not explain"
        for pair in parity
        if pair.unexplained
    ]
    found += [
        f"{pair.name}: differs from here by {pair.apart:.2g} of the largest logit"
        for pair in floats
        if not pair.apart <= pair.tolerance
    ]
    return found


_SIDES = ("here", "there")


def _accuracies(chosen: Chosen, pictures: Pictures, raw: Mapping[str, Array]) -> dict[str, float]:
    if not chosen.labelled:
        return {}
    return {name: top1(values, pictures.classes) for name, values in raw.items()}


def _versions_here(cases: Sequence[_Case]) -> dict[str, str]:
    found = {}
    for case in cases:
        if _engine_here(case) is not None:
            library, _, number = case.runtime.version().rpartition(" ")
            found[library] = number
    return found
