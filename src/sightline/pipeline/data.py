"""Where data come from and what is there: the verbs of `sightline data`, and the inbox of new labels."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from sightline import versions
from sightline.downloads import (
    download,
    download_competition_file,
    download_dataset,
    is_archive,
    list_record,
    unpack,
    unpack_nested,
)
from sightline.errors import DataError, DataMissing, DataRejected, ParamsError
from sightline.files import write_json, write_text
from sightline.pipeline.deliveries import Merge, merge, plan_merge
from sightline.pipeline.fit import code_digest
from sightline.pipeline.inbox import SETTLED_S, finish_clearing, is_half_cleared, list_refused, read_inbox
from sightline.pipeline.project import Project
from sightline.pipeline.records import Intake, enter, read
from sightline.pipeline.sets import changing, load_given, name_of, problems_of, replace_set, some, unlabelled
from sightline.splits import SPLITS, Assignment, read_splits
from sightline.task import Json, Manifest, Progress
from sightline.upstream import Upstream
from sightline.versions import absent_sets, data_version, history, pin, pin_state

SAMPLE = "sample"
"""The synthetic set."""

REAL = "real"
"""The set that real data and new labels go into."""


def sample(projects: Sequence[Project], progress: Progress) -> list[str]:
    """Write synthetic sets, the same bits for the same seed on one type of CPU, and pin them; what was done.

    Args:
        projects: of one folder, each with its task.
        progress: told how far it is.

    Raises:
        BackendError: a stage is running on the data, or the disk is full.
    """
    settings = projects[0].settings
    before = pin(settings)
    said = [_write_sample(project, progress) for project in projects]
    if before and pin(settings) != before:
        said.append(
            "Notice: data.dvc pinned other data before. Other parameters, another generator or another type of CPU"
            " give other bits, or a set is missing here. This is a new data version; commit data.dvc to keep it."
        )
    return said


def _write_sample(project: Project, progress: Progress) -> str:
    with changing(project):
        note = project.settings.build / "samples" / f"{project.name}.json"
        made_of = _sample_key(project)
        if _is_as_noted(project, note, made_of) and pin_state(project.settings, project.name) == "pinned":
            version = data_version(project.settings, project.name)
            return f"The sample of {project.name} exists already and is unchanged (data version {version})."
        _refuse_absent(project, besides=SAMPLE)
        made = replace_set(project, SAMPLE, lambda folder: project.task.sample(folder, progress))
        version = versions.add(project.settings, project.name)
        write_json(note, {"made_of": made_of, "digest": made.digest()})
        return f"Wrote {len(made)} samples of {project.name} and pinned them (data version {version})."


def _sample_key(project: Project) -> str:
    params = project.params.model_dump(mode="json", include={"seed", "sample"})
    return json.dumps([params, code_digest(project.name)], sort_keys=True)


def _is_as_noted(project: Project, note: Path, made_of: str) -> bool:
    """Whether the set on disk is what these parameters and this code once wrote here."""
    place = project.data / SAMPLE
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return place.is_dir() and bool(noted == {"made_of": made_of, "digest": project.listing(SAMPLE).digest()})


def _refuse_absent(project: Project, besides: str = "") -> None:
    """Pinning the task as it is now would silently drop sets that are pinned but not on disk."""
    absent = [name for name in absent_sets(project.settings, project.name) if name != besides]
    if absent:
        raise DataMissing(
            f"data.dvc pins the set {absent[0]!r} of {project.name}, which is not on disk",
            where=project.data,
            way_out="Restore it with `.venv/bin/dvc checkout data.dvc`, or drop it with `.venv/bin/dvc add data`.",
        )


def add(project: Project, path: Path, set_name: str = REAL, correct: bool = False) -> str:
    """Copy a person's own data, in the upstream layout, into a set, split them by group, and pin them; what was done.

    What cannot be used is left out and named. What the set has already is skipped.

    Args:
        project: the task's.
        path: a folder outside data/.
        set_name: which set it becomes or joins.
        correct: where the set has a sample with other labels, the given ones replace them.

    Raises:
        ParamsError: the set's name is none.
        DataMissing: the folder is not there, or does not have the layout.
        DataRejected: nothing of it can be taken; lists what is wrong. Nothing has changed.
        BackendError: a stage is running on the data, or the disk is full; nothing has changed.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", set_name):
        raise ParamsError(
            f"{set_name!r} is not a valid name for a set", where="--set", way_out="Use letters, digits, _ and -."
        )
    path = path.resolve()
    if path.is_relative_to(project.settings.data):
        raise DataRejected("the folder lies in data/ already", where=path, way_out="Give a folder outside data/.")
    with changing(project):
        _refuse_absent(project)
        given = load_given(project.task, path, project.settings.limits)
        plan = plan_merge(project, given, set_name, correct)
        left = _left_out(given, plan)
        if not plan.fresh and (plan.clashes or not plan.known):
            raise DataRejected(
                f"none of {len(given)} samples can be taken: {some(left)}",
                where=path,
                way_out="Correct or rename these samples, or use another --set. Nothing has changed.",
            )
        if plan.fresh:
            merge(project, given, plan, set_name)
        if plan.fresh or pin_state(project.settings, project.name) != "pinned":
            versions.add(project.settings, project.name)
    return "\n".join([_told(project, set_name, plan), *_notices(project, given, left, set_name)])


def _left_out(given: Manifest, plan: Merge) -> list[str]:
    """A line for each given sample that is not taken."""
    held = [f"{name_of(sample)} shares its file with a sample that cannot be used" for sample in plan.held]
    return [*problems_of(given), *plan.clashes.values(), *held]


def _told(project: Project, name: str, plan: Merge) -> str:
    version = data_version(project.settings, project.name)
    corrected = f", {len(plan.outdated)} of them with corrected labels," if plan.outdated else ""
    already = f"; {len(plan.known)} were there already" if plan.known else ""
    plural = "" if len(plan.fresh) == 1 else "s"
    added = f"Added {len(plan.fresh)} sample{plural}{corrected} to the set {name} of {project.name}"
    return f"{added}{already} (data version {version})."


def _notices(project: Project, given: Manifest, left: list[str], name: str) -> list[str]:
    """What a person should know besides: what was left out, and whether the set is used."""
    said = []
    if left:
        path = project.settings.build / "left_out" / f"{project.name}-{name}.txt"
        write_text(path, "".join(f"{line}\n" for line in left))
        said.append(f"Left out {len(left)} of {len(given)} samples (all in {path}): {some(left)}")
    bare = unlabelled(given, given.root / given.samples[0].set)
    if bare:
        said.append(f"Notice: pictures without labels were not taken ({len(bare)}): {some(bare)}.")
    if name not in (*project.params.data.pretrain, *project.params.data.train):
        said.append(f"Notice: params.yaml does not use this set; add it to {project.name}.data.train.")
    return said


def fetch(project: Project, progress: Progress) -> str:
    """Download the published data and add them; what was done.

    Raises:
        DataMissing: nothing is published, it no longer exists, or credentials lack (says how to give them).
        DataRejected: what arrived is not what was published.
        BackendError: the network, the server or the disk failed; the next call goes on where this one stopped.
    """
    upstream = project.task.upstream
    if upstream is None:
        raise DataMissing(
            f"there are no published data for {project.name}",
            way_out="Use your own data: `sightline data add TASK FOLDER`.",
        )
    folder = _download(project, upstream, progress)
    said = add(project, folder, REAL)
    return f"{said}\nSource: {upstream.ref}. Licence: {upstream.licence}."


def _download(project: Project, upstream: Upstream, progress: Progress) -> Path:
    """The folder that holds the published files, unpacked."""
    if upstream.kind == "kaggle":
        progress.advance(0, 1, f"download {upstream.ref}")
        folder = download_dataset(upstream.ref)
        progress.advance(1, 1, f"download {upstream.ref}")
        return folder
    downloads = project.settings.build / "downloads" / project.name
    whole = downloads / "files"
    shutil.rmtree(whole, ignore_errors=True)
    if upstream.kind == "competition":
        for done, name in enumerate(upstream.names):
            progress.advance(done, len(upstream.names), f"download {name}")
            _put(download_competition_file(upstream.ref, name), whole, unpack_nested)
        progress.advance(len(upstream.names), len(upstream.names), f"download {upstream.ref}")
        return whole
    for file in list_record(upstream.ref) if upstream.kind == "zenodo" else upstream.files:
        _put(download(file, downloads / "archives", progress), whole, unpack)
    return whole


def _put(path: Path, whole: Path, unpack_into: Callable[[Path, Path], None]) -> None:
    """Unpack or copy a downloaded file into the folder `whole`."""
    if is_archive(path):
        unpack_into(path, whole / path.name.partition(".")[0])
    else:
        whole.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, whole / path.name)


def status(project: Project) -> dict[str, Json]:
    """What is there: the sets with their counts, the data version and whether it is what is on disk, the inbox."""
    places = read_splits(project.data / "splits.csv")
    names = sorted(path.name for path in project.data.glob("[!.]*") if path.is_dir())
    state = pin_state(project.settings, project.name)
    box = read_inbox(project, REAL)
    return {
        "task": project.name,
        "data_version": "" if state == "not pinned" else data_version(project.settings, project.name),
        "state": state,
        "sets": [_counts_of(project, name, places) for name in names],
        "inbox": {"ready": len(box.ready), "waiting": list(box.waiting), "refused": dict(box.refused)},
        "upstream": project.task.upstream.ref if project.task.upstream else "",
    }


def _counts_of(project: Project, name: str, places: Assignment) -> dict[str, Json]:
    """How many samples and groups a set has, and how many samples of it each split; none where it cannot be listed."""
    try:
        samples = project.listing(name).samples
    except DataError:
        samples = ()
    groups = [(one.set, one.group) for one in samples]
    counts = Counter(places[group].split for group in groups if group in places)
    row: dict[str, Json] = {
        "set": name,
        "samples": len(samples),
        "unusable": sum(bool(one.problem) for one in samples),
        "groups": len(set(groups)),
    }
    return {**row, **{split: counts[split] for split in SPLITS}}


def list_versions(project: Project) -> list[dict[str, Json]]:
    """Versions of the task's data, newest first."""
    return [asdict(one) for one in history(project.settings, project.name)]


def push(project: Project) -> str:
    """Send the pinned data and the stages' outputs to the DVC remote of the settings; what was done.

    Raises:
        ParamsError: no remote is set, or it cannot be used.
    """
    return f"{versions.push(project.settings)} now holds what data.dvc and dvc.lock name."


def pull(project: Project) -> str:
    """Bring what data.dvc pins of the task from the DVC remote; what was done.

    Raises:
        ParamsError: no remote is set, or it cannot be used.
        DataMissing: the remote does not hold it.
        DataRejected: files that are nowhere else would be overwritten.
    """
    with changing(project):
        versions.pull(project.settings, project.name)
    return f"The data of {project.name} are on disk (data version {data_version(project.settings, project.name)})."


def take_in(project: Project, settled_s: float = SETTLED_S) -> int:
    """Take new labels from `inbox/<task>/` into the real set, as a new data version; how many samples came.

    Good samples are taken and leave the inbox; what cannot be used stays, listed in `inbox/<task>/refused.txt`; files
    that are still being written wait for the next call. Killed at any point, the next call goes on.

    Raises:
        BackendError: a stage is running on the data, or the disk is full; the inbox keeps its files.
    """
    if not is_half_cleared(project) and read_inbox(project, REAL, settled_s).is_empty:
        return 0
    with changing(project):
        finish_clearing(project)
        box = read_inbox(project, REAL, settled_s)
        list_refused(box)
        if not box.ready:
            return 0
        _refuse_absent(project)
        if box.plan.fresh:
            merge(project, box.given, box.plan, REAL)
        version = versions.add(project.settings, project.name)
        keys = sorted(one.key for one in box.ready)
        taken = Intake(samples=tuple(keys), data_version=version, refused=dict(box.refused))
        last = project.events.last(project.name, Intake.kind)
        known = None if last is None else read(last, Intake)
        if known is None or (known.samples, known.data_version) != (taken.samples, version):
            enter(project.events, project.name, taken)
        box.clear()
        return len(box.ready)
