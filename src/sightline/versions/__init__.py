"""Data versions and stages: everything that DVC does, and the little that is asked of git.

The version of a task's data is the hash that DVC gives to the folder `data/<task>` (36 characters, `<md5>.dir`): the
one that dvc.lock records for a stage that reads this folder. data.dvc pins `data/` as a whole, so the version of one
task does not change when another task's data do.
"""

from sightline.versions.commits import CodeState, code_state, commit, diff, require_repository
from sightline.versions.pins import (
    DataVersion,
    PinState,
    absent_sets,
    add,
    checkout,
    data_version,
    history,
    pin,
    pin_state,
    require_idle,
)
from sightline.versions.program import git_environment, hand_over
from sightline.versions.remotes import configure_remote, pull, push
from sightline.versions.stages import repro, stage_data, stage_key, status

__all__ = [
    "CodeState",
    "DataVersion",
    "PinState",
    "absent_sets",
    "add",
    "checkout",
    "code_state",
    "commit",
    "configure_remote",
    "data_version",
    "diff",
    "git_environment",
    "hand_over",
    "history",
    "pin",
    "pin_state",
    "pull",
    "push",
    "repro",
    "require_idle",
    "require_repository",
    "stage_data",
    "stage_key",
    "status",
]
