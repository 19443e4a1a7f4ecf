"""The types of answers say what models answer: every key and no other, in the type's own terms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from sightline.errors import ParamsError
from sightline.limits import Limits
from sightline.tasks import TASKS, answer_model
from tests.unit.bad_images import tiff
from tests.unit.tasks.land_cover import networks as land_cover
from tests.unit.tasks.panel_defects import networks as panel_defects
from tests.unit.tasks.pv_hotspots import networks as pv_hotspots
from tests.unit.tasks.ships import networks as ships
from tests.unit.tasks.ships.test_model import placed


def _hotspots(_: Path) -> list[tuple[Any, bytes | Path]]:
    model = pv_hotspots.tiny_model()
    return [(model, pv_hotspots.png(pv_hotspots.picture(hot=hot))) for hot in ([5], [])]


def _panels(_: Path) -> list[tuple[Any, bytes | Path]]:
    mask = np.arange(6).repeat(20)[None].repeat(64, axis=0)
    return [(panel_defects.tiny_model(), panel_defects.png(panel_defects.photograph(mask)))]


def _farms(_: Path) -> list[tuple[Any, bytes | Path]]:
    chip = np.zeros((64, 64, 13), dtype=np.uint16)
    chip[:, 30:] = 9000
    return [(panel_defects.tiny_model("solar_farms"), tiff(chip))]


def _land(_: Path) -> list[tuple[Any, bytes | Path]]:
    return [(land_cover.network_model(), tiff(land_cover.scene(64, 64)))]


def _ships(folder: Path) -> list[tuple[Any, bytes | Path]]:
    pixels, _ = ships.scene()
    georeferenced = placed(folder / "scene.tif", pixels)
    return [
        (model, source)
        for model in (ships.network_model(), ships.blob_model())
        for source in (ships.png(pixels), georeferenced)
    ]


ANSWERED: dict[str, Callable[[Path], list[tuple[Any, bytes | Path]]]] = {
    "pv_hotspots": _hotspots,
    "panel_defects": _panels,
    "ships": _ships,
    "solar_farms": _farms,
    "land_cover": _land,
}


def check(answer: type[BaseModel], document: Any) -> None:
    """Raise ValidationError where the document is not what its type says."""
    answer.model_validate_json(json.dumps(document), strict=True, extra="forbid")


@pytest.mark.parametrize("task", ANSWERED)
def test_what_a_model_answers_is_what_its_type_says(task: str, tmp_path: Path) -> None:
    documents = []
    for model, source in ANSWERED[task](tmp_path):
        read = model.read(source, Limits())
        if "gsd_m" in model.card.conditions and isinstance(source, bytes):
            documents.append(model.predict([model.under(read, {"gsd_m": 3.0})])[0].document)
        documents.append(model.predict([read])[0].document)
    for document in documents:
        check(answer_model(task), document)
        with pytest.raises(ValidationError):
            check(answer_model(task), {**document, "more": 1})
        with pytest.raises(ValidationError):
            check(answer_model(task), {key: value for key, value in document.items() if key != "image"})
    assert any(isinstance(value, list) and value for document in documents for value in document.values()) or (
        task == "land_cover"  # its lists are in the exports
    )


@pytest.mark.parametrize("task", TASKS)
def test_its_example_is_one_and_every_figure_says_its_unit(task: str) -> None:
    answer = answer_model(task)
    schema = answer.model_json_schema()
    (example,) = schema["examples"]
    check(answer, example)
    for name, fields in {answer.__name__: schema, **schema.get("$defs", {})}.items():
        assert fields["description"], name
        for field, said in fields["properties"].items():
            if said.get("type") == "number" and (said.get("minimum"), said.get("maximum")) != (0, 1):
                assert said.get("description"), f"{name}.{field}"


def test_a_task_that_there_is_not_has_no_answers() -> None:
    with pytest.raises(ParamsError, match="Did you mean 'ships'"):
        answer_model("shipss")
