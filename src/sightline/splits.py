"""Which group goes where. Written once, kept in `data/<task>/splits.csv`: a group once assigned never moves.

Groups hang together (frames of one flight, chips of one scene), so whole groups are assigned: the largest first, each
to the part that is then furthest below its share of samples and of strata. No part stays empty while there are groups
enough.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sightline.errors import DataRejected
from sightline.params import DataParams
from sightline.task import Manifest, Sample

COLUMNS = ("set", "group", "split", "fold")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class SplitFold:
    """Where a group was put."""

    split: str
    fold: int


Assignment = dict[tuple[str, str], SplitFold]
"""(set, group) -> place."""


def read_splits(path: Path) -> Assignment:
    """Read splits.csv; empty where there is none yet.

    Raises:
        DataRejected: a line is not what `write_splits` writes.
    """
    if not path.exists():
        return {}
    assignment: Assignment = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise DataRejected(f"the columns are not {', '.join(COLUMNS)}", where=path, way_out=_RESTORE)
        for number, line in enumerate(reader, start=2):
            fold = line["fold"] or ""
            if line["split"] not in SPLITS or not fold.isdecimal():
                raise DataRejected(
                    f"line {number} is not an assignment of a group to a split", where=path, way_out=_RESTORE
                )
            assignment[line["set"], line["group"]] = SplitFold(line["split"], int(fold))
    return assignment


_RESTORE = "Restore the file with `.venv/bin/dvc checkout data.dvc`."


def write_splits(path: Path, assignment: Assignment) -> None:
    """Write splits.csv, sorted, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for (set_name, group), apply_splits in sorted(assignment.items()):
        writer.writerow((set_name, group, apply_splits.split, apply_splits.fold))
    temporary = path.with_suffix(".partial")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    temporary.replace(path)


def assign(samples: Iterable[Sample], params: DataParams, known: Assignment | None = None) -> Assignment:
    """Give every group a split and a fold, keeping those that have one.

    Each set is balanced by itself. The answer depends on the samples and what was known, not on their order.
    """
    assignment = dict(known or {})
    shares = {
        "train": 1 - params.validation_share - params.test_share,
        "validation": params.validation_share,
        "test": params.test_share,
    }
    folds = {str(fold): 1 / params.folds for fold in range(params.folds)}
    by_set: dict[str, dict[str, list[Sample]]] = {}
    for sample in samples:
        by_set.setdefault(sample.set, {}).setdefault(sample.group, []).append(sample)
    for set_name, groups in by_set.items():
        kept = {group: assignment[set_name, group] for group in groups if (set_name, group) in assignment}
        splits = _balance(groups, shares, {group: apply_splits.split for group, apply_splits in kept.items()})
        parts = _balance(groups, folds, {group: str(apply_splits.fold) for group, apply_splits in kept.items()})
        for group in groups:
            assignment[set_name, group] = SplitFold(splits[group], int(parts[group]))
    return assignment


def _balance(
    groups: Mapping[str, Sequence[Sample]], shares: Mapping[str, float], known: Mapping[str, str]
) -> dict[str, str]:
    """Group -> part, so that parts approach their shares of samples and of each stratum."""
    strata = {group: Counter(sample.stratum for sample in samples) for group, samples in groups.items()}
    total = Counter(dict(sorted(sum(strata.values(), Counter()).items())))  # sums must not depend on their order
    filled: dict[str, Counter[str]] = {part: Counter() for part in shares}
    chosen: dict[str, str] = {}
    # Known groups first (they cannot move), then the largest: small ones can still mend what large ones leave.
    order = sorted(groups, key=lambda name: (name not in known, -strata[name].total(), name))
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        empty = [part for part in shares if not filled[part]]
        open_parts = empty if len(empty) >= left else list(shares)  # the last groups go where nothing is yet
        part = known.get(group) or min(open_parts, key=lambda p: _imbalance(filled, p, strata[group], shares, total))
        filled.setdefault(part, Counter()).update(strata[group])
        chosen[group] = part
    return chosen


def _imbalance(
    filled: Mapping[str, Counter[str]],
    part: str,
    group: Counter[str],
    shares: Mapping[str, float],
    total: Counter[str],
) -> float:
    """Sum of squared deviations from the shares if `group` went to `part`; empty parts come first."""
    deviation = 0.0
    for name, share in shares.items():
        counts = filled[name] + group if name == part else filled[name]
        deviation += (counts.total() / total.total() - share) ** 2
        deviation += sum((counts[key] / count - share) ** 2 for key, count in total.items()) / len(total)
    return deviation


def apply_splits(manifest: Manifest, assignment: Assignment, folds: int) -> Manifest:
    """The manifest with splits and folds filled in.

    Raises:
        DataRejected: a group has no place, or the file was made for more folds than `folds`.
    """
    placed = []
    for sample in manifest.samples:
        found = assignment.get((sample.set, sample.group))
        if found is None:
            raise DataRejected(
                f"the group {sample.group!r} of the set {sample.set!r} has no split",
                where=manifest.root / "splits.csv",
                way_out="Move the files out of data/, and add them with `sightline data add`.",
            )
        if found.fold >= folds:
            raise DataRejected(
                f"the file names fold {found.fold}, but params.yaml asks for {folds} folds",
                where=manifest.root / "splits.csv",
                way_out="Set data.folds to its earlier value: the fold of a group must not change.",
            )
        placed.append(replace(sample, split=found.split, fold=found.fold))
    return replace(manifest, samples=tuple(placed))
