"""params.yaml is the only home of a scientific value: nothing of it has a second value in code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_origin

import pytest
import yaml
from pydantic import BaseModel

from sightline.maps.upscaling.params import UpscaleParams
from sightline.params import section_of
from sightline.tasks import TASKS, params_model
from sightline.tasks.panel_defects.params import NetworkParams
from tests.contract.subjects import ROOT

MAY_BE_ABSENT: set[tuple[type[BaseModel], str]] = {
    (NetworkParams, "input"),  # a network without an input of its own has the recipe's
}
"""What params.yaml may leave out. Each has `None` in code, which means that there is none."""

PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
SECTIONS: list[tuple[str, type[BaseModel], Mapping[str, Any]]] = [
    ("upscaling", UpscaleParams, PARAMS["upscaling"]),
    *(
        (f"{name}, {profile}", params_model(name), {**PARAMS[name], "train": recipe})
        for name in TASKS
        for profile, recipe in PARAMS[name]["train"].items()
    ),
]


def fields(place: str, model: type[BaseModel], given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each field below a section: where it is, and what is wrong with it."""
    for name, field in model.model_fields.items():
        wrong = "" if field.is_required() else "it has a value in code"
        wrong = wrong if name in given else "it is not in params.yaml"
        yield f"{place}.{name}", "" if (model, name) in MAY_BE_ABSENT else wrong
        inner, value = section_of(field.annotation), given.get(name)
        if inner is not None and value is not None:
            parts = value if get_origin(field.annotation) is dict else {"": value}
            for key, part in parts.items():
                yield from fields(f"{place}.{name}.{key}".rstrip("."), inner, part)


def test_every_section_of_params_yaml_is_read() -> None:
    assert {place.split(",")[0] for place, _, _ in SECTIONS} == set(PARAMS) - {"profile"}


@pytest.mark.parametrize(("place", "model", "given"), SECTIONS, ids=[place for place, _, _ in SECTIONS])
def test_a_value_stands_in_params_yaml_and_has_no_second_one_in_code(
    place: str, model: type[BaseModel], given: Mapping[str, Any]
) -> None:
    found = dict(fields(place, model, given))
    assert len(found) > 10
    assert {at: wrong for at, wrong in found.items() if wrong} == {}


def test_what_may_be_absent_has_no_value_in_code() -> None:
    assert [model.model_fields[name].default for model, name in MAY_BE_ABSENT] == [None] * len(MAY_BE_ABSENT)
