"""A registered source as a data set: brought to the model's size, its validation pictures held out of train."""

from __future__ import annotations

from pathlib import Path

from edgecnn.data.cache import Images, Wanted, decoder, hold
from edgecnn.data.pictures import Broken, DataSpec, Pictures, check_split, fingerprint
from edgecnn.data.places import search_dirs
from edgecnn.data.sources import Source, find_source
from edgecnn.data.splits import hold_out
from edgecnn.edge import pixels
from edgecnn.errors import UnusableFile
from edgecnn.storage import sha256


class Registered:
    """The `Dataset` of a source that has a train and a test part."""

    def __init__(self, spec: DataSpec, data_dir: Path | None) -> None:
        """UsageError when no source has this name, UnusableFile when its files are nowhere."""
        self._spec = spec
        self._source = find_source(spec.source or "")
        self._folder = locate(self._source, data_dir)
        self._notes: dict[str, str] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the splits loaded so far are kept, where that is on disk."""
        return tuple(self._notes.values())

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names."""
        return self._source.labels

    def load(self, split: str) -> Pictures:
        """One split, see `Dataset.load`."""
        check_split(split)
        pictures = self._source.read(self._folder, "test" if split == "test" else "train")
        if split != "test":
            train, val = hold_out(pictures.classes, self._spec.val_fraction, self.labels)
            pictures = pictures.take(train if split == "train" else val)
        return self._fit_all(split, pictures)

    def _fit_all(self, split: str, pictures: Pictures) -> Pictures:
        """The pictures at the model's size; those that have it are in memory already and stay there."""
        spec = self._spec
        if pictures.images.shape[1:] == (spec.height, spec.width, spec.channels) and spec.cache != "disk":
            return pictures
        wanted = Wanted(
            f"{spec.source} {split} {spec.val_fraction} {spec.form}",
            sha256(f"{decoder()} {fingerprint(pictures)} {spec.form}".encode()),
            len(pictures),
            spec.height,
            spec.width,
            spec.channels,
        )

        def fill(images: Images) -> tuple[Broken, ...]:
            for place, image in enumerate(pictures.images):
                images[place] = pixels.fit(image, spec.height, spec.width, spec.resize, spec.channels)
            return ()

        held = hold(wanted, spec.cache, fill)
        if held.file is not None:
            self._notes[split] = held.note(split)
        return Pictures(held.images, pictures.classes, pictures.names)


def locate(source: Source, data_dir: Path | None) -> Path:
    """The folder of a source; UnusableFile saying where it was looked for and what to do."""
    folder = source.locate(data_dir)
    if folder is None:
        looked = ", ".join(str(place) for place in search_dirs(data_dir))
        raise UnusableFile(
            f"the pictures of {source.name} are not here (looked in {looked}); {source.how_to_get}, or say where they "
            "lie with --data DIR, or use the bundled pictures: source: cifar10_mini"
        )
    return folder
