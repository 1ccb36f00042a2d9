"""One session of the camera: the loop, a view, actions and a recorder, put together from what a person asked for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgecnn.edge.artifact import Manifest, read_manifest
from edgecnn.edge.camera.actions import Actions, parse
from edgecnn.edge.camera.camera import Camera, Hands, Settings
from edgecnn.edge.camera.figures import Summary
from edgecnn.edge.camera.live import Live, ModelCard, Result
from edgecnn.edge.camera.notify import Notifier, Watchdog
from edgecnn.edge.camera.record import Recorder
from edgecnn.edge.camera.sources import Wanted, find_kind
from edgecnn.edge.pixels import Image
from edgecnn.edge.runtimes import find_runtime, runtime_for
from edgecnn.errors import UsageError, nearest

VIEWS = ("window", "web", "none")


@dataclass(frozen=True)
class Options:
    """What a person may ask of the camera; see `edgecnn camera --help`.

    view: one of VIEWS, or None for a window where there is a display and else the web page. unsure_below: None for the
    model's own threshold, 0 for none. threads: None for all cores but one.
    """

    source: str = "0"
    view: str | None = None
    runtime: str | None = None
    threads: int | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    fast: bool = False
    loop: bool | None = None
    pictures_per_s: float = 2.0
    frames: int | None = None
    half_life_s: float = 0.5
    unsure_below: float | None = None
    heatmap: bool = False
    actions: tuple[tuple[str, ...], ...] = ()
    """LABEL:THRESHOLD, COMMAND, ARGS ..."""
    cooldown_s: float = 10.0
    record: Path | None = None
    record_limit_mib: float = 1024.0
    host: str = "127.0.0.1"
    port: int = 8080
    seen_as: int | None = None
    """The port by which browsers know the page, where that is another one (a tunnel's); None: its own."""


class Session:
    """A session that is about to run; what can be said against it is raised here, before anything is opened."""

    def __init__(
        self, artifact: Path, options: Options, result: Callable[[Result], None], say: Callable[[str], None]
    ) -> None:
        """result: is handed each answer. say: a sentence for the person watching.

        Raises UsageError for a source, runtime, view or label that there is not, UnusableFile for the artifact.
        """
        manifest = read_manifest(artifact)
        find_kind(options.source)
        self.view = _view(options.view)
        self._options, self._result, self._say = options, result, say
        self._live = Live(_card(manifest, options))
        parsed = (parse(on[0] if on else "", on[1:], manifest.labels, options.cooldown_s) for on in options.actions)
        self._actions = Actions(tuple(parsed), say)
        self._recorder = None if options.record is None else Recorder(options.record, say, options.record_limit_mib)
        self._notifier = Notifier()
        self._watchdog = Watchdog(self._notifier)
        self._settings = Settings(
            artifact=artifact,
            source=options.source,
            wanted=self._wanted(manifest),
            runtime=self._live.model.runtime,
            threads=self._live.model.threads,
            frames=options.frames,
            half_life_s=options.half_life_s,
            unsure_below=manifest.unsure_below if options.unsure_below is None else options.unsure_below,
            heatmap=options.heatmap,
        )

    def run(self) -> Summary:
        """Until the source ends, enough frames are answered, or a view is closed. Raises what `Camera.run` raises."""
        with Camera(self._settings, self._live, self._hands()) as camera:
            try:
                {"window": self._in_window, "web": self._in_web, "none": Camera.run}[self.view](camera)
            finally:
                self._notifier.stopping()
                self._actions.close()
                if self._recorder is not None:
                    self._recorder.close()
            return camera.summary

    def close(self) -> None:
        """Let `run` come to its end soon; from any thread."""
        self._live.close()

    def _in_window(self, camera: Camera) -> None:
        """The window has the main thread, as toolkits want it; the camera's loop goes on beside it."""
        from edgecnn.edge.camera.views.window import WindowView

        failures: list[BaseException] = []

        def loop() -> None:
            try:
                camera.run()
            except BaseException as error:
                failures.append(error)
            finally:
                self._live.close()

        beside = threading.Thread(target=loop, name="camera")
        beside.start()
        try:
            WindowView(self._live, self._say).run()
        finally:
            self._live.close()
            beside.join()
        if failures:
            raise failures[0]

    def _in_web(self, camera: Camera) -> None:
        from edgecnn.edge.camera.views.web import WebView

        view = WebView(self._live, self._options.host, self._options.port, seen_as=self._options.seen_as)
        self._say(f"the camera is at {view.start()} (Ctrl-C ends it)")
        try:
            camera.run()
        finally:
            view.stop()

    def _hands(self) -> Hands:
        record = None if self._recorder is None else self._record
        return Hands(self._answered, self._say, record, self._notifier.ready, self._alive)

    def _alive(self) -> None:
        self._watchdog.ping(time.monotonic_ns())

    def _answered(self, result: Result) -> None:
        self._result(result)
        self._actions.update(result.label, result.probability, result.frame, time.monotonic_ns())

    def _record(self, result: Result, picture: Image) -> None:
        assert self._recorder is not None, "only then pictures are asked for"
        captured_ns = time.monotonic_ns() - int(result.age_ms * 1e6)
        self._recorder.offer(picture, result.label, result.probability, captured_ns)

    def _wanted(self, manifest: Manifest) -> Wanted:
        options, watched = self._options, self.view != "none"
        return Wanted(
            model_height=manifest.input.height,
            model_width=manifest.input.width,
            width=options.width,
            height=options.height,
            fps=options.fps,
            fast=options.fast,
            loop=watched if options.loop is None else options.loop,
            pictures_per_s=options.pictures_per_s if watched else float("inf"),
        )


def _view(asked: str | None) -> str:
    """The view asked for, or a window where one can be opened, else the page."""
    if asked is not None and asked not in VIEWS:
        raise UsageError(f"there is no view '{asked}'{nearest(asked, VIEWS)}")
    if asked in ("web", "none"):
        return asked
    from edgecnn.edge.camera.views import window

    hindrance = window.unavailable()
    if asked == "window" and hindrance is not None:
        raise UsageError(f"no window can be opened: {hindrance}; use --view web")
    return "web" if hindrance is not None else "window"


def _card(manifest: Manifest, options: Options) -> ModelCard:
    engine = find_runtime(options.runtime) if options.runtime else runtime_for(manifest.target)
    cores = len(os.sched_getaffinity(0))
    return ModelCard(
        name=manifest.name,
        sha256=manifest.sha256,
        runtime=engine.name,
        threads=options.threads or max(1, cores - 1),
        precision=manifest.precision,
        input=f"{manifest.input.width}x{manifest.input.height} {manifest.input.resize}",
        labels=manifest.labels,
    )
