"""The one door to all videos: a word as it is typed -> frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from sightline.capabilities import Frame
from sightline.limits import Limits
from sightline.video.addresses import kind_of
from sightline.video.pictures import Pictures
from sightline.video.reading import Video, Waits, open_camera, open_video


class Frames(Protocol):
    """An open video: `Video`, `Pictures`, or one that a test makes up.

    The next frame may raise DataRejected: of that frame alone; the one after it goes on. Any other error of the tree
    means that there will be no more.
    """

    @property
    def where(self) -> str:
        """What messages call it; without a password."""
        ...

    @property
    def live(self) -> bool:
        """Whether it goes on by itself: what is not read in time is gone."""
        ...

    @property
    def count(self) -> int | None:
        """Number of frames, as far as that is known before; for progress."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...

    def __next__(self) -> Frame: ...

    def close(self) -> None:
        """Let go of the file or the camera."""
        ...


def open_frames(word: str, limits: Limits, waits: Waits | None = None) -> Frames:
    """Open a file, a folder of pictures, a device or an address.

    Raises:
        ParamsError: the address is none, or of a kind that is not read.
        DataMissing: there is no such file, folder, device or stream.
        DataRejected: it is no video, or its frames are larger than the limit.
        BackendError: a camera cannot be reached, or does not answer.
    """
    kind = kind_of(word)
    if kind == "folder":
        return Pictures(Path(word), limits)
    if kind == "file":
        return open_video(Path(word), limits)
    opened: Video = open_camera(word, kind, limits, waits)
    return opened
