"""The documents that are kept of what happened, a frozen type for each kind: written and read here, and nowhere else.

What a reader does not know is passed over, and what an older writer did not write has a default, so that a history
stays readable. Figures that are undefined are NaN here and null in JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from sightline.errors import BackendError
from sightline.files import finite
from sightline.resampling import Difference, Figure, Number, Unit
from sightline.stores import Kind
from sightline.task import Json

if TYPE_CHECKING:
    from sightline.stores.events import Event, Events

Outcome = Literal["promoted", "undecided", "refused", "unchanged"]


class Document(BaseModel):
    """JSON with a type. Two of them are the same where their JSON is: NaN equals nothing, not even itself."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    def document(self) -> dict[str, Json]:
        """As JSON."""
        dumped = self.model_dump(mode="json", by_alias=True)
        return {name: finite(value) for name, value in dumped.items()}

    def same(self, other: Document | None) -> bool:
        """Whether the other one says the same."""
        return other is not None and self.document() == other.document()


class Sparse(Document):
    """A document without what is not known: a field that is None is not written."""

    @model_serializer(mode="wrap")
    def _leave_out_unknown(self, write: SerializerFunctionWrapHandler) -> dict[str, Json]:
        return {name: value for name, value in write(self).items() if value is not None}


class Record(Document):
    """One thing that happened to a task; `kind` is its name in the store."""

    kind: ClassVar[Kind]


# ------------------------------------------------------------------------------------------------- promotion


class Better(Document):
    """A candidate that is ahead of the chosen one on the test rows.

    Attributes:
        figure: its figure; `chosen_figure` that of the chosen one.
        lower_bound: one-sided, of the difference.
        n: samples.
    """

    candidate: str
    figure: Number
    chosen_figure: Number
    lower_bound: Number
    n: int


class ChoiceFigure(Document):
    """The promotion metric of the rows that had no say in the choice, with its interval."""

    value: Number
    low: Number
    high: Number
    n: int
    unit: Unit


class ChoiceRecord(Document):
    """How one of the candidates was chosen.

    Attributes:
        rule: by which it was chosen.
        metric: what was compared.
        protocol: how the candidates were evaluated.
        rows: which rows decided: "out-of-fold" or "validation".
        sets: whose rows.
        n: how many.
        figures: candidate -> its figure on them.
        chosen: the candidate that is put forward.
        best: the one with the best figure; another was chosen where that one lies within noise of it.
        difference: best minus chosen; None where they are the same.
        folds: fold -> the candidate that the other folds choose.
        figure: how good the choice is.
        better: who is ahead of the chosen one on the test rows; None where nobody is.
        versions: candidate -> its number in the registry.
    """

    rule: str
    metric: str
    protocol: str
    rows: str
    sets: tuple[str, ...]
    n: int
    figures: dict[str, Number]
    chosen: str
    best: str
    difference: Difference | None = None
    folds: dict[str, str] = {}
    figure: ChoiceFigure
    better: Better | None = None
    versions: dict[str, int] = {}


class Numbers(Sparse):
    """The figures that a decision rests on, as far as it came to them.

    Attributes:
        metric: what was compared, on `set`.
        challenger: its figure.
        rule: the parameters of the decision; another rule decides again.
        difference: challenger minus champion on the same samples.
        latency_ms: of "challenger" and "champion", measured in turns.
    """

    metric: str | None = None
    set: str | None = None
    challenger: Figure | None = None
    rule: dict[str, Json] | None = None
    difference: Difference | None = None
    latency_ms: dict[str, float] | None = None


class Decision(Record):
    """What was decided about a challenger, and on what grounds.

    Attributes:
        challenger: its number.
        champion: whom it had to beat; None where there was nobody.
        reasons: in sentences.
        numbers: the figures behind them.
        run_id: the challenger's: another registry may give its number to another model.
        choice: how it was chosen among the candidates; None where a person named it.
    """

    kind: ClassVar[Kind] = "promotion"

    task: str = ""
    outcome: Outcome
    challenger: int
    champion: int | None
    reasons: tuple[str, ...] = ()
    numbers: Numbers = Numbers()
    run_id: str = ""
    choice: Annotated[ChoiceRecord | None, BeforeValidator(lambda value: value or None)] = None


class Rollback(Record):
    """The champion's place was given back.

    Attributes:
        left: the number of who left it; None where the place was empty.
        to: who has it again.
        run_id: of that one.
    """

    kind: ClassVar[Kind] = "rollback"

    left: int | None = Field(validation_alias="from", serialization_alias="from")
    to: int
    run_id: str = ""


# --------------------------------------------------------------------------------------------------- watching


class DriftedInput(Document):
    """An input that lies far from the reference; `name` is what its upload was called."""

    name: str
    sha256: str


class DriftVerdict(Record):
    """What watching came to, without the figures of every column: these are with the report.

    Attributes:
        version: the champion's number.
        drift: whether the inputs have drifted.
        known: whether it can be told at all.
        state: see `watch.Drift`.
        rows: different inputs that were looked at.
        run_id: of the MLflow run that keeps the report.
        most_drifted: furthest first.
    """

    kind: ClassVar[Kind] = "drift"

    version: int
    drift: bool
    known: bool = True
    state: str = ""
    reasons: tuple[str, ...] = ()
    rows: int = 0
    run_id: str = ""
    most_drifted: tuple[DriftedInput, ...] = ()


class Request(Sparse, Record):
    """Retraining, or labels for it, was asked for.

    Attributes:
        state: asked (drift asks for retraining), labels needed (it can only begin with new labels), labels arrived.
        reasons: of the drift.
        report_run_id: of the MLflow run that keeps the report.
        images: how many images are to be labelled.
        to_label: the table that lists them.
    """

    kind: ClassVar[Kind] = "request"

    state: Literal["asked", "labels needed", "labels arrived"]
    task: str | None = None
    reasons: tuple[str, ...] | None = None
    report_run_id: str | None = None
    images: int | None = None
    to_label: str | None = None


# -------------------------------------------------------------------------------------------------- data, runs


class Intake(Record):
    """Labels were taken in: which samples, as which data version, and why others were refused."""

    kind: ClassVar[Kind] = "intake"

    samples: tuple[str, ...]
    data_version: str
    refused: dict[str, str] = {}


class CandidateFigures(Document):
    """A candidate's version and its figures on the set that tables show.

    `validation` is its promotion metric on the samples that the winner is chosen on; None where there are none. `note`
    is what people must know of it, as its card says.
    """

    version: int
    set: str
    protocol: str
    unit: str
    metrics: dict[str, Figure]
    validation: float | None = None
    note: str = ""


class RunOutcome(Record):
    """What a run came to.

    Attributes:
        data_version: of the task's data.
        version: of the candidate that was put forward.
        candidate: its name.
        aliases: what that version is called in the registry.
        champion: who answers now.
        decision: about the version.
        promotion_rule: the parameters of the decision.
        candidates: the figures of each.
        stage_keys: candidate -> what its evaluation was made from: the same keys, the same outcome.
        duration_s: of the run.
    """

    kind: ClassVar[Kind] = "run"

    task: str
    data_version: str
    version: int
    candidate: str
    aliases: tuple[str, ...]
    champion: int | None
    decision: Decision
    promotion_rule: dict[str, Json]
    candidates: dict[str, CandidateFigures]
    stage_keys: dict[str, str]
    duration_s: float


# ------------------------------------------------------------------------------------------ writing and reading

R = TypeVar("R", bound=Record)


def enter(events: Events, task: str, record: Record) -> None:
    """Append a record to a task's history."""
    events.record(record.kind, task, record.document())


def read(entry: Event, kind: type[R]) -> R:
    """The record of an entry of this kind.

    Raises:
        BackendError: its document is not one of this kind: another program wrote it.
    """
    return parse(entry.document, kind, f"the history of {entry.task}, entry {entry.id} ({entry.kind})")


def parse(document: Mapping[str, Json], kind: type[R], where: str) -> R:
    """A record from its JSON. Raises BackendError, as `read`."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BackendError(
            f"the record cannot be read: {field}: {first['msg']}",
            where=where,
            way_out="Restore the folder `state` from a backup; see docs/how-to/back-up.md.",
        ) from error
