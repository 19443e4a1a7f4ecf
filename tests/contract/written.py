"""How what the pages tell to type is typed by a test: what stands for a reader's own files, and what another test runs.

A line is typed as it stands, but for the phrases of `STANDS_FOR`. Whoever writes a new line on a page runs
`pytest tests/docs/test_commands.py`, which tells what to add here.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Container, Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from unittest import mock

import numpy as np

from sightline.settings import Settings
from sightline.stores.database import Database
from sightline.stores.ids import new_id
from sightline.stores.predictions import Predictions
from sightline.stores.queue import Queue
from sightline.tasks import TASKS
from tests.contract.checkout import Checkout
from tests.contract.subjects import Silent, tiny_task
from tests.docs.pages import Written
from tests.services.made_up_map import bbox, draw_tiles

_CLI = "tests/contract/test_cli.py::"
_STAGES = "tests/dvc/test_stages.py::"
_BENTO = "tests/services/test_bento.py::"
_TUTORIAL = "tests/docs/test_tutorial_followed.py::test_the_page_can_be_followed"
_STREAM = "tests/unit/cli/test_stream.py::"
_LOOP = "tests/e2e/test_loop.py::test_the_loop"

RUN_ELSEWHERE = {
    "make demo": _CLI + "test_a_second_run_finds_nothing_changed",  # `data sample`, `run --jobs`: what the target types
    "make test": "tests/architecture/test_makefile.py::test_an_environment_that_is_ready_costs_nothing",
    "make realesrgan": "tests/architecture/test_makefile.py"
    "::test_the_weights_of_real_esrgan_come_alone_and_by_their_hash",
    "make serve": _CLI + "test_what_the_pages_tell_can_be_typed",
    ".venv/bin/sightline serve": _CLI + "test_what_the_pages_tell_can_be_typed",
    ".venv/bin/sightline up": _LOOP,
    ".venv/bin/sightline run pv_hotspots": _CLI + "test_a_second_run_finds_nothing_changed",
    ".venv/bin/sightline stream battery_faults clip.mp4": _STREAM
    + "test_a_video_is_watched_and_its_answers_marked_logged_and_shown",
    ".venv/bin/sightline stream battery_faults rtsp://192.168.1.20/ir": _STREAM
    + "test_a_camera_is_watched_beyond_its_losses",
    ".venv/bin/sightline reproduce pv_hotspots@3": _CLI + "test_a_version_can_be_made_again",
    ".venv/bin/sightline data fetch pv_hotspots": _CLI + "test_fetching_without_a_network_is_told_in_one_line",
    ".venv/bin/dvc status": _STAGES + "test_a_second_time_nothing_is_done",
    ".venv/bin/dvc repro": _STAGES + "test_a_second_time_nothing_is_done",
    ".venv/bin/dvc metrics diff": _STAGES + "test_new_data_run_everything_again_and_going_back_runs_nothing",
    ".venv/bin/dvc exp run --temp -S pv_hotspots.seed=21": _STAGES + "test_an_experiment_with_another_parameter",
    "git checkout v0.1.0": _STAGES + "test_new_data_run_everything_again_and_going_back_runs_nothing",
    ".venv/bin/dvc checkout": _STAGES + "test_new_data_run_everything_again_and_going_back_runs_nothing",
    "make bento": _BENTO + "test_a_bento_holds_the_lock_and_no_data",
    'PATH="$PWD/.tools/uv/bin:$PATH" .venv/bin/python -m bentoml list': _BENTO + "test_a_bento_is_found_by_its_name",
    'cp -r "$(COLUMNS=1000 .venv/bin/python -m bentoml get pv_hotspots:latest -o path)" bento': _BENTO
    + "test_a_bento_is_found_by_its_name",
    "uv venv clean &&": _BENTO + "test_a_bento_runs_in_an_environment_of_its_own",
    "SIGHTLINE_ROOT=/srv/sightline": _BENTO + "test_a_bento_runs_in_an_environment_of_its_own",
    "cp -r docs/tutorial/bright_spots": _TUTORIAL,
    '"bright_spots":': _TUTORIAL,
    ".venv/bin/sightline stages": _TUTORIAL,
    ".venv/bin/sightline data sample bright_spots": _TUTORIAL,
    ".venv/bin/sightline run bright_spots": _TUTORIAL,
    ".venv/bin/sightline predict bright_spots": _TUTORIAL,
    ".venv/bin/sightline lineage bright_spots@champion": _TUTORIAL,
}
"""How a line begins -> the test that runs it, or what it calls, already."""

STANDS_FOR = {
    "--bbox=-5.46,36.11,-5.40,36.15 --provider esri --out": "--bbox={bbox} --provider folder --tiles {tiles} --out",
    '[-5.46, 36.11, -5.40, 36.15], "provider": "esri", "wait_s"': '[{bbox}], "provider": "folder", "wait_s"',
    ".venv/bin/dvc": "{programs}/dvc",
    "curl ": "curl --fail-with-body -sS ",
    "http://127.0.0.1:3000": "{endpoint}",
    "@harbour.png": "@{picture}",
    "$ID": "{area}",
    "~/thermograms": "{labelled}",
    "~/export-week-32": "{labelled}",
    "~/export-corrected": "{corrected}",
    "~/labelled": "{labelled}",
    "~/flight": "{flight}",
    "~/backups/2026-11-27": "{backup}",
    "../shared-data": "{remote}",
}
"""What a page says -> what is typed in its place. Nothing is asked of the network: `esri` becomes a folder of tiles,
where tiles are fetched."""

TYPED_AS_THEY_STAND = {
    *("report", "port", "pv_hotspots@2", "pv_hotspots@champion", "esri", "folder", "--bbox=-5.46,36.11,-5.40,36.15"),
    *("irradiance_w_per_m2=850", "calibrated=1", "checked on 40 images by eye"),
}
"""Words of `sightline` lines that are neither commands, options nor tasks, and need nothing in their place."""

TYPED_INTO_A_SHELL = ("curl ", "export ", "{programs}/dvc plots diff")
"""How other lines begin that are typed too."""


def unknown(written: Written, commands: Container[str]) -> list[str]:
    """What of it this module does not know how to type."""
    text = with_stand_ins(written.text, {})
    if run_elsewhere(written) or written.python or text.startswith(TYPED_INTO_A_SHELL):
        return ["127.0.0.1:3000"] if "127.0.0.1:3000" in text else []
    words = [word for word in shlex.split(text, comments=True) if not re.match(r"[A-Z_]+=", word)]
    if words[0] != ".venv/bin/sightline":
        return [text]
    command = next((" ".join(words[1:n]) for n in (3, 2) if " ".join(words[1:n]) in commands), "")
    left = words[1 + len(command.split()) :]
    known = {*TASKS, *TYPED_AS_THEY_STAND}
    return [w for w in left if w not in known and "{" not in w and not (w.startswith("-") and "=" not in w)]


def task_of(written: Written) -> str:
    """In whose checkout it is typed."""
    if "curl" in written.text or " aoi " in written.text:
        return "ships"
    return next((task for task in TASKS if task in written.text), "pv_hotspots")


def run_elsewhere(written: Written) -> str | None:
    """The test that does it already."""
    text = written.text.strip()
    return next((test for start, test in RUN_ELSEWHERE.items() if re.match(re.escape(start) + r"(\s|$)", text)), None)


def with_stand_ins(text: str, places: dict[str, str]) -> str:
    """The line as it is typed."""
    for said, meant in STANDS_FOR.items():
        text = text.replace(said, meant)
    for name, place in places.items():
        text = text.replace(f"{{{name}}}", place)
    return text


class Reader:
    """Somebody with a checkout, labelled data and pictures of a task, who types what the pages tell."""

    def __init__(self, checkout: Checkout, task: str, folder: Path) -> None:
        self.checkout, self.task, self.folder = checkout, task, folder
        first = checkout.folder / "data" / task / "sample"
        # The very data that another test of this checkout may have added: other ones would have the same names.
        tiny_task(task, seed=12).sample(folder / "labelled", Silent())
        shutil.copytree(first, folder / "corrected")
        manifest = tiny_task(task).load(first)
        (folder / "flight").mkdir()
        for sample in manifest.samples[:2]:
            shutil.copy2(manifest.path(sample), folder / "flight")
        self.places = {name: str(folder / name) for name in ("labelled", "corrected", "flight", "backup", "remote")}
        self.places |= {"picture": str(min((folder / "flight").iterdir()))}
        self.places |= {"tiles": str(folder / "tiles"), "bbox": ",".join(map(str, bbox(2)))}
        self.places |= {"programs": str(checkout.programs)}
        if task == "ships":
            draw_tiles(folder / "tiles", 2)

    def prepare(self) -> None:
        """A champion, and answers of two versions with other columns as if given two days ago."""
        self.checkout.type("promote", f"{self.task}@1", "--reason", "a test")
        self.checkout.type("predict", self.task, self.places["flight"], "--log")
        predictions = Predictions(self._database())
        given = list(predictions.given(self.task))
        then_s = time.time() - 2 * 86400
        predictions.log([replace(answer, time_s=then_s, id=new_id()) for answer in given])
        other = {"time_s": then_s, "version": 99, "row": {"output_new": "text", "output_n": 0.5}}
        predictions.log([replace(a, **other, id=new_id()) for a in given])
        np.zeros((512, 640), np.float32).tofile(self.checkout.folder / "DJI_0001_T.raw")

    def _database(self) -> Database:
        return Database(Settings(root=self.checkout.folder).database_url)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """While `sightline serve` runs; it leaves nothing behind."""
        with self.checkout.serving(SIGHTLINE_TILES=self.places["tiles"]) as endpoint:
            self.places["endpoint"] = f"http://127.0.0.1:{endpoint.port}"
            yield

    def type(self, written: Written) -> None:
        """Run it; whatever ends otherwise than well fails the test with what was said.

        Python is run in this process, for the sake of time.
        """
        if "$ID" in written.text:  # the area that the page has just asked for
            self.places["area"] = Queue(self._database()).recent(self.task, 1)[0].id
        text = with_stand_ins(written.text, self.places)
        if written.python:
            with self._here():
                exec(compile(text, written.page, "exec"), {})
            return
        words = shlex.split(text, comments=True)
        settings = dict(word.split("=", 1) for word in takewhile(lambda word: "=" in word, words))
        if words[len(settings)] == ".venv/bin/sightline":
            fresh = Checkout(self.folder / "clone", self.checkout.shared).folder if "restore" in words else None
            self.checkout.type(*words[len(settings) + 1 :], folder=fresh, **settings)
            return
        with self._here():
            done = subprocess.run(["bash", "-ec", text], capture_output=True, text=True, check=False)
        said = f"{written}\n{text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert done.returncode == 0, said
        assert "No such file" not in done.stderr, said  # what `export A="$(cat FILE)"` ends well with

    @contextlib.contextmanager
    def _here(self) -> Iterator[None]:
        """In the checkout, with nothing of the outside's settings."""
        with (
            contextlib.chdir(self.checkout.folder),
            mock.patch.dict(os.environ, self.checkout.environment(), clear=True),
        ):
            yield
