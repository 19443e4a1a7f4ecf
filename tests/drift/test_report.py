"""Evidently itself: its figures, its report, and the report of a watch as it is stored."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from sightline.drift.comparison import Observation
from sightline.drift.report import compare, evidently_report
from tests.parameters import platform_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def observations(tag: str, count: int, level: float, palette: str) -> list[Observation]:
    rng = np.random.default_rng(len(tag))
    return [
        Observation(
            f"{tag} {n}.jpg",
            f"{tag}{n}",
            f"{tag}{n}",
            {
                "input_level": float(rng.normal() + level),
                "input_gain": 1.0,
                "input_noise": float(rng.normal()) if n % 7 else float("nan"),
                "input_palette": palette,
                "output_boxes": int(rng.poisson(4)),
            },
            rng.normal(size=8),
        )
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watch") / "report"


@pytest.fixture(scope="module")
def found(folder: Path):
    reference, current = observations("reference", 120, 0.0, "iron"), observations("current", 40, 4.0, "rainbow")
    return compare(reference, current, platform_params().watch, 1, folder)


def test_the_verdict_rests_on_what_evidently_computes(found, folder: Path) -> None:
    assert found.state == "drift"
    assert {change.name for change in found.changes if change.moved} == {"input_level", "input_palette"}
    assert {change.name for change in found.changes} == {
        "embedding",
        "input_gain",
        "input_level",
        "input_noise",
        "input_palette",
        "output_boxes",
    }
    document = json.loads((folder / "evidently.json").read_text())
    failed = {test["name"].rsplit(" ", 1)[-1] for test in document["tests"] if test["status"] == "FAIL"}
    assert {"input_level", "input_palette"} <= failed
    assert not {"input_gain", "input_noise", "output_boxes"} & failed


def test_the_pages_need_no_network(found, folder: Path) -> None:
    for name in ("index.html", "evidently.html"):
        text = (folder / name).read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|img|iframe)[^>]+src=[\"']?https?:", text)
        assert not re.findall(r"<link[^>]+href=[\"']?https?:", text)
    index = (folder / "index.html").read_text(encoding="utf-8")
    for target in re.findall(r'href="([^"]+)"', index):
        assert (folder / target).is_file()


def test_the_p_values_are_those_of_scipy(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    reference = pd.DataFrame({"a": rng.normal(size=90), "b": rng.poisson(3, 90).astype(float)})
    current = pd.DataFrame({"a": rng.normal(0.4, 1, 30), "b": rng.poisson(3, 30).astype(float)})
    found = evidently_report(reference, current, 0.01, tmp_path)
    assert found == pytest.approx({name: ks_2samp(reference[name], current[name]).pvalue for name in reference})
