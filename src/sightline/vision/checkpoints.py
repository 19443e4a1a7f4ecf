"""Checkpoints of a training that may be killed.

torch's checkpoints are pickles; these are read only because this program wrote them, which their names prove.
"""

from __future__ import annotations

from pathlib import Path

from sightline.files import sha256_file


class Checkpoints:
    """The newest checkpoint in a folder, under its own SHA-256 as name: what does not match is not read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkpoint"

    def newest(self) -> Path | None:
        """The checkpoint to go on from, or None."""
        for path in sorted(self.folder.glob("*.pt")):
            if sha256_file(path) == path.stem:
                return path
            path.unlink()
        return None

    def keep(self, last: Path) -> None:
        """Move what the trainer wrote here; one checkpoint is there at any time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        old = list(self.folder.glob("*.pt"))
        kept = self.folder / f"{sha256_file(last)}.pt"
        last.replace(kept)
        for path in old:
            if path != kept:
                path.unlink()
