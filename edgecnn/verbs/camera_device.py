"""`edgecnn camera --device`: the camera runs on a device, its page opens here through a tunnel."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from edgecnn.edge.artifact import check_files, read_manifest
from edgecnn.edge.camera.distant import Order
from edgecnn.edge.camera.figures import Summary
from edgecnn.edge.camera.heatmap import SUFFIX
from edgecnn.edge.camera.live import Result
from edgecnn.edge.camera.session import Options
from edgecnn.edge.child import told_error
from edgecnn.errors import DeviceError, MissingExtra, UsageError
from edgecnn.records import from_json, to_json
from edgecnn.remote.device import Device, reach
from edgecnn.remote.profiles import load_profile
from edgecnn.verbs.folders import find_artifact, find_export

ENDING_S = 10.0
"""For the camera over there to put things in order and send its summary."""


def camera_of(device: str) -> str:
    """The source that a device's profile names: its own camera."""
    return load_profile(device).camera


def camera_on_device(
    model: Path | str | None,
    device: str,
    options: Options,
    *,
    result: Callable[[Result], None] = lambda result: None,
    message: Callable[[str], None] = lambda text: None,
) -> Summary:
    """Run the camera on a device until its source ends, or somebody ends it here; `result` is handed each answer.

    Sources, --record's folder and --on's commands are the device's. options.view: `web` (also None), whose page is at
    127.0.0.1 here, or `none`. options.port: here; 0 is a free one. Raises what `reach` raises, UsageError for a window,
    and what the camera over there raised.
    """
    if options.view == "window":
        raise UsageError("no window can be opened from a device: use --view web, whose page opens here, or --view none")
    if model is None:
        model = find_export(None)
        message(f"export {model}")
    artifact = find_artifact(model)
    profile = load_profile(device)
    with reach(profile, message) as there:
        there.put([_files(artifact)], artifact.parent)
        with _page(there, options) as asked:
            place = there.path_there(artifact / read_manifest(artifact).model).rpartition("/")[0]
            order = Order(place, asked, options.view == "none")
            try:
                return _run(there, order, result, message)
            except MissingExtra as error:
                raise DeviceError(f"{device}: {_what(error)}: edgecnn devices setup {device} --camera") from error


def _files(artifact: Path) -> list[Path]:
    """The artifact's files, and those of its map form where there is one."""
    check_files(artifact, read_manifest(artifact))
    folders = [artifact, artifact.with_name(artifact.name + SUFFIX)]
    return [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if path.is_file()]


def _what(error: MissingExtra) -> str:
    """Its sentence without the command, which is for a workstation."""
    return str(error).rpartition(": ")[0]


@contextlib.contextmanager
def _page(device: Device, options: Options) -> Iterator[Options]:
    """The options as the device gets them; for a page, while a tunnel leads to the port that it will have there."""
    if options.view == "none":
        yield options
        return
    there = device.free_port()
    with device.connection.forward(there, options.port) as here:
        yield replace(options, view="web", host="127.0.0.1", port=there, seen_as=here)


def _run(device: Device, order: Order, result: Callable[[Result], None], message: Callable[[str], None]) -> Summary:
    with tempfile.TemporaryFile() as complaints, device.start(["camera"], complaints) as process:
        assert process.stdin is not None, "it is a pipe"
        try:
            process.stdin.write(json.dumps(to_json(order)).encode() + b"\n")
            summary = _listen(process, result, message)
            if summary is None:
                raise _gone(device, process, complaints)
            return summary
        finally:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ENDING_S)
            process.kill()


def _listen(
    process: subprocess.Popen[bytes], result: Callable[[Result], None], message: Callable[[str], None]
) -> Summary | None:
    """Pass on what is said over there; the summary, or None where it fell silent without one."""
    assert process.stdout is not None, "it is a pipe"
    with open(process.stdout.fileno(), "rb", closefd=False) as lines:
        for line in lines:
            said: Mapping[str, Any] = json.loads(line)
            if "say" in said:
                message(said["say"])
            elif "result" in said:
                result(from_json(Result, said["result"]))
            elif "error" in said:
                raise told_error(said["error"], said["message"])
            else:
                return from_json(Summary, said["summary"])
    return None


def _gone(device: Device, process: subprocess.Popen[bytes], complaints: IO[bytes]) -> DeviceError:
    """Why nothing more is said: the link, raised here, or the camera's death."""
    code = process.wait(ENDING_S)
    complaints.seek(0)
    said = complaints.read()
    device.check(code, said)
    last = said.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {code}"]
    return DeviceError(f"{device.profile.name}: the camera ended over there ({last[0]})")
