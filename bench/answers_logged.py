"""Answers logged a second: the store of predictions against plain sqlite3, as a user would write it by hand.

    .venv/bin/python -m bench.answers_logged

Both sides put the same rows on disk (WAL, synchronous=FULL, a connection for each transaction): one writer with one
answer a transaction, and 32 clients of an endpoint's batcher, which logs what has come together in one transaction. The
sides take turns; prints a table of medians and writes build/bench/answers_logged.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np

from sightline.cli.show import table
from sightline.files import write_json
from sightline.serving.batching import Batcher, Batching, Threads
from sightline.settings import load_settings
from sightline.stores.database import Database
from sightline.stores.ids import new_id
from sightline.stores.predictions import Answer, Predictions
from sightline.task import Json

EMBEDDING = np.zeros(512, dtype=np.float32)
ROW = {f"input_{name}": 0.5 for name in ("mean", "std", "edges")} | {"output_count": 3, "output_score": 0.91}
BATCHING = Batching(batch=8, lanes=2)

Log = Callable[[Sequence[Answer]], Sequence[str]]


def answer(number: int) -> Answer:
    """An answer as an endpoint logs it."""
    return Answer("toy", 1, f"{number:064x}", f"{number}.png", ROW, EMBEDDING)


def by_hand(path: Path) -> Log:
    """A table and an insert."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as tables:
        tables.execute("PRAGMA journal_mode=WAL")
        tables.execute(
            "CREATE TABLE answers (id TEXT PRIMARY KEY, time_s REAL, task TEXT, version INTEGER, sha256 TEXT,"
            " source TEXT, row TEXT, embedding BLOB)"
        )
        tables.execute("CREATE INDEX answers_by_time ON answers (task, version, time_s)")

    def log(answers: Sequence[Answer]) -> list[str]:
        rows = [
            (new_id(), a.time_s, a.task, a.version, a.sha256, a.source, json.dumps(a.row), a.embedding.tobytes())
            for a in answers
        ]
        with closing(sqlite3.connect(path, timeout=30)) as tables, tables:
            tables.execute("PRAGMA synchronous=FULL")
            tables.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        return [row[0] for row in rows]

    return log


def in_store(path: Path) -> Log:
    """The prediction log."""
    predictions = Predictions(Database(f"sqlite:///{path}"))
    predictions.log([answer(0)])  # the tables are made
    return predictions.log


def one_writer(log: Log, seconds: float) -> float:
    """Answers a second, one a transaction."""
    start_s, number = time.perf_counter(), 0
    while time.perf_counter() - start_s < seconds:
        log([answer(number)])
        number += 1
    return number / (time.perf_counter() - start_s)


def clients(log: Log, seconds: float, count: int) -> float:
    """Answers a second of so many clients, each with one request at a time, through an endpoint's batcher."""

    async def session(calls: ThreadPoolExecutor, finishing: ThreadPoolExecutor) -> float:
        batcher: Batcher[int, str] = Batcher(
            lambda items: ["" for _ in items],
            lambda items, _: log([answer(item) for item in items]),
            lambda _: 0,
            lambda: 0,
            0.005,
            Threads(calls, finishing),
        )
        batcher.use(BATCHING)
        start_s, done = time.perf_counter(), 0

        async def client() -> None:
            nonlocal done
            while time.perf_counter() - start_s < seconds:
                await batcher.submit(done)
                done += 1

        await asyncio.gather(*(client() for _ in range(count)))
        return done / (time.perf_counter() - start_s)

    with ThreadPoolExecutor(BATCHING.lanes) as calls, ThreadPoolExecutor(1) as finishing:
        return asyncio.run(session(calls, finishing))


def main() -> None:
    """Measure both sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    ways: dict[str, Callable[[Log], float]] = {
        "1 writer": lambda log: one_writer(log, given.seconds),
        "32 clients": lambda log: clients(log, given.seconds, 32),
    }
    found: dict[str, dict[str, list[float]]] = {way: {"by hand": [], "store": []} for way in ways}
    for number in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            sides = {"by hand": by_hand(Path(folder) / "a" / "x.sqlite"), "store": in_store(Path(folder) / "b.sqlite")}
            for way, rate in ways.items():
                for side in sorted(sides, reverse=bool(number % 2)):
                    found[way][side].append(rate(sides[side]))
    rows: list[dict[str, Json]] = []
    for way, rates in found.items():
        ratio = statistics.median(s / h for s, h in zip(rates["store"], rates["by hand"], strict=True))
        rows.append({"": way, **{s: round(statistics.median(r)) for s, r in rates.items()}, "ratio": round(ratio, 2)})
    table("answers a second, on disk", rows)
    write_json(load_settings().build / "bench" / "answers_logged.json", {"rates": found, "rows": rows})


if __name__ == "__main__":
    main()
