from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sightline.serving.admission import Reservation, Room


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def within(work: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await work()

    return asyncio.run(run())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Visitors:
    """Inputs that want into a room, by name, and in which order they came in."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.inside: dict[str, Reservation] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, seconds: float = 1.0, held_bytes: int = 1) -> None:
        async def enter() -> None:
            self.inside[name] = await self.room.enter(seconds, held_bytes)

        self.tasks[name] = asyncio.create_task(enter())
        await settle()

    async def leave(self, name: str) -> None:
        self.room.leave(self.inside.pop(name))
        await settle()


def test_short_ones_go_before_long_ones_and_nobody_waits_for_ever() -> None:
    async def story() -> list[str]:
        clock = Clock()
        visitors = Visitors(Room(inputs=1, room_bytes=100, lanes=1, now_s=clock))
        await visitors.come("first")
        await visitors.come("long", seconds=30)
        clock.now_s = 10
        await visitors.come("short", seconds=0.1)
        clock.now_s = 31
        await visitors.come("short, but later than the long one's own time", seconds=0.1)
        order = []
        while visitors.inside:
            (name,) = visitors.inside
            order.append(name)
            await visitors.leave(name)
        return order

    assert within(story) == ["first", "short", "long", "short, but later than the long one's own time"]


def test_all_inside_together_hold_no_more_than_there_is() -> None:
    async def story() -> list[list[str]]:
        visitors = Visitors(Room(inputs=8, room_bytes=100, lanes=2))
        seen = []
        for name, held in (("a", 60), ("b", 30), ("c", 40), ("d", 5)):
            await visitors.come(name, held_bytes=held)
        seen.append(sorted(visitors.inside))
        await visitors.leave("a")
        seen.append(sorted(visitors.inside))
        return seen

    assert within(story) == [["a", "b"], ["b", "c", "d"]]  # d would fit, but c is before it


def test_a_place_is_free_when_all_have_let_go() -> None:
    async def story() -> list[bool]:
        visitors = Visitors(Room(inputs=1, room_bytes=100, lanes=1))
        await visitors.come("a")
        visitors.inside["a"].holders += 1  # a thread
        await visitors.come("b")
        kept, inside = visitors.inside["a"], []
        for _ in range(2):
            visitors.room.leave(kept)
            await settle()
            inside.append("b" in visitors.inside)
        return inside

    assert within(story) == [False, True]


@pytest.mark.parametrize("at_once", [False, True])
def test_who_gives_up_waiting_takes_no_place(at_once: bool) -> None:
    async def story() -> bool:
        visitors = Visitors(Room(inputs=1, room_bytes=100, lanes=1))
        await visitors.come("a")
        await visitors.come("b", seconds=1)
        await visitors.come("c", seconds=2)
        if at_once:  # b has been let in, but has not woken up yet
            visitors.room.leave(visitors.inside.pop("a"))
            visitors.tasks["b"].cancel()
        else:
            visitors.tasks["b"].cancel()
            await settle()
            await visitors.leave("a")
        await settle()
        return "c" in visitors.inside

    assert within(story)


def test_the_wait_is_told_by_what_is_before_an_input() -> None:
    async def story() -> tuple[float, float, float]:
        clock = Clock()
        visitors = Visitors(Room(inputs=2, room_bytes=100, lanes=2, now_s=clock))
        idle = visitors.room.wait_s(1)
        for name, seconds in (("a", 10), ("b", 20), ("c", 8)):
            await visitors.come(name, seconds=seconds)
        clock.now_s = 4
        waits = idle, visitors.room.wait_s(1), visitors.room.wait_s(6)
        for task in visitors.tasks.values():
            task.cancel()
        return waits

    assert within(story) == (0.0, (6 + 16) / 2, (6 + 16 + 8) / 2)
