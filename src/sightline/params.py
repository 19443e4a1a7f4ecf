"""params.yaml, typed: the only home of scientific values, so no field has a default in code.

A task has one section; what every task has is declared here, what is its own in `tasks/<task>/params.py`:

    profile: cpu                # which of the training recipes is in force
    pv_hotspots:
      seed: 20
      data: {...}  sample: {...}  gate: {...}  evaluate: {...}  promotion: {...}  watch: {...}
      train: {reference: {...}, cpu: {...}}
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sightline.errors import ParamsError

try:
    from yaml import CSafeLoader as SafeLoader  # a fifth of a second less for each command
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Frozen(BaseModel):
    """A section: immutable, and refusing keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataParams(Frozen):
    """Which sets serve what.

    Training sets that are absent are left out; where none is there, the pre-training sets are trained on alone,
    held out by split, for a share of the steps: that is a demonstration, and nobody shall wait long for it. Where they
    are there, a model is pre-trained once, then evaluated by `protocol`.
    """

    pretrain: tuple[str, ...] = Field(description="sets for the first training")
    train: tuple[str, ...] = Field(description="sets that a model is for")
    alone_share: float = Field(gt=0, le=1, description="of a training's steps, where only pre-training sets are there")
    protocol: Literal["folds", "holdout"] = Field(description="each sample is tested once, or a share is set aside")
    folds: int = Field(ge=2, le=20, description="parts of the training sets, each tested once")
    validation_share: float = Field(gt=0, lt=0.5, description="of the groups, for choices in training")
    test_share: float = Field(gt=0, lt=0.5, description="of the groups, never trained on")

    @model_validator(mode="after")
    def _names_a_set(self) -> DataParams:
        if not self.pretrain and not self.train:
            raise ValueError("neither pretrain nor train names a set, so there is nothing to train on")
        return self


class EvaluateParams(Frozen):
    """How metrics get their intervals: a bootstrap over groups."""

    resamples: int = Field(ge=100, le=100_000, description="draws of the bootstrap")
    confidence: float = Field(gt=0.5, lt=1, description="of the intervals")
    pictures: int = Field(ge=0, description="how many samples are drawn for the reports")


class PromotionParams(Frozen):
    """When a challenger becomes champion."""

    metric: str = Field(description="the figure that decides, one of the task's")
    floor: float = Field(description="below it nothing is promoted")
    margin: float = Field(ge=0, description="how far the one-sided bound may lie below zero")
    confidence: float = Field(gt=0.5, lt=1, description="of the one-sided bound")
    latency_ratio: float = Field(gt=0, description="most the challenger may cost, of the champion")


class WatchParams(Frozen):
    """When the prediction log is said to have drifted from the training reference."""

    period_days: int = Field(ge=1, description="days of answers that are compared")
    min_rows: int = Field(ge=5, description="with fewer predictions drift is not tested")
    max_rows: int = Field(ge=20, description="rows drawn from each side for the tests")
    alpha: float = Field(gt=0, lt=0.5, description="family-wise error of the whole verdict")
    outside_share: float = Field(
        gt=0, lt=1, description="share of the answers outside the reference that makes a change a drift"
    )
    notice_share: float = Field(
        gt=0, le=1, description="share of the answers outside that must be noticeable to say 'no drift'"
    )
    cooldown_h: float = Field(ge=0, description="hours between two requests for retraining")


class FlowParams(Frozen):
    """When a task's flows start by themselves: a cron line, seconds between two starts, or `""` for never."""

    retrain: str | Annotated[float, Field(gt=0)] = Field(description="a cron line, seconds, or empty for never")
    monitor: str | Annotated[float, Field(gt=0)] = Field(description="a cron line, seconds, or empty for never")
    timezone: str = Field(description="of the cron lines, such as Europe/Berlin")
    wait_s: float = Field(ge=0, description="longest a retraining waits for another one of the task")
    settle_s: float = Field(ge=0, description="new labels count once nothing came for so long")


class TaskParams(Frozen):
    """What every task's section has. Tasks narrow `sample`, `gate` and `train`."""

    seed: int = Field(ge=0, lt=2**31, description="of training, of the bootstrap and of paired comparisons")
    candidates: tuple[str, ...] = Field(min_length=1, description="models that compete, the preferred first")
    data: DataParams
    evaluate: EvaluateParams
    promotion: PromotionParams
    watch: WatchParams
    schedule: FlowParams


def check_candidates(candidates: Sequence[str], networks: Collection[str], baseline: str) -> None:
    """Whether each candidate is one of the networks that a recipe has, or the plain baseline.

    Raises:
        ValueError: one is neither, or a network has the baseline's name.
    """
    if baseline in networks:
        raise ValueError(f"{baseline} is the name of the baseline, and cannot be that of a network")
    unknown = [name for name in candidates if name != baseline and name not in networks]
    if unknown:
        raise ValueError(f"candidates without a network in train.networks: {', '.join(unknown)}")


AnyParams = TypeVar("AnyParams", bound=TaskParams)
AnyModel = TypeVar("AnyModel", bound=BaseModel)


def parse_yaml(text: str) -> Any:
    """What a YAML document holds, by libyaml where PyYAML was built with it. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=SafeLoader)


def read_params(path: Path) -> dict[str, Any]:
    """The whole of params.yaml, unchecked.

    Raises:
        ParamsError: the file is absent, not YAML or not a mapping.
    """
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParamsError(
            "there is no params.yaml",
            where=path,
            way_out="Run the command inside the project, or set SIGHTLINE_ROOT to the project's folder.",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(
            f"the file is not valid YAML{line_of(error)}",
            where=path,
            way_out="Correct that line, or restore the file with `git checkout params.yaml`.",
        ) from error
    if not isinstance(raw, dict):
        raise ParamsError(
            "the top level of the file must be a mapping of task to parameters",
            where=path,
            way_out="Restore the file with `git checkout params.yaml`, and change its values only.",
        )
    return raw


def line_of(error: yaml.YAMLError | UnicodeDecodeError) -> str:
    """Where a file stops being YAML, in brackets; empty where that is not known."""
    place = getattr(error, "problem_mark", None)
    return f" (line {place.line + 1})" if place else ""


def load_section(path: Path, name: str, model: type[AnyParams]) -> AnyParams:
    """The section of one task, with the training recipe of the profile in force.

    Raises:
        ParamsError: the section or the profile is absent, a key is unknown (the nearest known one is named), values are
            missing (all are named), or a value does not fit.
    """
    raw = read_params(path)
    values = _section(raw, name, path)
    profile, recipes = raw.get("profile"), values.get("train")
    if not isinstance(recipes, dict) or profile not in recipes:
        known = sorted(recipes) if isinstance(recipes, dict) else []
        raise ParamsError(
            f"{name}.train has no recipe for the profile {profile!r}", where=path, way_out=_nearest(str(profile), known)
        )
    # The recipes that are not in force must be right too: a typo should not wait for the day it is used.
    checked, complaints = {}, []
    for key, recipe in recipes.items():
        try:
            checked[key] = model.model_validate({**values, "train": recipe})
        except ValidationError as error:
            complaints += [_Complaint.read(one, name, key) for one in error.errors()]
    if complaints:
        raise _explain(complaints, path, model)
    return checked[profile]


def load_plain_section(path: Path, name: str, model: type[AnyModel]) -> AnyModel:
    """A section that is no task's, so has no recipes.

    Raises:
        ParamsError: as `load_section`.
    """
    values = _section(read_params(path), name, path)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _explain([_Complaint.read(one, name) for one in error.errors()], path, model) from error


def _section(raw: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    if name not in raw:
        known = [key for key in raw if key != "profile"]
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        add = "Add it: the params.yaml that comes with Sightline has one for each task and for `upscaling`."
        way_out = f"Did you mean {close[0]!r}?" if close else add
        raise ParamsError(f"there is no section {name!r}", where=path, way_out=way_out)
    return dict(raw[name] or {})


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Choose one of: {', '.join(known)}." if known else "No key is allowed here."


@dataclass(frozen=True)
class _Complaint:
    """What pydantic says against one key: `keys` lead to it in the model, `field` in the file."""

    keys: list[str]
    field: str
    kind: str
    message: str
    given: object

    @classmethod
    def read(cls, error: Mapping[str, Any], section: str, recipe: str = "") -> _Complaint:
        keys = [str(part) for part in error["loc"]]
        placed = [*keys[:1], recipe, *keys[1:]] if recipe and keys[:1] == ["train"] else keys
        message = error["msg"].removeprefix("Value error, ")
        return cls(keys, ".".join([section, *placed]), error["type"], message, error.get("input"))


def _explain(complaints: Sequence[_Complaint], path: Path, model: type[BaseModel]) -> ParamsError:
    """Turn pydantic's complaints into a sentence that names the key and the way out."""
    # A misspelt key makes two complaints, one unknown and one missing: the unknown one names the cause.
    unknown = next((one for one in complaints if one.kind == "extra_forbidden"), None)
    if unknown:
        way_out = _nearest(unknown.keys[-1], _keys_at(model, unknown.keys[:-1]))
        return ParamsError(
            f"the key {unknown.keys[-1]!r} is unknown", where=f"{path}: {unknown.field}", way_out=way_out
        )
    missing = {one.field: _meaning(model, one.keys) for one in complaints if one.kind == "missing"}
    if missing:
        return _name_missing(missing, path)
    first = complaints[0]
    shown = "" if isinstance(first.given, dict) else f" (given: {first.given!r})"
    what = first.message[0].lower() + first.message[1:] + shown
    meaning = _meaning(model, first.keys)
    way_out = f"Give an allowed value: {meaning}." if meaning else "Give an allowed value."
    return ParamsError(what, where=f"{path}: {first.field}", way_out=way_out)


def _name_missing(missing: Mapping[str, str], path: Path) -> ParamsError:
    """All values that are missing at once: `missing` holds what each is, in words."""
    way_out = "Add the missing keys: the params.yaml of Sightline's repository has a value for each."
    if len(missing) == 1:
        field, meaning = next(iter(missing.items()))
        return ParamsError(f"the value is missing{_in_brackets(meaning)}", where=f"{path}: {field}", way_out=way_out)
    named = "; ".join(f"{field}{_in_brackets(meaning)}" for field, meaning in missing.items())
    return ParamsError(f"{len(missing)} values are missing: {named}", where=path, way_out=way_out)


def _in_brackets(meaning: str) -> str:
    return f" ({meaning})" if meaning else ""


def _meaning(model: type[BaseModel], keys: Sequence[str]) -> str:
    """What a key is for: as it says itself, else as its section does."""
    section = _section_at(model, keys[:-1])
    known = section.model_fields.get(keys[-1]) if section is not None and keys else None
    if known is None or known.description:
        return (known and known.description) or ""
    told = (section_of(known.annotation) or section).__doc__ or ""
    return told.strip().split("\n")[0].rstrip(".")


def _keys_at(model: type[BaseModel], keys: Sequence[str]) -> list[str]:
    """Field names of the section that `keys` leads to."""
    section = _section_at(model, keys)
    return [] if section is None else list(section.model_fields)


def _section_at(model: type[BaseModel], keys: Sequence[str]) -> type[BaseModel] | None:
    """The section that `keys` leads to; the keys of a mapping to sections (`networks`) are names, not fields."""
    rest = list(keys)
    while rest:
        field = model.model_fields.get(rest.pop(0))
        inner = section_of(field.annotation) if field else None
        if field is None or inner is None:
            return None
        if get_origin(field.annotation) is dict and rest:
            rest.pop(0)
        model = inner
    return model


def section_of(annotation: object) -> type[BaseModel] | None:
    """The section that a field holds: itself, or each value of a mapping; None: it holds a plain value."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
