from __future__ import annotations

import os
import threading
import uuid

from hypothesis import given
from hypothesis import strategies as st

from sightline.stores.ids import IdMint, new_id

LATEST_MS = 2**48 - 2


@given(st.lists(st.integers(min_value=0, max_value=LATEST_MS), min_size=1, max_size=50))
def test_each_id_is_larger_than_the_one_before_whatever_the_clock_does(clock: list[int]) -> None:
    times = iter(clock)
    mint = IdMint(lambda: next(times))
    minted = [mint() for _ in clock]
    assert minted == sorted(set(minted))


@given(st.integers(min_value=0, max_value=LATEST_MS), st.binary(min_size=10, max_size=10))
def test_an_id_is_a_uuid_of_version_7_that_begins_with_its_time(now_ms: int, random: bytes) -> None:
    found = uuid.UUID(IdMint(lambda: now_ms, lambda _: random)())
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert found.int >> 80 == now_ms


def test_a_counter_that_runs_over_takes_the_next_millisecond() -> None:
    mint = IdMint(lambda: 1000)
    first = mint()
    mint._counter = 2**42 - 2
    last, beyond = mint(), mint()
    assert first < last < beyond
    assert [uuid.UUID(one).int >> 80 for one in (last, beyond)] == [1000, 1001]


def test_threads_never_mint_the_same() -> None:
    minted: list[list[str]] = [[] for _ in range(8)]
    threads = [threading.Thread(target=lambda own=own: own.extend(new_id() for _ in range(500))) for own in minted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for own in minted for one in own}) == 8 * 500
    assert all(own == sorted(own) for own in minted)


def test_a_fork_mints_others() -> None:
    new_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "".join(new_id() for _ in range(50)).encode())
        os._exit(0)
    own = {new_id() for _ in range(50)}
    os.waitpid(child, 0)
    text = os.read(reading, 50 * 36).decode()
    os.close(reading)
    os.close(writing)
    others = {text[at : at + 36] for at in range(0, len(text), 36)}
    assert len(others) == 50
    assert own & others == set()
