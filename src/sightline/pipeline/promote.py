"""Promotion: when a new model may answer for the old one. The registry's aliases say who does, the ledger why.

The winner among the candidates is chosen on validation rows alone. It becomes champion if

1. its figure is above the floor,
2. it beats the champion on the same samples, and the one-sided bound of the difference lies above -margin,
3. it does not cost more time than a set multiple of the champion's.

Otherwise it stays challenger: `undecided` is an answer. Samples that the champion was trained on are judged by its
stored out-of-fold rows, never by a rerun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataMissing, ModelMissing
from sightline.files import finite
from sightline.params import PromotionParams
from sightline.pipeline.judge import headline, main_rows, measure_latency, read_metrics, seen_inputs
from sightline.pipeline.project import Project
from sightline.resampling import Difference, paired_difference
from sightline.task import Json, Report, Row, Rows, load_rows
from sightline.tracking import Tracking, Version

Outcome = Literal["promoted", "undecided", "refused", "unchanged"]


@dataclass(frozen=True)
class Decision:
    """What was decided about a challenger, and on what grounds.

    `numbers` holds the figures the decision rests on, as JSON.
    """

    task: str
    outcome: Outcome
    challenger: int
    champion: int | None
    reasons: tuple[str, ...]
    numbers: Mapping[str, Json]


def promote(project: Project, tracking: Tracking, challengers: Sequence[Version], report: Report) -> Decision:
    """Choose among the candidates' versions, and let the best become champion if it may.

    Safe to repeat: a decision about the same challenger and champion is not taken twice.
    """
    challenger = choose_winner(project, tracking, challengers)
    champion = tracking.current(project.name, "champion")
    earlier = _last_decision(project, challenger.number)
    if earlier is not None and earlier.outcome == "promoted":
        if champion == challenger.number:
            return replace(earlier, outcome="unchanged")
        if champion == earlier.champion:  # a kill came between the ledger and the aliases
            _move_aliases(project, tracking, challenger, earlier)
            return earlier
    if earlier is not None and earlier.champion == champion:
        return earlier
    if champion == challenger.number:
        return _decision(project, "unchanged", challenger, champion, ["it is the champion already"], {})
    if _was_rolled_back(project, challenger.number):
        reason = "it was rolled back; only `sightline promote` brings it back"
        return _decision(project, "refused", challenger, champion, [reason], {})
    decision = _compare(project, tracking, challenger, champion, report)
    _carry_out(project, tracking, challenger, decision)
    return decision


def choose_winner(project: Project, tracking: Tracking, versions: Sequence[Version]) -> Version:
    """The version with the best promotion metric on validation; the first of them where it is undefined."""
    name = project.params.promotion.metric

    def figure(version: Version) -> float:
        found = read_metrics(tracking.evaluation(version))["validation"]["metrics"].get(name, {}).get("value")
        return float("-inf") if found is None else float(found)

    if not versions:
        raise ModelMissing("there is no version to promote", where=project.name, way_out="Run `sightline run` first.")
    return max(versions, key=figure)  # max keeps the first of equals: the order of candidates in params.yaml


def _last_decision(project: Project, challenger: int) -> Decision | None:
    """The ledger's decision on this challenger, if it was the latest thing that happened to the aliases."""
    entries = [e for e in project.ledger.entries(project.name) if e.kind in ("promotion", "rollback")]
    if not entries or entries[-1].kind != "promotion" or entries[-1].document["challenger"] != challenger:
        return None
    document = entries[-1].document
    return Decision(**{**document, "reasons": tuple(document["reasons"])})


def _was_rolled_back(project: Project, number: int) -> bool:
    """Whether the last word on a version in the ledger is that it was rolled back."""
    for entry in reversed(project.ledger.entries(project.name)):
        if entry.kind == "rollback" and entry.document["from"] == number:
            return True
        if entry.kind == "promotion" and entry.document["challenger"] == number:
            return False
    return False


def _decision(
    project: Project,
    outcome: Outcome,
    challenger: Version,
    champion: int | None,
    reasons: Sequence[str],
    numbers: Mapping[str, Json],
) -> Decision:
    return Decision(project.name, outcome, challenger.number, champion, tuple(reasons), finite(dict(numbers)))


def _compare(
    project: Project, tracking: Tracking, challenger: Version, champion_number: int | None, report: Report
) -> Decision:
    how = project.params.promotion
    metrics = read_metrics(tracking.evaluation(challenger))
    figure = headline(metrics, how.metric)
    numbers: dict[str, Json] = {"metric": how.metric, "set": metrics["main"][0], "challenger": asdict(figure)}
    if not figure.value >= how.floor:
        reason = f"{how.metric} {figure.value:.3f} is below the floor of {how.floor:.3f}"
        return _decision(project, "refused", challenger, champion_number, [reason], numbers)
    above = f"{how.metric} {figure.value:.3f} is above the floor of {how.floor:.3f}"
    if champion_number is None:
        return _decision(project, "promoted", challenger, None, [above, "there was no champion"], numbers)
    champion = tracking.version(project.name, str(champion_number))
    difference = compare_rows(project, tracking, challenger, champion, report)
    latency = _latency(project, tracking, challenger, champion)
    numbers |= {"difference": asdict(difference), "latency_ms": latency}
    outcome, reasons = weigh(how, difference, latency["challenger"] / latency["champion"])
    return _decision(project, outcome, challenger, champion_number, [above, *reasons], numbers)


def weigh(how: PromotionParams, difference: Difference, latency_ratio: float) -> tuple[Outcome, list[str]]:
    """The rule, by itself: what follows from a paired difference and the ratio of latencies."""
    reasons = [
        f"the difference to the champion is {difference.value:+.3f} on the same {difference.n} samples",
        f"its one-sided {how.confidence:.0%} bound is {difference.lower_bound:+.3f} (allowed: > {-how.margin:+.3f})",
        f"it takes {latency_ratio:.2f} times the champion's time (allowed: {how.latency_ratio:.2f})",
    ]
    better = difference.value > 0 and difference.lower_bound > -how.margin
    return ("promoted" if better and latency_ratio <= how.latency_ratio else "undecided"), reasons


def compare_rows(
    project: Project, tracking: Tracking, challenger: Version, champion: Version, report: Report
) -> Difference:
    """The paired difference on the challenger's test rows of its main sets."""
    how = project.params.promotion
    evaluation = tracking.evaluation(challenger)
    rows = main_rows(load_rows(evaluation / "rows.jsonl"), tuple(read_metrics(evaluation)["main"]))
    others = champion_rows(project, tracking, champion, rows, report)
    paired = [(row, others[row.key]) for row in rows if row.key in others]
    if not paired:
        raise DataMissing(
            "champion and challenger have no sample in common that the champion can be judged on",
            where=str(champion),
            way_out="Add samples that the champion was not trained on.",
        )

    def score(rows: Rows, weights: NDArray[np.float64]) -> float:
        return project.task.score(rows, weights)[how.metric]

    mine, theirs = [row for row, _ in paired], [row for _, row in paired]
    return paired_difference(mine, theirs, score, how.confidence, project.params.seed)


def champion_rows(
    project: Project, tracking: Tracking, champion: Version, wanted: Rows, report: Report
) -> dict[str, Row]:
    """Key -> the champion's row: stored where it has one, judged anew where it has not seen the sample.

    A sample it was trained on and has no out-of-fold row for is left out.
    """
    evaluation = tracking.evaluation(champion)
    stored = {(row.key, row.sha256): row for row in load_rows(evaluation / "rows.jsonl")}
    seen = seen_inputs(evaluation)
    rows = {row.key: stored[row.key, row.sha256] for row in wanted if (row.key, row.sha256) in stored}
    fresh = {row.key for row in wanted if row.key not in rows and row.sha256 not in seen}
    manifest = project.load().where(lambda s: s.key in fresh)
    if len(manifest):
        model = project.task.restore(tracking.directory(champion))
        rows |= {row.key: row for row in project.task.judge(model, manifest, report)}
    return rows


def _latency(project: Project, tracking: Tracking, challenger: Version, champion: Version) -> dict[str, float]:
    """Milliseconds an input for both, measured in turns on the same inputs."""
    rows = load_rows(tracking.evaluation(challenger) / "rows.jsonl")
    wanted = {row.key for row in rows[:8]}
    manifest = project.load().where(lambda s: s.key in wanted)
    models = {
        "challenger": project.task.restore(tracking.directory(challenger)),
        "champion": project.task.restore(tracking.directory(champion)),
    }
    sources = [project.task.source(manifest, sample) for sample in manifest.samples]
    return measure_latency(models, sources, project)


def _carry_out(project: Project, tracking: Tracking, challenger: Version, decision: Decision) -> None:
    """Enter the decision in the ledger, then move the aliases: what a kill cuts short, the next call completes."""
    project.ledger.record("promotion", project.name, asdict(decision))
    _move_aliases(project, tracking, challenger, decision)


def _move_aliases(project: Project, tracking: Tracking, challenger: Version, decision: Decision) -> None:
    tracking.tag(challenger, {"decision": decision.outcome, "reasons": "; ".join(decision.reasons)})
    if decision.outcome != "promoted":
        tracking.set_alias(project.name, "challenger", challenger.number)
        return
    if decision.champion is not None:
        tracking.set_alias(project.name, "previous", decision.champion)
    tracking.set_alias(project.name, "champion", challenger.number)
    if tracking.current(project.name, "challenger") == challenger.number:
        tracking.delete_alias(project.name, "challenger")


def promote_by_hand(project: Project, tracking: Tracking, ref: str, reason: str) -> Decision:
    """Make a version champion because someone says so; the ledger keeps the reason."""
    version = tracking.version(project.name, ref)
    champion = tracking.current(project.name, "champion")
    if champion == version.number:
        return _decision(project, "unchanged", version, champion, ["it is the champion already"], {})
    decision = _decision(project, "promoted", version, champion, [f"by hand: {reason}"], {})
    _carry_out(project, tracking, version, decision)
    return decision


def rollback(project: Project, tracking: Tracking) -> Version:
    """Give the champion's place back to the version that had it before.

    Raises:
        ModelMissing: there is no previous champion.
    """
    previous = tracking.version(project.name, "previous")
    champion = tracking.current(project.name, "champion")
    tracking.set_alias(project.name, "champion", previous.number)
    if champion is not None and champion != previous.number:
        tracking.set_alias(project.name, "challenger", champion)
    tracking.delete_alias(project.name, "previous")
    project.ledger.record("rollback", project.name, {"from": champion, "to": previous.number})
    return tracking.version(project.name, str(previous.number))
