"""What an endpoint answers as JSON, as types, for its OpenAPI.

Answers are built elsewhere, and never validated on their way out: tests hold them against these types. What a model
answers is typed by its task; here is what the endpoint adds.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, create_model

from sightline.drift.familiarity import Word
from sightline.task import Card


class Said(BaseModel):
    """Base of all types of answers."""

    model_config = ConfigDict(frozen=True)


class Problem(Said):
    """Why a request was refused, or failed."""

    error: str = Field(description="What is wrong.")
    where: str = Field(description="The field, header or file it is about; may be empty.")
    way_out: str = Field(description="What to do now.")


# ------------------------------------------------------------------------------------------------- predictions


class Outside(Said):
    """A figure of the image beyond the range of the samples."""

    value: float = Field(description="The image's.")
    low: float = Field(description="The samples' lowest.")
    high: float = Field(description="The samples' highest.")


class Familiarity(Said):
    """How far the image lies from what the model was trained and evaluated on."""

    word: Word
    reason: str
    distance: float | None = Field(description="To the nearest sample; 1 is usual among the samples.")
    distance_quantile: float | None = Field(description="Share of the samples that lie less far, 0 to 1.")
    outside: dict[str, Outside] = Field(description="Figures beyond the samples' range, by name.")
    groups: int = Field(description="Independent groups of samples compared with.")


class SetPart(Said):
    """How many samples of a set."""

    set: str
    kind: Literal["synthetic", "real"]
    n: int


class Background(Said):
    """What the version was trained and evaluated on."""

    trained_on: list[SetPart]
    evaluated_on: list[SetPart]
    data_version: str = Field(description="Empty where it is not known.")
    only_synthetic: bool | None = Field(description="It has never seen a real image; null where that is not known.")
    summary: str = Field(description="All of it in a sentence.")


class Lineage(Said):
    """Where an answer comes from."""

    task: str
    version: int = Field(description="The model version that answered.")
    prediction_id: str = Field(description="Of its row in the ledger: a UUID; older rows have a number.")
    sha256: str = Field(description="Of the image's bytes.")
    familiarity: Familiarity
    background: Background
    picture: str | None = Field(default=None, description="The drawn answer as a data address, where it was asked for.")
    exports: dict[str, JsonValue] | None = Field(
        default=None,
        description="Interchange formats by suffix (`geojson`, `coco.json` ...), where they were asked for.",
    )


_LINEAGE: dict[str, JsonValue] = {
    "task": "task",
    "version": 3,
    "prediction_id": "019ac6f2-51d4-7c1e-9a80-4b7d1f3c2e55",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "familiarity": {
        "word": "familiar",
        "reason": "it looks like the samples that the model was trained and evaluated on",
        "distance": 0.91,
        "distance_quantile": 0.44,
        "outside": {},
        "groups": 40,
    },
    "background": {
        "trained_on": [{"set": "real", "kind": "real", "n": 212}],
        "evaluated_on": [{"set": "real", "kind": "real", "n": 53}],
        "data_version": "1a2b3c4d5e6f",
        "only_synthetic": False,
        "summary": "trained on 212 real (real); evaluated on 53 real (real); data 1a2b3c4d",
    },
}


def answer_of(task: str, document: type[BaseModel], rasters: tuple[str, ...] = ()) -> type[BaseModel]:
    """The whole answer of an endpoint.

    Args:
        task: its name.
        document: what its models answer.
        rasters: names of those that the model which answers now has.
    """
    examples: list[JsonValue] = [{**one, **_LINEAGE, "task": task} for one in _examples(document)]
    # Its settings come last, so that they win over those of the others.
    said = create_model("Said", __config__=ConfigDict(frozen=True, json_schema_extra={"examples": examples}))
    name = "".join(word.capitalize() for word in task.split("_")) + "Answer"
    about = "The raster as a data address of a PNG as large as the image, where rasters were asked for."
    fields: Any = {raster: (str | None, Field(default=None, description=about)) for raster in rasters}
    return create_model(name, __base__=(document, Lineage, said), __doc__=document.__doc__, **fields)


def _examples(document: type[BaseModel]) -> list[dict[str, JsonValue]]:
    extra = document.model_config.get("json_schema_extra")
    return _EXAMPLES.validate_python(extra.get("examples", []) if isinstance(extra, dict) else [])


_EXAMPLES: TypeAdapter[list[dict[str, JsonValue]]] = TypeAdapter(list[dict[str, JsonValue]])


# ------------------------------------------------------------------------------------------------- about it


class ModelInfo(Said):
    """The model that answers."""

    task: str
    version: int
    since_s: float = Field(description="When it began to answer, Unix time.")
    card: Card
    background: Background


class Live(Said):
    """The process runs."""

    live: bool


class Ready(Said):
    """A model answers."""

    ready: bool
    task: str
    version: int
    warning: str | None = Field(default=None, description="A newer version cannot take over, and why.")
    areas: bool | None = Field(default=None, description="The model looks at areas of the map too.")
