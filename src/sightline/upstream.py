"""Where published data are, as a task says it and `sightline.downloads` fetches them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RemoteFile:
    """One published file.

    Attributes:
        url: https only.
        checksum: `sha256:<hex>` or `md5:<hex>`, as the publisher gives it; empty where there is none, so that the
            archive's own checks alone tell whether it is whole.
        bytes: its size, as far as the publisher gives it; 0 where unknown.
        kept_as: its name, where the address does not end in it.
    """

    url: str
    checksum: str
    bytes: int = 0
    kept_as: str = ""

    @property
    def name(self) -> str:
        """The file name it is kept under."""
        return self.kept_as or self.url.partition("?")[0].rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Upstream:
    """Where a task's published data are: what `sightline data fetch` downloads.

    Attributes:
        kind: kaggle (a data set) and competition (at Kaggle, which wants its rules accepted) are asked by Kaggle's
            own client; zenodo (a record) is asked for its list of files, https lists its `files` here (archives are
            unpacked).
        ref: `owner/dataset` or the competition's name at Kaggle, else the page that a person would read.
        licence: what the publisher says, or that it says nothing.
        files: what to download; https only.
        names: which of a competition's files are needed; archives are unpacked, also nested ones.
    """

    kind: Literal["kaggle", "competition", "zenodo", "https"]
    ref: str
    licence: str
    files: tuple[RemoteFile, ...] = ()
    names: tuple[str, ...] = ()
