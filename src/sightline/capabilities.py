"""What only some models or tasks can do; asked for by type: `isinstance(model, Surveying)`.

Each is a protocol beside those of `sightline.task`. Who wants one of them says what it does without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParamsError
from sightline.task import InputT, Model, ModelT, Prediction, Sample

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

OnProgress = Callable[[int, int], None]
"""Called with how much is done, and how much there is."""


@runtime_checkable
class Conditioned(Protocol[InputT]):
    """A model whose card names `conditions`: what the bytes of an input do not hold, but a user may know."""

    def under(self, source: InputT, conditions: Mapping[str, float]) -> InputT:
        """The input of `read` with some of these conditions. Raises RequestError where a value cannot be."""
        ...


@runtime_checkable
class Adjustable(Protocol):
    """A model of which a user may change some values for the answers to come: a threshold, the step of a scan."""

    @property
    def adjustable(self) -> Mapping[str, str]:
        """Names of these values, and what each means; `threshold` is the least probability of what it reports."""
        ...

    def adjusted(self, values: Mapping[str, float]) -> Self:
        """The same model with other values for some of them. Raises ParamsError where a value cannot be."""
        ...


def adjust(model: ModelT, values: Mapping[str, float]) -> ModelT:
    """The model with these values of its `adjustable`; itself where there are none.

    Raises:
        ParamsError: it has no such value, or the value cannot be that.
    """
    if not values:
        return model
    known: Mapping[str, str] = model.adjustable if isinstance(model, Adjustable) else {}
    for name in values:
        if name not in known:
            raise ParamsError(
                f"a model of {model.card.task} has no {name} that can be changed",
                where=name,
                way_out=f"It has: {', '.join(known)}." if known else "Leave it out.",
            )
    return model.adjusted(values) if isinstance(model, Adjustable) else model


def check_probability(value: float) -> float:
    """A threshold as it is. Raises ParamsError where it is not a probability."""
    if not 0 <= value <= 1:
        raise ParamsError(f"{value:g} is not a probability", where="threshold", way_out="Give a number from 0 to 1.")
    return value


@runtime_checkable
class Surveying(Model[InputT], Protocol[InputT]):
    """A model that finds things in georeferenced rasters of any size, and so in an area on the map.

    What it answers then has `geojson` among its exports: polygons in longitude and latitude, with `lon` and `lat` of
    their middle among the properties. In its document is a `count`.
    """

    @property
    def wanted_gsd_m(self) -> float:
        """Metres a pixel of the pictures it was trained on: what zoom fits follows from it."""
        ...

    def survey(self, source: InputT, on_progress: OnProgress) -> Prediction:
        """The answer to one input of `read`, as `predict` gives it.

        `on_progress` is called on the way, with what is done and with all; what it raises ends the survey.
        """
        ...

    def within(self, prediction: Prediction, area: BaseGeometry) -> Prediction:
        """Without what lies outside a geometry in longitude and latitude."""
        ...


FOLDER = "inode/directory"
"""In the `formats` of a card: a folder of pictures is one input (freedesktop.org, Shared MIME-info Database)."""


@runtime_checkable
class Filming(Model[InputT], Protocol[InputT]):
    """A model whose answer is best seen as a video: it is made while the input is answered, which is read once."""

    def film(self, source: InputT, path: Path, /) -> tuple[Prediction, NDArray[np.uint8]]:
        """Answer an input, and write it with the answer drawn on it as an MP4 that a browser plays.

        Returns:
            The answer as `predict` gives it, and what `draw` draws of it.
        """
        ...


@dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Attributes:
        pixels: (h, w, 3) uint8 RGB as a video has it, or (h, w) uint16 as a radiometric camera counts.
        number: its place in the video, from 0 on; those that were dropped before it count.
        time_s: seconds after the first frame, as the source tells them; None where it does not (a folder of pictures).
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    number: int
    time_s: float | None = None


class Session(Protocol):
    """What a model remembers of one camera: bounded, however long the video is."""

    def push(self, frame: Frame) -> Prediction:
        """What can be said after this frame; its document has a `verdict`, a word of the model's own.

        Raises DataRejected where this frame cannot be one of this video (another size, another kind of pixels). The
        session then stands as it stood before.
        """
        ...

    def close(self) -> Prediction:
        """The answer to the whole video, as `predict` gives it. Raises DataRejected where there was no frame at all."""
        ...


@runtime_checkable
class Streaming(Model[InputT], Protocol[InputT]):
    """A model that answers while the video still runs. `predict([clip])` is the same as pushing the clip's frames."""

    def open(self, conditions: Mapping[str, float]) -> Session:
        """A new memory for one camera, under these conditions. Raises RequestError where a value cannot be."""
        ...


@runtime_checkable
class Marking(Protocol):
    """A model that draws what it says after a frame on that frame, as one watches it live."""

    def mark(self, frame: Frame, prediction: Prediction) -> NDArray[np.uint8]:
        """(h, w, 3) RGB: a frame with the answer of `Session.push` to it. Called from other threads than `push` is."""
        ...


@runtime_checkable
class Excerpting(Protocol):
    """A task whose labels of many samples may stand in one document, of which a part can be written.

    Deliveries of a labelling tool come week by week under the same name, and one bad photograph must not keep the
    others of its document out: a set then gets what the document says of some samples alone.
    """

    def excerpt(self, document: Path, samples: Sequence[Sample], rest: bool = False) -> bytes | None:
        """The document with what it says of these samples; with `rest`, with all but that.

        Empty where nothing is left; None where it is no document that can be divided. `samples` are of one set, and
        their files are in place. Raises DataRejected where the document cannot be read any more.
        """
        ...
