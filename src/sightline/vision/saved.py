"""Saved models: a directory with `card.json` and the files that the card lists with their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from sightline.errors import ModelMissing, ModelRejected
from sightline.task import Card, Json

AGAIN = "Train it again, or fetch it from the registry again."


class SavedRecipe(BaseModel):
    """How a model turns inputs into answers, beside its weights; kept in the card's `preprocessing`.

    Attributes:
        before: part -> key -> what a model did before its card had that key. Cards of then are read with it.
    """

    model_config = ConfigDict(frozen=True)
    before: ClassVar[Mapping[str, Mapping[str, Json]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Json) -> Json:
        if not isinstance(given, Mapping):
            return given
        parts = {part: given[part] for part in cls.before if isinstance(given.get(part), Mapping)}
        return {**given, **{part: {**cls.before[part], **values} for part, values in parts.items()}}

    def document(self) -> dict[str, Json]:
        """As JSON, for the card; `model_validate` reads it."""
        return self.model_dump(mode="json")


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
