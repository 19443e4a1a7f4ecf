"""Who is champion: the ledger says so, the registry's aliases follow.

Anybody who reaches MLflow can move an alias, and a kill can come between the ledger's row and the aliases. So the
champion is the version that the last promotion or rollback in the ledger names. Where the registry says otherwise,
the ledger is followed and the difference is told. Only a server that SIGHTLINE_MLFLOW_URI names is believed where the
ledger has no word on the task at all: a bento far from the project has a ledger of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from filelock import FileLock, Timeout

from sightline.errors import BackendError, ModelMissing
from sightline.pipeline.project import Project
from sightline.pipeline.records import Decision, Rollback, enter, read
from sightline.settings import Settings
from sightline.tracking import Registry, Version

if TYPE_CHECKING:
    from sightline.stores.events import Event, Events

_PATIENCE_S = 60.0  # writing a row and moving three aliases takes less than a second


@dataclass(frozen=True)
class Seat:
    """A version that was given a place; `run_id` is empty where the row is older than run ids in the ledger."""

    number: int
    run_id: str = ""

    def fits(self, version: Version) -> bool:
        """Whether this version is meant: a registry that was made anew gives the same numbers again."""
        return version.number == self.number and self.run_id in ("", version.run_id)


@dataclass(frozen=True)
class Standing:
    """What the ledger knows of a task's champions.

    Attributes:
        champion: who answers; None where nobody was promoted.
        previous: whom a rollback brings back.
        before: the champion's number before the last row; the registry still has it where a kill came in between.
        last: the last row; None where the ledger has no word on this task.
    """

    champion: Seat | None = None
    previous: Seat | None = None
    before: int | None = None
    last: Event | None = None


Change = Decision | Rollback
"""What changes places."""

State = Literal["agreed", "lagging", "disputed", "unknown"]


@dataclass(frozen=True)
class Ruling:
    """Who answers, where ledger and registry were both asked.

    Attributes:
        champion: who answers; None: nobody.
        state: agreed; lagging (a kill came before the aliases, the next command moves them); disputed (the alias was
            moved past the ledger, or another registry is there); unknown (the registry has a champion, the ledger no
            word on the task).
        text: what is odd, for people; empty where nothing is.
    """

    champion: Seat | None
    state: State
    text: str = ""
    way_out: str = ""


def read_standing(entries: Sequence[Event]) -> Standing:
    """Replay promotions and rollbacks, oldest first."""
    seats: dict[int, Seat] = {}
    standing = Standing()
    for entry in entries:
        change = change_of(entry)
        if isinstance(change, Rollback):
            to = _remember(seats, change.to, change.run_id)
            standing = Standing(to, None, change.left, entry)
        elif change.outcome == "promoted":
            seat = _remember(seats, change.challenger, change.run_id)
            standing = Standing(seat, _seat(seats, change.champion), change.champion, entry)
        else:  # it names the champion that stayed
            standing = Standing(_seat(seats, change.champion), standing.previous, change.champion, entry)
    return standing


def change_of(entry: Event) -> Change:
    """What an entry says of the places. Raises BackendError where it cannot be read."""
    return read(entry, Rollback) if entry.kind == Rollback.kind else read(entry, Decision)


def _seat(seats: dict[int, Seat], number: int | None) -> Seat | None:
    return None if number is None else seats.get(number, Seat(number))


def _remember(seats: dict[int, Seat], number: int, run_id: str) -> Seat:
    seat = Seat(number, run_id or (seats[number].run_id if number in seats else ""))
    seats[number] = seat
    return seat


def standing_of(events: Events, task: str) -> Standing:
    """What the ledger knows of a task's champions.

    Raises:
        BackendError: it cannot be read.
    """
    return read_standing(events.history(task, Decision.kind, Rollback.kind))


def rule(task: str, standing: Standing, alias: int | None, trusted: bool) -> Ruling:
    """Who answers.

    Args:
        task: its name, for the way out.
        standing: what the ledger knows.
        alias: the version that the registry's alias `champion` names.
        trusted: whether the registry is believed where the ledger has no word on the task.
    """
    if standing.last is None:
        return _rule_by_registry(task, alias, trusted)
    champion = standing.champion
    number = None if champion is None else champion.number
    if alias == number:
        return Ruling(champion, "agreed")
    known = "names none, and none is served" if number is None else f"names version {number}, which is served"
    named = "names no champion" if alias is None else f"names version {alias} champion"
    text = f"the registry {named}, but the ledger {known}"
    if alias == standing.before:
        way_out = f"A command was interrupted; run `sightline run {task}` to complete it."
        return Ruling(champion, "lagging", text, way_out)
    wanted = number if alias is None else alias
    return Ruling(champion, "disputed", text, "" if wanted is None else _confirm(task, wanted, number))


def _rule_by_registry(task: str, alias: int | None, trusted: bool) -> Ruling:
    """Who answers where the ledger has no word on the task."""
    if alias is None or trusted:
        return Ruling(None if alias is None else Seat(alias), "agreed")
    text = (
        f"the registry names version {alias} champion, but the ledger has no promotion of {task}: no version is served"
    )
    return Ruling(None, "unknown", text, _confirm(task, alias))


def _confirm(task: str, number: int, instead: int | None = None) -> str:
    back = "" if instead in (None, number) else f", `sightline promote {task}@{instead} --reason WHY` puts it back"
    return f"`sightline promote {task}@{number} --reason WHY` makes {number} champion{back}."


def ruling_of(project: Project, tracking: Registry) -> Ruling:
    """Who answers for a task of this project."""
    alias = tracking.current(project.name, "champion")
    return rule(project.name, standing_of(project.events, project.name), alias, is_trusted(project.settings))


def is_trusted(settings: Settings) -> bool:
    """Whether the registry is believed without the ledger: a server that the user named, not `mlruns/`."""
    return bool(settings.mlflow_uri)


def champion_version(project: Project, tracking: Registry) -> Version:
    """The version that answers.

    Raises:
        ModelMissing: nobody is champion, or the registry does not have the one that was promoted.
        BackendError: MLflow or the ledger cannot be asked.
    """
    ruling = ruling_of(project, tracking)
    if ruling.champion is None:
        raise no_champion(project.name, ruling)
    return seated(tracking, project.name, ruling.champion)


def no_champion(task: str, ruling: Ruling) -> ModelMissing:
    """Why nobody answers, and the way out."""
    if ruling.text:
        return ModelMissing(ruling.text, where=task, way_out=ruling.way_out)
    return ModelMissing(f"{task} has no champion", way_out=f"Run `sightline run {task}` first.")


def seated(tracking: Registry, task: str, seat: Seat) -> Version:
    """The registered version of a seat.

    Raises:
        ModelMissing: the registry does not have it: it is another one, or an older copy.
    """
    found = find_seated(tracking, task, seat)
    if found is None:
        raise ModelMissing(
            f"version {seat.number}, which was promoted, is not in this registry",
            where=task,
            way_out=(
                f"Restore mlruns/ and state/ from the same backup, or choose a champion again: `sightline run {task}`."
            ),
        )
    return found


def find_seated(tracking: Registry, task: str, seat: Seat | None) -> Version | None:
    """The registered version of a seat; None where the registry does not have it."""
    if seat is None:
        return None
    return next((version for version in tracking.versions(task) if seat.fits(version)), None)


# ------------------------------------------------------------------------------------------------ changing places


@contextmanager
def champion_locked(settings: Settings, task: str) -> Iterator[None]:
    """Hold the lock under which champions change: one process, one thread at a time.

    Raises:
        BackendError: another one holds it for a minute, or it cannot be written.
    """
    folder = settings.state / "locks"
    lock = FileLock(folder / f"{task}.champion.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout as error:
        raise BackendError(
            "another process is changing the champion", where=lock.lock_file, way_out="Try again in a few seconds."
        ) from error
    except OSError as error:
        raise BackendError(
            f"the lock cannot be written ({error.strerror})",
            where=lock.lock_file,
            way_out="Free some space on the disk, and check that you may write to this folder.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def change_champion(project: Project, tracking: Registry, change: Change) -> None:
    """Enter a change in the ledger, then let the registry follow: what a kill cuts short, `complete` makes up for.

    Hold the lock.
    """
    enter(project.events, project.name, change)
    _follow(tracking, project.name, change)


def complete(project: Project, tracking: Registry) -> bool:
    """Let the registry follow the last row, unless its alias was moved past the ledger; whether it had lagged behind.

    Hold the lock. Safe to repeat.
    """
    last, ruling = standing_of(project.events, project.name).last, ruling_of(project, tracking)
    if last is None or ruling.state == "disputed":
        return False
    _follow(tracking, project.name, change_of(last))
    return ruling.state == "lagging"


def _follow(tracking: Registry, task: str, change: Change) -> None:
    """Move aliases and tags as a change says. A registry that does not have its version is left alone."""
    versions = {version.number: version for version in tracking.versions(task)}
    number = change.to if isinstance(change, Rollback) else change.challenger
    if number not in versions or not Seat(number, change.run_id).fits(versions[number]):
        return
    if isinstance(change, Rollback):
        _follow_rollback(tracking, change, versions)
    else:
        _follow_decision(tracking, change, versions)


def _follow_rollback(tracking: Registry, change: Rollback, versions: Mapping[int, Version]) -> None:
    task = versions[change.to].task
    if change.left is not None and change.left in versions and change.left != change.to:
        left = versions[change.left]
        tracking.tag(left, {"decision": "rolled back", "reasons": f"version {change.to} is champion again"})
        tracking.set_alias(task, "challenger", left.number)
    tracking.set_alias(task, "champion", change.to)
    tracking.delete_alias(task, "previous")


def _follow_decision(tracking: Registry, change: Decision, versions: Mapping[int, Version]) -> None:
    number = change.challenger
    task = versions[number].task
    tracking.tag(versions[number], {"decision": change.outcome, "reasons": "; ".join(change.reasons)})
    if change.outcome != "promoted":
        tracking.set_alias(task, "challenger", number)
        return
    if change.champion is not None and change.champion in versions:
        tracking.set_alias(task, "previous", change.champion)
    tracking.set_alias(task, "champion", number)
    if tracking.current(task, "challenger") == number:
        tracking.delete_alias(task, "challenger")
