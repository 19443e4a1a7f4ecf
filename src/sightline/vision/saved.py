"""Saved models: a directory with `card.json` and the files that the card lists with their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from sightline.errors import ModelMissing, ModelRejected
from sightline.task import Card

AGAIN = "Train it again, or fetch it from the registry again."


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """File name -> SHA-256 of its content, for a card."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}


def write_saved(directory: Path, card: Card, files: Mapping[str, bytes]) -> None:
    """Write a model into an empty directory."""
    for name, content in files.items():
        (directory / name).write_bytes(content)
    (directory / "card.json").write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_card(directory: Path) -> Card:
    """The card of a saved model.

    Raises:
        ModelMissing: there is none.
        ModelRejected: it cannot be read.
    """
    path = directory / "card.json"
    try:
        return Card.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelMissing("there is no card.json", where=directory, way_out="Give a saved model.") from error
    except (OSError, ValidationError, ValueError) as error:
        raise ModelRejected("the card cannot be read", where=path, way_out=AGAIN) from error


def read_saved(directory: Path, *names: set[str]) -> tuple[Card, dict[str, bytes]]:
    """The card and the files that `write_saved` wrote.

    Args:
        directory: of the model.
        names: the files that models of this kind have, a set a kind; no others are opened, whatever the card lists.

    Raises:
        ModelMissing: there is no card.
        ModelRejected: the card or a file is not what was saved.
    """
    path, card = directory / "card.json", read_card(directory)
    if set(card.files) not in names:
        raise ModelRejected(f"it lists other files than {', '.join(sorted(names[0]))}", where=path, way_out=AGAIN)
    return card, {name: _read_verified(directory / name, digest) for name, digest in card.files.items()}


def _read_verified(path: Path, digest: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelRejected("a file of the model is missing", where=path, way_out=AGAIN) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelRejected("the file is not the one that was saved (SHA-256)", where=path, way_out=AGAIN)
    return content
