"""What comparing the current answers with the reference came to, in figures and in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightline.pages import link, page, paragraph, table
from sightline.task import Json

State = Literal["drift", "changed", "same", "cannot tell", "too few"]
"""`changed`: the mix differs from the reference, but lies within it. `cannot tell`: the reference has too few
independent groups to notice a shift of the size that matters. `too few`: current answers, or groups of them."""


WORDS: Mapping[State, str] = {
    "drift": "Drift",
    "changed": "A changed mix",
    "same": "No drift",
    "cannot tell": "Cannot tell",
    "too few": "Too few answers",
}
"""The states as titles."""


@dataclass(frozen=True)
class Observation:
    """One input that a model has answered.

    Attributes:
        name: what people call it: a file name, or `set/id`.
        sha256: of its bytes.
        group: observations of one group hang together (frames of a flight).
        row: the answer's flat row; its `input_*` and `output_*` are compared.
        embedding: (d,), or empty.
    """

    name: str
    sha256: str
    group: str
    row: Mapping[str, float | int | str]
    embedding: Sequence[float] | NDArray[np.float32]


class Side:
    """One side of the comparison: all its different inputs, and the independent ones among them.

    Attributes:
        observations: each input once.
        independent: indices of one observation a group, drawn, `max_rows` at most.
    """

    def __init__(self, observations: list[Observation], max_rows: int, rng: np.random.Generator) -> None:
        self.observations = observations
        members: dict[str, list[int]] = {}
        for index, observation in enumerate(observations):
            members.setdefault(observation.group, []).append(index)
        drawn = [int(rng.choice(members[group])) for group in sorted(members)]
        if len(drawn) > max_rows:
            drawn = [int(index) for index in rng.choice(drawn, max_rows, replace=False)]
        self.independent = drawn

    def figures(self, name: str) -> NDArray[np.float64]:
        """(n,) of one column; NaN where it is no finite number."""
        values = np.array([observation.row[name] for observation in self.observations], dtype=np.float64)
        return np.where(np.isfinite(values), values, np.nan)

    def words(self, name: str) -> list[str]:
        """(n,) of one column as text."""
        return [str(observation.row[name]) for observation in self.observations]

    def embeddings(self) -> NDArray[np.float64]:
        """(n, d); d is 0 where not all observations have one of the same length."""
        found = [np.asarray(observation.embedding, dtype=np.float64) for observation in self.observations]
        lengths = {len(embedding) for embedding in found}
        return np.stack(found) if len(lengths) == 1 else np.empty((len(found), 0))

    def groups(self) -> NDArray[np.str_]:
        """(n,) group of each observation."""
        return np.array([observation.group for observation in self.observations])


@dataclass(frozen=True)
class Change:
    """What became of one column, or of the embeddings (`name` is then `embedding`).

    Attributes:
        p_value: of the test, before any correction.
        differs: the test rejects at its share of the family-wise level.
        outside: share of the independent answers outside of the reference.
        by_chance: how often as many would lie outside of a reference of this size by chance; 1 where not tested.
        moved: enough lies outside, and it differs or chance does not explain as many.
        before: the reference in words.
        after: the current answers in words.
    """

    name: str
    p_value: float
    differs: bool
    outside: float
    by_chance: float
    moved: bool
    before: str
    after: str

    def __str__(self) -> str:
        if self.name == "embedding":
            what = "the network's embeddings differ from the reference"
        else:
            what = f"{self.name} went from {self.before} to {self.after}"
        return f"{what}; {self.outside:.0%} of the predictions lie outside the range of the reference"


@dataclass(frozen=True)
class Distant:
    """An input and how far it lies from the reference; 1 is what is usual within the reference."""

    name: str
    sha256: str
    distance: float


@dataclass(frozen=True)
class Comparison:
    """The verdict.

    Attributes:
        state: drift, changed, same, cannot tell, or too few predictions to decide.
        changes: all columns and the embeddings, what moved most first.
        most_drifted: the inputs that lie furthest from the reference, furthest first.
        rows: different current inputs.
        groups: independent ones among them.
        reference_rows: different inputs in the reference.
        reference_groups: independent ones among them.
        needed: how many different inputs a verdict needs.
        noticeable: the smallest share of the current inputs that would be noticed if it were outside; None where none
            would.
        wanted: the share that must be noticeable before "no drift" is said.
    """

    state: State
    changes: tuple[Change, ...]
    most_drifted: tuple[Distant, ...]
    rows: int
    groups: int
    reference_rows: int
    reference_groups: int
    needed: int
    noticeable: float | None
    wanted: float

    @property
    def drifted(self) -> bool:
        """Whether new labels are needed."""
        return self.state == "drift"

    @property
    def is_known(self) -> bool:
        """Whether it can be told if there is drift; else nobody may take it for "no drift"."""
        return self.state not in ("cannot tell", "too few")

    @property
    def reasons(self) -> tuple[str, ...]:
        """The verdict in sentences; never empty."""
        sizes = (
            f"{self.rows} different inputs ({self.needed} are needed) in {self.groups} groups, against "
            f"{self.reference_rows} in {self.reference_groups} of the reference"
        )
        differing = tuple(str(change) for change in self.changes if change.differs)
        match self.state:
            case "too few":
                return (f"too few predictions to decide: {sizes}",)
            case "cannot tell":
                return (f"it cannot be determined whether there is drift: {sizes}; {self._power()}", *differing)
            case "same":
                looks = f"{self.rows} different inputs look like the {self.reference_rows} of the reference"
                return (f"no drift: {looks}; {self._power()}",)
            case "changed":
                return (
                    f"the mix has changed, but stays within the range of the reference; {self._power()}",
                    *differing,
                )
            case "drift":
                return tuple(str(change) for change in self.changes if change.moved)

    def _power(self) -> str:
        """What would have been noticed."""
        wanted = f" (wanted: {self.wanted:.0%})" if not self.is_known else ""
        if self.noticeable is None:
            return f"with so few groups no shift would be noticed{wanted}"
        return f"a shift of {self.noticeable:.0%} of the current inputs or more would be noticed{wanted}"

    def metrics(self) -> dict[str, float]:
        """Figures to follow from report to report."""
        figures = {
            "drift": float(self.drifted),
            "known": float(self.is_known),
            "rows": float(self.rows),
            "groups": float(self.groups),
            "columns_moved": float(sum(change.moved for change in self.changes)),
        }
        return figures | {f"outside.{change.name}": change.outside for change in self.changes}

    def document(self) -> dict[str, Json]:
        """All of it as JSON."""
        return {**asdict(self), "drifted": self.drifted, "reasons": list(self.reasons)}

    def page(self, links: Sequence[str] = ()) -> str:
        """The first page of the report; `links` are blocks of HTML put at its end."""
        kind = {"drift": "bad", "same": "good"}.get(self.state, "warn")
        blocks = [paragraph(f"{reason}.", kind) for reason in self.reasons]
        blocks.append(
            paragraph(
                f"Compared: {self.rows} different inputs ({self.groups} independent) with {self.reference_rows} "
                f"({self.reference_groups}) that the model was trained or evaluated on."
            )
        )
        if self.changes:
            headers = ("", "moved", "outside", "by chance", "p-value", "reference", "current")
            lines = [
                (c.name, "yes" if c.moved else "", f"{c.outside:.0%}", *_chances(c), c.before, c.after)
                for c in self.changes
            ]
            blocks += [link("Evidently's report, column by column", "evidently.html"), table(headers, lines)]
        if self.most_drifted:
            far = [(item.name, item.sha256[:12], f"{item.distance:.1f}") for item in self.most_drifted]
            blocks += ["<h4>Furthest from the reference (1: usual)</h4>", table(("input", "SHA-256", "distance"), far)]
        return page(WORDS[self.state], [*blocks, *links])


def _chances(change: Change) -> tuple[str, str]:
    return f"{change.by_chance:.2g}", f"{change.p_value:.2g}"
