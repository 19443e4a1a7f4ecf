"""What the model answers as JSON, as a type: clients of the endpoint are told of it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Whether a picture holds a bright spot."""

    kind: Literal["empty", "spot"] = Field(alias="class")
    score: float = Field(description="what the model looks at: the peak over the median, or the mean, in grey levels")

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"class": "spot", "score": 92.5}]})
