"""Cameras as they are typed: opened all at once, each with a name, a session of the model and its sinks."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sightline.capabilities import Marking, Streaming
from sightline.errors import ParamsError
from sightline.limits import Limits
from sightline.pipeline.streaming.feeds import Feed, Patience
from sightline.pipeline.streaming.frame_log import CameraLog
from sightline.pipeline.streaming.outlets import Outlet, Sink
from sightline.pipeline.streaming.said import Said
from sightline.pipeline.streaming.sinks import Film, JsonLines, Ledger, Webhook
from sightline.pipeline.streaming.watching import Watching
from sightline.stores.predictions import Predictions
from sightline.stores.streams import Keep
from sightline.task import Json
from sightline.video.addresses import shown
from sightline.video.opening import Frames, open_frames
from sightline.video.reading import Waits

_ANSWERS_WAITING = 256
_PICTURES_WAITING = 8
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Order:
    """What is asked of a stream.

    Attributes:
        model: answers.
        task: its name.
        version: of the model; None: a saved folder.
        conditions: what is known of all cameras besides.
        out: folder of answers and marked videos, a folder a camera; None: nothing is written.
        film: whether videos are marked.
        webhook: address that gets changes; empty: none.
        predictions: the prediction log, for a registered version; None: nothing is logged.
        keep: the rule of what is kept besides changes.
        limits: most pixels a frame.
        waits: for cameras.
        patience: with those that were lost.
    """

    model: Streaming
    task: str
    version: int | None
    conditions: Mapping[str, float] = field(default_factory=dict)
    out: Path | None = None
    film: bool = True
    webhook: str = ""
    predictions: Predictions | None = None
    keep: Keep = field(default_factory=lambda: Keep(every_s=10.0))
    limits: Limits = field(default_factory=Limits)
    waits: Waits = field(default_factory=Waits)
    patience: Patience = field(default_factory=Patience)

    @property
    def identity(self) -> dict[str, Json]:
        """What each answer says of the model that made it."""
        return {"task": self.task, "version": self.version, "candidate": self.model.card.candidate}


def open_cameras(
    order: Order,
    words: Sequence[str],
    ready: threading.Condition,
    hear: Callable[[Said], None],
    tell: Callable[[str], None],
) -> list[Watching]:
    """Open all cameras at once; if one cannot be opened, none is watched.

    Args:
        order: what is asked.
        words: files, folders, devices and addresses.
        ready: see `Feed`.
        hear: gets each answer.
        tell: is told what a person should know, in a line.

    Raises:
        ParamsError: one is named twice, or an address is none.
        RequestError: a condition cannot be.
        DataError: one is not there, or no video.
        BackendError: a camera cannot be reached.
    """
    _refuse_twice(words)
    order.model.open(order.conditions)  # a condition that cannot be is told before a camera is asked
    opened = _open_all(order, words)
    names = _names(words)
    return [
        Watching(
            Feed(shown(word), frames, partial(_open, order, word), ready, order.patience, tell),
            partial(order.model.open, order.conditions),
            _outlets(order, names[word], live=frames.live),
            order.keep,
            order.identity,
            hear,
            tell,
        )
        for word, frames in zip(words, opened, strict=True)
    ]


def _refuse_twice(words: Sequence[str]) -> None:
    for word in words:
        if words.count(word) > 1:
            raise ParamsError("the camera is given twice", where=shown(word), way_out="Give each camera once.")


def _open(order: Order, word: str) -> Frames:
    return open_frames(word, order.limits, order.waits)


def _open_all(order: Order, words: Sequence[str]) -> list[Frames]:
    with ThreadPoolExecutor(len(words)) as pool:
        futures = [pool.submit(_open, order, word) for word in words]
    failed = next((one.exception() for one in futures if one.exception() is not None), None)
    if failed is None:
        return [one.result() for one in futures]
    for one in futures:
        if one.exception() is None:
            one.result().close()
    raise failed


def _names(words: Sequence[str]) -> dict[str, str]:
    """A folder for each camera: of the letters of its name that are safe in one; with a number where two are alike."""
    names: dict[str, str] = {}
    for word in words:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", shown(word).partition("://")[2] or Path(word).name).strip("-.")
        name, number = plain[:100] or "camera", 1
        while name in names.values():
            number += 1
            name = f"{plain[:100] or 'camera'}-{number}"
        names[word] = name
    return names


def _outlets(order: Order, name: str, live: bool) -> list[Outlet]:
    patience_s = 0.0 if live else _PATIENCE_S
    sinks: list[Sink] = []
    films: list[Sink] = []
    if order.out is not None:
        sinks.append(JsonLines(order.out / name))
        if order.film and isinstance(order.model, Marking):
            films.append(Film(order.out / name, order.model))
    if order.webhook:
        sinks.append(Webhook(order.webhook))
    if order.predictions is not None and order.version is not None:
        sinks.append(Ledger(CameraLog(order.predictions, order.task, order.keep), order.version))
    outlets = [Outlet(sink, _ANSWERS_WAITING, patience_s) for sink in sinks]
    return outlets + [Outlet(film, _PICTURES_WAITING, patience_s) for film in films]
