"""Promotion: when a new model may answer for the old one. The ledger says who does and why, the registry follows.

One of the candidates is put forward (`choice`). It becomes champion if

1. the figure of the choice is above the floor,
2. it beats the champion on the same samples, and the one-sided bound of the difference lies above -margin,
3. it does not cost more time than a set multiple of the champion's.

Otherwise it stays challenger: `undecided` is an answer. Samples that the champion was trained on are evaluated by its
stored out-of-fold rows, never by a rerun.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BackendError, DataMissing, ModelMissing
from sightline.evaluation import evaluated_rows, seen_inputs
from sightline.params import PromotionParams
from sightline.pipeline.choice import RULE, Choice, choose
from sightline.pipeline.evaluate import measure_latency
from sightline.pipeline.project import Project
from sightline.pipeline.records import Decision, Numbers, Outcome, Rollback
from sightline.pipeline.standing import (
    Seat,
    champion_locked,
    change_champion,
    change_of,
    complete,
    find_seated,
    ruling_of,
    seated,
    standing_of,
)
from sightline.resampling import Difference, paired_difference
from sightline.task import Json, Progress, Row, Rows
from sightline.tracking import Registry, Version

_TRIES = 5  # how often a comparison is made anew because the champion changed meanwhile


def promote_best(project: Project, tracking: Registry, challengers: Sequence[Version], progress: Progress) -> Decision:
    """Choose among the candidates' versions, and let the chosen one become champion if it may.

    Safe to repeat: a decision about the same challenger and champion is not taken twice. Comparing takes its time, so
    it is done without the lock, and anew where a person promoted or rolled back meanwhile.

    Raises:
        ModelMissing: there is no version.
        BackendError: the champion changed again and again.
    """
    choice = choose(project, tracking, challengers)
    for _ in range(_TRIES):
        with champion_locked(project.settings, project.name):
            lagged = complete(project, tracking)
            last = standing_of(project.events, project.name).last
        champion, remarks = _champion(project, tracking)
        known = _known_decision(project, choice, champion, lagged)
        if known is not None:
            return known
        decision = _compare(project, tracking, choice, champion, progress)
        decision = decision.model_copy(update={"reasons": (*decision.reasons, *remarks)})
        with champion_locked(project.settings, project.name):
            if standing_of(project.events, project.name).last == last:
                change_champion(project, tracking, decision)
                return decision
    raise BackendError(
        "the champion changed during the comparison",
        where=project.name,
        way_out="Run the command again when the other one has ended.",
    )


def _champion(project: Project, tracking: Registry) -> tuple[Version | None, tuple[str, ...]]:
    """Whom a challenger must beat, and what is odd about that."""
    ruling = ruling_of(project, tracking)
    champion = find_seated(tracking, project.name, ruling.champion)
    if ruling.champion is not None and champion is None:
        lost = f"version {ruling.champion.number}, which is champion in the ledger, is not in this registry"
        return None, (lost,)
    return champion, (ruling.text,) if ruling.text else ()


def _known_decision(project: Project, choice: Choice, champion: Version | None, lagged: bool) -> Decision | None:
    """What needs no comparison: it was decided before, it is the champion, or a person took it back."""
    earlier = _last_decision(project, choice.version)
    if earlier is not None and lagged:  # a kill came between the ledger and the aliases
        return earlier
    if champion is not None and champion.number == choice.version.number:
        return _decision(choice, "unchanged", champion, ["the version is the champion already"], Numbers())
    if earlier is not None and _still_holds(project, earlier, choice, champion):
        return earlier
    if _was_rolled_back(project, choice.version):
        reason = "the version was rolled back; only `sightline promote` makes it champion again"
        return _decision(choice, "refused", champion, [reason], Numbers())
    return None


def _still_holds(project: Project, earlier: Decision, choice: Choice, champion: Version | None) -> bool:
    """Whether a decision on a challenger was made against this champion, by this rule, after the same choice."""
    number = None if champion is None else champion.number
    return (
        earlier.champion == number
        and earlier.numbers.rule == promotion_rule(project)
        and choice.record.same(earlier.choice)
    )


def promotion_rule(project: Project) -> dict[str, Json]:
    """By what a decision is taken; one that was taken by another rule is taken again."""
    return {"choice": RULE, "candidates": list(project.params.candidates), **project.params.promotion.model_dump()}


def _last_decision(project: Project, challenger: Version) -> Decision | None:
    """The ledger's decision on this challenger, if it was the latest thing that happened to the aliases."""
    last = standing_of(project.events, project.name).last
    decision = None if last is None else change_of(last)
    return decision if isinstance(decision, Decision) and _is_about(decision, challenger) else None


def _is_about(decision: Decision, version: Version) -> bool:
    return Seat(decision.challenger, decision.run_id).fits(version)


def _was_rolled_back(project: Project, version: Version) -> bool:
    """Whether the last word on a version in the ledger is that it was rolled back."""
    for entry in reversed(project.events.history(project.name, Decision.kind, Rollback.kind)):
        change = change_of(entry)
        if isinstance(change, Rollback) and change.left == version.number:
            return True
        if isinstance(change, Decision) and _is_about(change, version):
            return False
    return False


def _decision(
    choice: Choice, outcome: Outcome, champion: Version | None, reasons: Sequence[str], numbers: Numbers
) -> Decision:
    return Decision(
        task=choice.version.task,
        outcome=outcome,
        challenger=choice.version.number,
        champion=None if champion is None else champion.number,
        reasons=(*choice.reasons, *reasons),
        numbers=numbers,
        run_id=choice.version.run_id,
        choice=choice.record,
    )


def _compare(
    project: Project, tracking: Registry, choice: Choice, champion: Version | None, progress: Progress
) -> Decision:
    how, figure = project.params.promotion, choice.figure
    numbers = Numbers(metric=how.metric, set=choice.record.sets[0], challenger=figure, rule=promotion_rule(project))
    if not figure.value >= how.floor:
        reason = f"{how.metric} {figure.value:.3f} is below the floor of {how.floor:.3f}"
        return _decision(choice, "refused", champion, [reason], numbers)
    above = f"{how.metric} {figure.value:.3f} is above the floor of {how.floor:.3f}"
    if champion is None:
        return _decision(choice, "promoted", None, [above, "there was no champion"], numbers)
    difference = compare_rows(project, tracking, choice.rows, champion, progress)
    latency = _latency(project, tracking, choice.version, champion)
    numbers = numbers.model_copy(update={"difference": difference, "latency_ms": latency})
    outcome, reasons = weigh(how, difference, latency["challenger"] / latency["champion"])
    return _decision(choice, outcome, champion, [above, *reasons], numbers)


def weigh(how: PromotionParams, difference: Difference, latency_ratio: float) -> tuple[Outcome, list[str]]:
    """The rule, by itself: what follows from a paired difference and the ratio of latencies."""
    reasons = [
        f"the difference to the champion is {difference.value:+.3f} on the same {difference.n} samples",
        f"its one-sided {how.confidence:.0%} bound is {difference.lower_bound:+.3f} (allowed: > {-how.margin:+.3f})",
        f"a prediction takes {latency_ratio:.2f} times the champion's time (allowed: {how.latency_ratio:.2f})",
    ]
    better = difference.value > 0 and difference.lower_bound > -how.margin
    return ("promoted" if better and latency_ratio <= how.latency_ratio else "undecided"), reasons


def compare_rows(project: Project, tracking: Registry, rows: Rows, champion: Version, progress: Progress) -> Difference:
    """The paired difference of challenger and champion on `rows`, which are the challenger's.

    Raises:
        DataMissing: the champion was trained on all samples of these rows.
    """
    how = project.params.promotion
    others = champion_rows(project, tracking, champion, rows, progress)
    paired = [(row, others[row.key]) for row in rows if row.key in others]
    if not paired:
        raise DataMissing(
            "champion and challenger have no sample in common that the champion was not trained on",
            where=str(champion),
            way_out="Add labelled samples that the champion was not trained on: `sightline data add`.",
        )

    def score(rows: Rows, weights: NDArray[np.float64]) -> float:
        return project.task.score(rows, weights)[how.metric]

    mine, theirs = [row for row, _ in paired], [row for _, row in paired]
    return paired_difference(mine, theirs, score, how.confidence, project.params.seed)


def champion_rows(
    project: Project, tracking: Registry, champion: Version, wanted: Rows, progress: Progress
) -> dict[str, Row]:
    """Key -> the champion's row: stored where it has one, evaluated anew where it has not seen the sample.

    A sample it was trained on and has no out-of-fold row for is left out.
    """
    evaluation = tracking.evaluation(champion)
    stored = {(row.key, row.sha256): row for row in evaluated_rows(evaluation)}
    seen = seen_inputs(evaluation)
    rows = {row.key: stored[row.key, row.sha256] for row in wanted if (row.key, row.sha256) in stored}
    fresh = {row.key for row in wanted if row.key not in rows and row.sha256 not in seen}
    manifest = project.load().where(lambda s: s.key in fresh)
    if len(manifest):
        model = project.task.restore(tracking.directory(champion))
        rows |= {row.key: row for row in project.task.evaluate(model, manifest, progress)}
    return rows


def _latency(project: Project, tracking: Registry, challenger: Version, champion: Version) -> dict[str, float]:
    """Milliseconds an input for both, measured in turns on the same inputs."""
    rows = evaluated_rows(tracking.evaluation(challenger))
    wanted = {row.key for row in rows[:8]}
    manifest = project.load().where(lambda s: s.key in wanted)
    models = {
        "challenger": project.task.restore(tracking.directory(challenger)),
        "champion": project.task.restore(tracking.directory(champion)),
    }
    sources = [project.task.source(manifest, sample) for sample in manifest.samples]
    return measure_latency(models, sources, project)


def promote_by_hand(project: Project, tracking: Registry, ref: str, reason: str) -> Decision:
    """Make a version champion because someone says so; the ledger keeps the reason."""
    version, name = tracking.version(project.name, ref), project.name
    with champion_locked(project.settings, name):
        complete(project, tracking)
        champion = find_seated(tracking, name, ruling_of(project, tracking).champion)
        number = None if champion is None else champion.number
        if number == version.number and standing_of(project.events, name).last is not None:
            tracking.set_alias(name, "champion", version.number)  # it may have been moved past the ledger
            return Decision(
                task=name,
                outcome="unchanged",
                challenger=version.number,
                champion=number,
                reasons=("the version is the champion already",),
            )
        decision = Decision(
            task=name,
            outcome="promoted",
            challenger=version.number,
            champion=None if number == version.number else number,
            reasons=(f"by hand: {reason}",),
            run_id=version.run_id,
        )
        change_champion(project, tracking, decision)
    return decision


def restore_previous(project: Project, tracking: Registry) -> Version:
    """Give the champion's place back to the version that had it before.

    Raises:
        ModelMissing: there is no previous champion, or the registry does not have it.
    """
    name = project.name
    with champion_locked(project.settings, name):
        complete(project, tracking)
        standing = standing_of(project.events, name)
        if standing.previous is None:
            raise ModelMissing(
                "the ledger has no earlier champion",
                where=name,
                way_out=(
                    f"Choose a version of `sightline models {name}` and run `sightline promote {name}@N --reason WHY`."
                ),
            )
        previous = seated(tracking, name, standing.previous)
        champion = None if standing.champion is None else standing.champion.number
        change_champion(project, tracking, Rollback(left=champion, to=previous.number, run_id=previous.run_id))
    return tracking.version(name, str(previous.number))
