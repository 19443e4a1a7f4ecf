"""Saved models: a directory with `card.json` and the files that the card lists with their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from sightline.capabilities import check_probability
from sightline.errors import ModelMissing, ModelRejected
from sightline.task import Card, Json, TrainingData

AGAIN = "Train the model again, or download it again from the registry."


class SavedRecipe(BaseModel):
    """How a model turns inputs into answers, beside its weights; kept in the card's `preprocessing`.

    Attributes:
        before: part -> key -> what a model did before its card had that key. Cards of then are read with it.
        retired: part -> keys that cards of before have, and that say nothing any more.
    """

    model_config = ConfigDict(frozen=True)
    before: ClassVar[Mapping[str, Mapping[str, Json]]] = {}
    retired: ClassVar[Mapping[str, frozenset[str]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Json) -> Json:
        if not isinstance(given, Mapping):
            return given
        parts = {*cls.before, *cls.retired}
        stated = {part: values for part in parts if isinstance(values := given.get(part), Mapping)}
        return {**given, **{part: cls._completed(part, values) for part, values in stated.items()}}

    @classmethod
    def _completed(cls, part: str, values: Mapping[str, Json]) -> dict[str, Json]:
        retired = cls.retired.get(part, frozenset())
        return {**cls.before.get(part, {}), **{key: value for key, value in values.items() if key not in retired}}

    @property
    def files(self) -> AbstractSet[str]:
        """Names of the files that a model of this recipe has besides its card."""
        raise NotImplementedError


RecipeT = TypeVar("RecipeT", bound=SavedRecipe)


@dataclass(frozen=True)
class ModelKind(Generic[RecipeT]):
    """What all saved models of a task have in common: how their cards are made, and what a card must hold.

    Attributes:
        task: its name.
        recipe: the type of the recipe.
        classes, formats, conditions: see `Card`.
        thresholds: the names of those that a card has.
    """

    task: str
    recipe: type[RecipeT]
    classes: tuple[str, ...]
    formats: tuple[str, ...]
    conditions: Mapping[str, str]
    thresholds: tuple[str, ...] = ()

    def make_card(
        self,
        candidate: str,
        recipe: RecipeT,
        files: Mapping[str, bytes],
        thresholds: Mapping[str, float],
        provenance: Mapping[str, Json],
    ) -> Card:
        """The card of a newly trained model."""
        return Card(
            task=self.task,
            candidate=candidate,
            classes=self.classes,
            formats=self.formats,
            preprocessing=recipe.model_dump(mode="json"),
            thresholds=dict(thresholds),
            provenance=dict(provenance),
            files=digests(files),
            conditions=dict(self.conditions),
        )

    def restore(self, directory: Path) -> tuple[Card, dict[str, bytes]]:
        """The card and the files that `write_saved` wrote; no file that the recipe does not name is opened.

        Raises:
            ModelMissing: there is no card.
            ModelRejected: the card is of another task, or the card or a file is not what was saved.
        """
        path, card = directory / "card.json", read_card(directory)
        if card.task != self.task or card.classes != self.classes:
            raise ModelRejected(f"this is not a model of {self.task}", where=path, way_out=AGAIN)
        try:
            recipe = self.recipe.model_validate(card.preprocessing)
        except ValueError as error:
            raise ModelRejected("the card is not of this task", where=path, way_out=AGAIN) from error
        if not set(self.thresholds) <= set(card.thresholds):
            raise ModelRejected("the card has not all thresholds", where=path, way_out=AGAIN)
        if missing := sorted(recipe.files - set(card.files)):
            raise ModelRejected(
                f"it has not all files of a {self.task} model; missing: {', '.join(missing)}", where=path, way_out=AGAIN
            )
        return read_saved(directory, recipe.files)


@dataclass
class SavedModel(Generic[RecipeT]):
    """What models with one recipe are before they read anything: their card and the weights that it lists.

    Attributes:
        card: as saved; its `files` lists the weights.
        files: name -> content of the weights; none where nothing but numbers was fitted.
        threads: of the ONNX session; None: see `graphs.open_session`.
    """

    card: Card
    files: Mapping[str, bytes] = field(repr=False)
    threads: int | None = None

    @staticmethod
    def kind_of(task: str, /) -> ModelKind[RecipeT]:
        """What the saved models of that task have in common."""
        raise NotImplementedError

    @classmethod
    def restore(cls, directory: Path) -> Self:
        """Read a saved model.

        Raises:
            ModelMissing: there is no card.
            ModelRejected: the card or a file is not what was saved.
        """
        return cls(*cls.kind_of(read_card(directory).task).restore(directory))

    @cached_property
    def recipe(self) -> RecipeT:
        """From the card."""
        return self.kind_of(self.card.task).recipe.model_validate(self.card.preprocessing)

    def with_threshold(self, name: str, value: float) -> Self:
        """The same model with another one of its thresholds. Raises ParamsError where it is not a probability."""
        thresholds = {**self.card.thresholds, name: check_probability(value)}
        return replace(self, card=self.card.model_copy(update={"thresholds": thresholds}))

    def save(self, directory: Path) -> None:
        """Write the weights and the card into an empty directory."""
        write_saved(directory, self.card, self.files)


def provenance_of(
    data: TrainingData, params: BaseModel, seed: int, used: int, chosen: Mapping[str, Json] | None = None
) -> dict[str, Json]:
    """The `provenance` of a card: what a model was trained from, with how many usable samples, and what was chosen."""
    start = data.start
    return {
        "seed": seed,
        "parameters": params.model_dump(mode="json"),
        "train": data.train.digest(),
        "train_samples": used,
        **(chosen or {}),
        "start": None if start is None else {"train": start.card.provenance.get("train"), "files": start.card.files},
    }


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
        raise ModelMissing(
            "the file card.json is missing", where=directory, way_out="Give the folder of a saved model."
        ) from error
    except (OSError, ValidationError, ValueError) as error:
        raise ModelRejected("the card cannot be read", where=path, way_out=AGAIN) from error


def read_saved(directory: Path, names: AbstractSet[str]) -> tuple[Card, dict[str, bytes]]:
    """The card and the files that `write_saved` wrote.

    Args:
        directory: of the model.
        names: the files that a model of this kind has; no others are opened, whatever the card lists.

    Raises:
        ModelMissing: there is no card.
        ModelRejected: the card or a file is not what was saved.
    """
    path, card = directory / "card.json", read_card(directory)
    if set(card.files) != names:
        raise ModelRejected(f"it lists other files than {', '.join(sorted(names))}", where=path, way_out=AGAIN)
    return card, {name: _read_verified(directory / name, digest) for name, digest in card.files.items()}


def _read_verified(path: Path, digest: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelRejected("a file of the model is missing", where=path, way_out=AGAIN) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelRejected("the file was changed after the model was saved (SHA-256)", where=path, way_out=AGAIN)
    return content
