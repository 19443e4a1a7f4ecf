"""The list of images to label is opened in a spreadsheet."""

from __future__ import annotations

from sightline.pipeline.labels import table_of
from sightline.pipeline.records import DriftedInput


def test_no_name_of_an_upload_becomes_a_formula() -> None:
    names = ('=HYPERLINK("http://a.example";"x")', "@SUM(1)", "-1.png", "a.png", "")
    lines = table_of([DriftedInput(name=name, sha256="ab") for name in names]).splitlines()
    assert lines[0] == "rank,image,sha256"
    assert [line.split(",")[1].strip('"')[0:2] for line in lines[1:]] == ["'=", "'@", "'-", "a.", ""]
