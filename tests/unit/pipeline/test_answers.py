from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sightline.errors import BackendError
from sightline.pipeline.answers import export_closed_days, file_of
from sightline.stores.database import Database
from sightline.stores.predictions import Answer, Predictions

MONDAY = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
DAY = 86400.0


def answer(number: int, time_s: float, version: int = 1, **row: float | str) -> Answer:
    embedding = np.array([number, 0.5], dtype=np.float32)
    return Answer("toy", version, f"sha{number}", f"{number}.png", {"output_n": number, **row}, embedding, time_s)


@pytest.fixture
def log(tmp_path: Path) -> Predictions:
    return Predictions(Database(f"sqlite:///{tmp_path}/ledger.sqlite"))


def export(log: Predictions, tmp_path: Path, now_s: float) -> list[str]:
    folder = tmp_path / "predictions"
    return [path.relative_to(folder).as_posix() for path in export_closed_days(log, "toy", folder, now_s)]


def read(tmp_path: Path, day: str, version: int = 1) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(
        file_of(tmp_path / "predictions", "toy", day, version), partitioning=None
    ).to_pylist()
    return rows


def test_a_closed_day_is_written_by_version_and_reads_back_as_it_was_logged(log: Predictions, tmp_path: Path) -> None:
    ids = log.log([answer(1, MONDAY), answer(2, MONDAY + DAY - 0.001, version=2), answer(3, MONDAY + DAY)])
    written = export(log, tmp_path, MONDAY + DAY + 1)
    assert written == ["task=toy/day=2026-03-02/version=1.parquet", "task=toy/day=2026-03-02/version=2.parquet"]
    (row,) = read(tmp_path, "2026-03-02")
    assert row == {
        "id": ids[0],
        "time": datetime(2026, 3, 2, tzinfo=UTC),
        "version": 1,
        "sha256": "sha1",
        "source": "1.png",
        "stream": None,
        "frame": None,
        "answers": 1,
        "output_n": 1,
        "embedding": [1.0, 0.5],
    }


def test_a_day_of_many_answers_is_written_page_by_page(log: Predictions, tmp_path: Path) -> None:
    log.log([answer(n, MONDAY + n, input_late="text" if n == 2499 else 0.5) for n in range(2500)])
    (name,) = export(log, tmp_path, MONDAY + 2 * DAY)
    file = pq.ParquetFile(tmp_path / "predictions" / name)
    assert (file.metadata.num_rows, file.num_row_groups) == (2500, 3)
    column = file.read().column("input_late").to_pylist()  # one type, though only the last page tells which
    assert column == ["0.5"] * 2499 + ["text"]


def test_the_whole_log_reads_as_one_table_with_the_day_as_a_column(log: Predictions, tmp_path: Path) -> None:
    log.log([answer(n, MONDAY + n * DAY / 2, version=1 + n % 2) for n in range(6)])
    export(log, tmp_path, MONDAY + 10 * DAY)
    rows = pq.read_table(tmp_path / "predictions").to_pylist()
    assert sorted((row["task"], str(row["day"]), row["version"]) for row in rows) == [
        ("toy", f"2026-03-0{day}", version) for day in (2, 3, 4) for version in (1, 2)
    ]


def test_today_is_not_closed(log: Predictions, tmp_path: Path) -> None:
    log.log([answer(1, MONDAY + 10)])
    assert export(log, tmp_path, MONDAY + 20) == []


def test_nothing_is_written_twice_but_a_late_answer_is_added(log: Predictions, tmp_path: Path) -> None:
    log.log([answer(1, MONDAY)])
    assert len(export(log, tmp_path, MONDAY + DAY)) == 1
    assert export(log, tmp_path, MONDAY + DAY) == []
    log.log([answer(2, MONDAY + 5)])
    assert len(export(log, tmp_path, MONDAY + DAY)) == 1
    assert [row["output_n"] for row in read(tmp_path, "2026-03-02")] == [1, 2]


def test_what_a_kill_left_behind_is_written_anew(log: Predictions, tmp_path: Path) -> None:
    log.log([answer(1, MONDAY)])
    path = file_of(tmp_path / "predictions", "toy", "2026-03-02", 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 half a file")
    assert len(export(log, tmp_path, MONDAY + DAY)) == 1
    assert len(read(tmp_path, "2026-03-02")) == 1


def test_values_of_several_types_share_a_column(log: Predictions, tmp_path: Path) -> None:
    log.log([answer(1, MONDAY, input_a=1, input_b="iron"), answer(2, MONDAY, input_a=0.5), answer(3, MONDAY)])
    export(log, tmp_path, MONDAY + DAY)
    rows = read(tmp_path, "2026-03-02")
    assert [row["input_a"] for row in rows] == [1.0, 0.5, None]
    assert [row["input_b"] for row in rows] == ["iron", None, None]


def test_a_column_that_is_whole_on_one_day_only_still_reads_as_one_table(log: Predictions, tmp_path: Path) -> None:
    log.log([answer(1, MONDAY, input_a=1), answer(2, MONDAY + DAY, input_a=0.5)])
    export(log, tmp_path, MONDAY + 2 * DAY)
    assert pq.read_table(tmp_path / "predictions")["input_a"].to_pylist() == [1.0, 0.5]


def test_a_folder_that_cannot_be_written_is_told_with_the_file(log: Predictions, tmp_path: Path) -> None:
    log.log([answer(1, MONDAY)])
    (tmp_path / "predictions").write_text("a file where the folder should be")
    with pytest.raises(BackendError, match="safe in the ledger"):
        export(log, tmp_path, MONDAY + DAY)


@pytest.mark.slow
def test_killed_at_any_moment_the_next_export_completes_it(log: Predictions, tmp_path: Path) -> None:
    log.log([answer(n, MONDAY + n * DAY / 4) for n in range(4 * 300)])
    folder = tmp_path / "predictions"
    code = (
        "import sys; from pathlib import Path; from sightline.stores.database import Database;"
        "from sightline.stores.predictions import Predictions;"
        "from sightline.pipeline.answers import export_closed_days;"
        f"export_closed_days(Predictions(Database(sys.argv[1])), 'toy', Path(sys.argv[2]), {MONDAY + 300 * DAY})"
    )
    process = subprocess.Popen([sys.executable, "-c", code, f"sqlite:///{tmp_path}/ledger.sqlite", str(folder)])
    try:
        while process.poll() is None and len(list(folder.rglob("version=*.parquet"))) < 20:
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    done = len(list(folder.rglob("version=*.parquet")))
    assert 20 <= done < 300
    assert len(export(log, tmp_path, MONDAY + 300 * DAY)) == 300 - done
    assert sorted(row["output_n"] for row in pq.read_table(folder).to_pylist()) == list(range(4 * 300))
    assert not list(folder.rglob("*.partial"))
