"""`edgecnn camera`."""

from __future__ import annotations

from typing import Any

import click

from edgecnn.cli.options import SIZE, Number, Place, Voice, voice

ON = "--on"
END = ";"


class CameraCommand(click.Command):
    """A command in which `--on LABEL:THRESHOLD COMMAND ARGS ...` may stand, several times, behind everything else.

    A command has options of its own, so it reaches to the next --on, to a ';' (as after `find -exec`) or to the end.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the actions out, and leave the rest to click."""
        rest, actions = split_actions(args)
        ctx.meta[ON] = actions
        return super().parse_args(ctx, rest)


def split_actions(args: list[str]) -> tuple[list[str], tuple[tuple[str, ...], ...]]:
    """Arguments without their `--on ...` parts, and those parts: LABEL:THRESHOLD, COMMAND, ARGS ..."""
    rest: list[str] = []
    actions: list[list[str]] = []
    inside = False
    for word in args:
        if word == ON or word.startswith(f"{ON}="):
            actions.append([word.removeprefix(f"{ON}=")] if word != ON else [])
            inside = True
        elif inside and word == END:
            inside = False
        else:
            (actions[-1] if inside else rest).append(word)
    return rest, tuple(map(tuple, actions))


@click.command(cls=CameraCommand, options_metavar="[OPTIONS] [--on LABEL:0.8 COMMAND ARGS ...]")
@click.argument("model", metavar="[ARTIFACT]", required=False)
@click.option("--source", metavar="SRC", help="Where frames come from, see below (default: 0, or the device's camera).")
@click.option("--view", type=click.Choice(["window", "web", "none"]), help="Default: window if there is a display.")
@click.option("--runtime", help="litert, onnxruntime or openvino (default: the first that reads the file).")
@click.option("--threads", type=click.IntRange(1, 1024), help="For the model (default: all cores but one).")
@click.option("--frame-size", type=SIZE, metavar="WIDTHxHEIGHT", help="To ask the camera for: 640x480.")
@click.option("--fps", type=Number(0.1, 1000), help="Frames a second to ask the camera for.")
@click.option("--fast", is_flag=True, help="A video file: every frame, as fast as they go, not at its own pace.")
@click.option("--loop/--once", default=None, help="A file or folder: from the start again (default: while watched).")
@click.option(
    "--pace",
    "pictures_per_s",
    type=Number(0.01, 1000),
    default=2.0,
    show_default=True,
    help="Pictures/s of a folder that is watched (--view none takes none of that).",
)
@click.option("--frames", type=click.IntRange(min=1), help="End after so many answers.")
@click.option(
    "--smooth",
    "half_life_s",
    type=Number(0, 60),
    default=0.5,
    show_default=True,
    help="Half-life in s; 0: off.",
)
@click.option(
    "--unsure",
    "unsure_below",
    type=Number(0, 1),
    help="'unsure' below this (default: fitted; 0: never); not for a folder's pictures.",
)
@click.option(
    "--heatmap", is_flag=True, help="Where in the picture the label is (an export with --heatmap has the map)."
)
@click.option(
    "--cooldown",
    "cooldown_s",
    type=Number(0),
    default=10.0,
    show_default=True,
    help="Seconds between two runs of an --on.",
)
@click.option("--record", type=Place(file_okay=False), help="Keep frames here, a folder a label.")
@click.option(
    "--record-limit",
    "record_limit_mib",
    type=Number(1),
    default=1024.0,
    show_default=True,
    help="MiB of --record.",
)
@click.option("--device", metavar="NAME", help="Run there, over SSH; the page opens here. Sources are the device's.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The page's address; another one needs its token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="The page's port.")
@voice
def camera(model: str | None, voice: Voice, **asked: Any) -> None:
    """Classify what a camera sees, live: in a window, in a web page, or as lines of JSON (--view none).

    \b
    --source 0, /dev/video2          a camera of this machine
    --source picamera://0, csi://0   a Raspberry Pi's camera, a Jetson's
    --source rtsp://.., http://..    a network camera
    --source FILE, FOLDER            a video, pictures
    --source gst:PIPELINE, fake://   GStreamer's; a scene to try things with

    --on cat:0.8 COMMAND ARGS runs a command, never a shell, when the label comes up with at least 80 %; {label} and
    {probability} in ARGS are replaced. It reaches to the next --on, to a ';' or to the end of the line.
    """
    from edgecnn.cli import show, show_camera
    from edgecnn.edge.camera.session import Options
    from edgecnn.verbs.camera import camera as verb

    width, height = asked.pop("frame_size") or (None, None)
    device, source = asked.pop("device"), asked.pop("source")
    if device is None:
        source = source or "0"
    else:  # ssh and profiles are not loaded for a camera of this machine
        from edgecnn.verbs.camera_device import camera_of, camera_on_device

        source = source or camera_of(device)
    actions = click.get_current_context().meta[ON]
    options = Options(source=source, actions=actions, height=height, width=width, **asked)
    none = options.view == "none"
    result = show_camera.line if none else show_camera.nothing
    if device is None:
        summary = verb(model, options, result=result, message=voice.message)
    else:
        summary = camera_on_device(model, device, options, result=result, message=voice.message)
    if none:
        voice.message(show_camera.sentence(summary))
    else:
        show.answer(voice, summary, show_camera.summary)
