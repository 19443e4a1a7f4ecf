"""params.yaml, typed: the only home of scientific values.

A task has one section; what every task has is declared here, what is its own in `tasks/<task>/params.py`:

    profile: cpu                # which of the training recipes is in force
    pv_hotspots:
      seed: 20
      data: {...}  sample: {...}  gate: {...}  evaluate: {...}  promotion: {...}  watch: {...}
      train: {reference: {...}, cpu: {...}}
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sightline.errors import ParamsError

try:
    from yaml import CSafeLoader as SafeLoader  # a fifth of a second less for each command
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]


class Frozen(BaseModel):
    """A section: immutable, and refusing keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataParams(Frozen):
    """Which sets serve what.

    Training sets that are absent are left out; where none is there, the pre-training sets are trained on alone,
    held out by split. Where they are there, a model is pre-trained once, then evaluated by `protocol`.
    """

    pretrain: tuple[str, ...] = ("sample",)
    train: tuple[str, ...] = ("real",)
    protocol: Literal["folds", "holdout"] = "folds"
    folds: int = Field(default=3, ge=2, le=20)
    validation_share: float = Field(default=0.2, gt=0, lt=0.5)
    test_share: float = Field(default=0.2, gt=0, lt=0.5)


class EvaluateParams(Frozen):
    """How metrics get their intervals: a bootstrap over groups."""

    resamples: int = Field(default=1000, ge=100, le=100_000)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    pictures: int = Field(default=12, ge=0, description="how many samples are drawn for the reports")


class PromotionParams(Frozen):
    """When a challenger becomes champion."""

    metric: str
    floor: float = Field(description="below it nothing is promoted")
    margin: float = Field(default=0.02, ge=0, description="how far the one-sided bound may lie below zero")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    latency_ratio: float = Field(default=1.5, gt=0, description="most the challenger may cost, of the champion")


class WatchParams(Frozen):
    """When the prediction log is said to have drifted from the training reference."""

    window_days: int = Field(default=7, ge=1)
    min_rows: int = Field(default=20, ge=5, description="fewer answers say nothing")
    max_rows: int = Field(default=1000, ge=20, description="rows drawn from each side for the tests")
    alpha: float = Field(default=0.01, gt=0, lt=0.5, description="family-wise error of the whole verdict")
    outside_share: float = Field(
        default=0.25, gt=0, lt=1, description="share of the answers outside the reference that makes a change a drift"
    )
    notice_share: float = Field(
        default=0.5, gt=0, le=1, description="share of the answers outside that must be noticeable to say 'no drift'"
    )
    cooldown_h: float = Field(default=24.0, ge=0, description="hours between two requests for retraining")


class FlowParams(Frozen):
    """When a task's flows start by themselves: a cron line, seconds between two starts, or `""` for never."""

    retrain: str | Annotated[float, Field(gt=0)] = "0 13 * * 1"
    monitor: str | Annotated[float, Field(gt=0)] = "7 * * * *"
    timezone: str = "UTC"
    wait_s: float = Field(default=21600.0, ge=0, description="longest a retraining waits for another one of the task")
    settle_s: float = Field(default=60.0, ge=0, description="new labels count once nothing came for so long")


class TaskParams(Frozen):
    """What every task's section has. Tasks narrow `sample`, `gate` and `train`."""

    seed: int = Field(default=20, ge=0, lt=2**31)
    candidates: tuple[str, ...]
    data: DataParams = DataParams()
    evaluate: EvaluateParams = EvaluateParams()
    promotion: PromotionParams
    watch: WatchParams = WatchParams()
    schedule: FlowParams = FlowParams()


AnyParams = TypeVar("AnyParams", bound=TaskParams)


def read_params(path: Path) -> dict[str, Any]:
    """The whole of params.yaml, unchecked.

    Raises:
        ParamsError: the file is absent, not YAML or not a mapping.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader)
    except FileNotFoundError as error:
        raise ParamsError(
            "there is no params.yaml", where=path, way_out="Run inside the project, or set SIGHTLINE_ROOT to it."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(
            f"this is not YAML{line_of(error)}", where=path, way_out="Mend that line, or restore the file from git."
        ) from error
    if not isinstance(raw, dict):
        raise ParamsError("the top of the file is not a mapping", where=path, way_out="See the README's example.")
    return raw


def line_of(error: yaml.YAMLError | UnicodeDecodeError) -> str:
    """Where a file stops being YAML, in brackets; empty where that is not known."""
    place = getattr(error, "problem_mark", None)
    return f" (line {place.line + 1})" if place else ""


def load_section(path: Path, name: str, model: type[AnyParams]) -> AnyParams:
    """The section of one task, with the training recipe of the profile in force.

    Raises:
        ParamsError: the section or the profile is absent, a key is unknown (the nearest known one is named), or a
            value does not fit.
    """
    raw = read_params(path)
    if name not in raw:
        known = [key for key in raw if key != "profile"]
        raise ParamsError(f"there is no section {name!r}", where=path, way_out=_nearest(name, known))
    values = dict(raw[name] or {})
    profile, recipes = raw.get("profile"), values.get("train")
    if not isinstance(recipes, dict) or profile not in recipes:
        known = sorted(recipes) if isinstance(recipes, dict) else []
        raise ParamsError(
            f"{name}.train has no recipe for the profile {profile!r}", where=path, way_out=_nearest(str(profile), known)
        )
    try:
        # The recipes that are not in force must be right too: a typo should not wait for the day it is used.
        checked = {key: model.model_validate({**values, "train": recipe}) for key, recipe in recipes.items()}
    except ValidationError as error:
        raise _explain(error, path, name, model) from error
    return checked[profile]


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(known)}." if known else "Nothing is known here."


def _explain(error: ValidationError, path: Path, name: str, model: type[BaseModel]) -> ParamsError:
    """Turn pydantic's first complaint into a sentence that names the key and the way out."""
    # A misspelt key makes two complaints, one unknown and one missing: the unknown one names the cause.
    first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
    keys = [str(part) for part in first["loc"]]
    field = ".".join([name, *keys])
    if first["type"] == "extra_forbidden":
        way_out = _nearest(keys[-1], _keys_at(model, keys[:-1]))
        return ParamsError(f"the key {keys[-1]!r} is unknown", where=f"{path}: {field}", way_out=way_out)
    given = first.get("input")
    shown = "" if isinstance(given, dict) else f" (given: {given!r})"
    what = first["msg"][0].lower() + first["msg"][1:] + shown
    return ParamsError(what, where=f"{path}: {field}", way_out=_meant_by(model, keys))


def _meant_by(model: type[BaseModel], keys: list[str]) -> str:
    """What a key is for and what it is where it is left out, as far as the section says so."""
    section = _section_at(model, keys[:-1])
    known = section.model_fields.get(keys[-1]) if section is not None and keys else None
    if known is None or known.is_required():
        return "Give one that fits" + (f": {known.description}." if known and known.description else ".")
    meant = f" ({known.description})" if known.description else ""
    return f"Give one that fits{meant}, or leave the key out for the default."


def _keys_at(model: type[BaseModel], keys: list[str]) -> list[str]:
    """Field names of the section that `keys` leads to."""
    section = _section_at(model, keys)
    return [] if section is None else list(section.model_fields)


def _section_at(model: type[BaseModel], keys: list[str]) -> type[BaseModel] | None:
    for key in keys:
        inner = model.model_fields[key].annotation if key in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return None
        model = inner
    return model
