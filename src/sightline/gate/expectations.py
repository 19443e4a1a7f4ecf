"""The gate before training, asked with great-expectations (known only here).

A task's neutral expectations and the platform's own are translated, asked of the manifest as a table, and answered
with a verdict that names the files. Data Docs tell the same to people; they are made to read well without a network.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sightline.errors import BackendError
from sightline.files import write_json, write_text
from sightline.gate.verdict import NAMED_FILES, Failure, Verdict
from sightline.pages import NO_NETWORK, STYLE, link
from sightline.task import Expectation, Manifest, Sample

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Parts:
    """Which part of the data a sample belongs to; nothing may be in two of them.

    Attributes:
        main: the sets that are evaluated; the others only pre-train.
        protocol: whether the main sets are held out by split or by fold.
    """

    main: tuple[str, ...]
    protocol: Literal["folds", "holdout"]

    def of(self, sample: Sample) -> str:
        """`train`, `fold 2`, `pre-training train` ...; empty where the platform assigned none."""
        if not sample.split or sample.fold < 0:
            return ""
        if sample.set not in self.main:
            return f"pre-training {sample.split}"
        return f"fold {sample.fold}" if self.protocol == "folds" else sample.split


# ------------------------------------------------------------------------------------------------------- asking


def check(
    manifest: Manifest, expectations: Sequence[Expectation], parts: Parts, folder: Path, links: Sequence[str] = ()
) -> Verdict:
    """Ask all expectations of the manifest; write `verdict.json` and the Data Docs below `folder`/docs.

    Args:
        manifest: with splits and folds assigned.
        expectations: the task's own; the platform's are added.
        parts: which part of the data a sample belongs to.
        folder: written anew; what an earlier gate left there is replaced.
        links: blocks of HTML for the end of the first page.

    Raises:
        BackendError: the disk is full, or great-expectations failed in itself.
    """
    frame = _table(manifest, parts)
    asked = [*_own(), *expectations]
    docs = folder / "docs"
    partial = folder / ".docs.partial"
    with _translated(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        failures = _ask(frame, asked, parts, partial)
        verdict = Verdict(
            passed=all(failure.severity == "warning" for failure in failures),
            failures=tuple(sorted(failures, key=lambda failure: failure.severity)),  # critical before warning
            docs=docs / "index.html",
            samples=len(manifest),
            asked=(*(expectation.why for expectation in asked), _parts_are_there(parts)),
        )
        _finish_docs(verdict, partial, links)
        shutil.rmtree(docs, ignore_errors=True)
        partial.replace(docs)
    write_json(folder / "verdict.json", verdict.document())
    return verdict


def _own() -> list[Expectation]:
    """What is asked of every task."""
    return [
        Expectation("rows_between", "there is at least one sample", low=1),
        Expectation("one_of", "every sample can be read and has a label that fits", "problem", values=("",)),
        Expectation("unique", "no two samples of a set share a name", "key"),
        Expectation("one_of", "every sample has a split and a fold", "unassigned", values=("",)),
        Expectation("one_of", "no image is in two parts of the data", "image_elsewhere", values=("",)),
        Expectation("one_of", "no group is in two parts of the data", "group_elsewhere", values=("",)),
        Expectation("unique", "no image occurs twice (it would count twice)", "image", severity="warning"),
    ]


def _parts_are_there(parts: Parts) -> str:
    return "train and test have samples" if parts.protocol == "holdout" else "two folds or more have samples"


def _table(manifest: Manifest, parts: Parts) -> pd.DataFrame:
    """The manifest as the table that `Expectation` describes, with the columns that `_own` asks about."""
    import pandas as pd

    samples = manifest.samples
    part = [parts.of(sample) for sample in samples]
    lines = [_line(sample, name, parts) for sample, name in zip(samples, part, strict=True)]
    table = pd.DataFrame({column: [line[column] for line in lines] for column in _COLUMNS})
    table["image_elsewhere"] = _elsewhere(samples, part, lambda s: s.sha256)
    table["group_elsewhere"] = _elsewhere(samples, part, lambda s: f"{s.set} {s.group}")
    for name in sorted({name for sample in samples for name in sample.figures}):
        table[name] = [sample.figures.get(name) for sample in samples]
    return table


_COLUMNS = (
    *("id", "set", "sha256", "group", "stratum", "split", "fold"),
    *("problem", "key", "file", "image", "unassigned", "evaluated"),
)


def _line(sample: Sample, part: str, parts: Parts) -> dict[str, str | int | None]:
    """One sample's columns, without its figures."""
    return {
        "id": sample.id,
        "set": sample.set,
        "sha256": sample.sha256,
        "group": sample.group,
        "stratum": sample.stratum,
        "split": sample.split,
        "fold": sample.fold,
        "problem": _problem(sample),
        "key": sample.key,
        "file": f"{sample.set}/{sample.input_file}",
        "image": sample.sha256 or None,  # a missing file has no digest
        "unassigned": "" if part else "unassigned",
        "evaluated": part if sample.set in parts.main else None,
    }


def _problem(sample: Sample) -> str:
    """Its problem; a figure that is no number is one (the questions about it would pass for want of a value)."""
    odd = [name for name, value in sample.figures.items() if not math.isfinite(value)]
    return sample.problem or (f"{', '.join(odd)} is not a number" if odd else "")


def _elsewhere(samples: Sequence[Sample], parts: Sequence[str], key: Callable[[Sample], str]) -> list[str]:
    """For each sample: a sample of another part with the same key, in words; empty where there is none."""
    first: dict[str, dict[str, Sample]] = defaultdict(dict)
    for sample, part in zip(samples, parts, strict=True):
        if key(sample):
            first[key(sample)].setdefault(part, sample)
    found = []
    for sample, part in zip(samples, parts, strict=True):
        others = [(name, other) for name, other in first[key(sample)].items() if name != part]
        found.append("; ".join(f"{part}; also in {name}: {other.set}/{other.input_file}" for name, other in others[:1]))
    return found


# -------------------------------------------------------------------------------------------- great-expectations


_ROOM = "Check the disk's free space and your write permission."


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """Import great-expectations quietly and turn its errors, and those of the disk, into ours."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    # It swallows errors of writing and logs tracebacks; what lacks then is seen by us.
    logging.getLogger("great_expectations.render.renderer.site_builder").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies are behind the times
        from great_expectations.exceptions import GreatExpectationsError
    try:
        yield
    except OSError as error:
        raise BackendError(
            f"the gate's files cannot be written ({error.strerror})", where=folder, way_out=_ROOM
        ) from error
    except GreatExpectationsError as error:
        raise BackendError(
            f"great-expectations failed ({error})",
            where=folder,
            way_out=("Run the command again; if it fails again, please report this message."),
        ) from error


def _ask(frame: pd.DataFrame, asked: Sequence[Expectation], parts: Parts, site: Path) -> list[Failure]:
    """Run one checkpoint in an ephemeral context that writes its Data Docs into `site`; what failed, in order."""
    import great_expectations as gx
    from great_expectations.checkpoint import UpdateDataDocsAction

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)}
    context.add_data_docs_site("gate", {"class_name": "SiteBuilder", "store_backend": store})
    asset = context.data_sources.add_pandas("data").add_dataframe_asset("manifest")
    batch = asset.add_batch_definition_whole_dataframe("all samples")
    suite = context.suites.add(gx.ExpectationSuite(name="gate"))
    for number, expectation in enumerate(asked):
        suite.add_expectation(_translate(expectation, number, frame))
    suite.add_expectation(_ask_parts(parts, len(asked)))
    definition = gx.ValidationDefinition(name="gate", data=batch, suite=suite)
    checkpoint = gx.Checkpoint(
        name="gate",
        validation_definitions=[context.validation_definitions.add(definition)],
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["file"]},
        actions=[UpdateDataDocsAction(name="docs", site_names=["gate"])],
    )
    answer = context.checkpoints.add(checkpoint).run(
        batch_parameters={"dataframe": frame}, run_id=gx.RunIdentifier(run_name="gate")
    )
    (outcome,) = answer.run_results.values()
    failed = [result for result in outcome.results if not result.success]
    return [_failure(result) for result in sorted(failed, key=lambda r: r.expectation_config.meta["number"])]


def _translate(expectation: Expectation, number: int, frame: pd.DataFrame) -> Any:
    """The vendor's expectation; what no sample has a value of is made to fail, not to pass for want of values."""
    from great_expectations import expectations as gxe

    known = _known(expectation.why, expectation.severity, number)
    if expectation.kind in ("between", "mean_between"):
        known["description"] += f" ({expectation.low} to {expectation.high})"
    bounds = {"min_value": expectation.low, "max_value": expectation.high}
    column = expectation.column
    if expectation.kind == "rows_between":
        return gxe.ExpectTableRowCountToBeBetween(**bounds, **known)
    if column not in frame or (len(frame) and frame[column].isna().all()):
        return gxe.ExpectColumnToExist(column=f"{column} (no sample has it)", **known)
    match expectation.kind:
        case "between":
            return gxe.ExpectColumnValuesToBeBetween(column=column, **bounds, **known)
        case "mean_between":
            return gxe.ExpectColumnMeanToBeBetween(column=column, **bounds, **known)
        case "one_of":
            return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(expectation.values), **known)
        case "unique":
            return gxe.ExpectColumnValuesToBeUnique(column=column, **known)


def _ask_parts(parts: Parts, number: int) -> Any:
    from great_expectations import expectations as gxe

    known = _known(_parts_are_there(parts), "critical", number)
    if parts.protocol == "holdout":
        return gxe.ExpectColumnDistinctValuesToContainSet(column="evaluated", value_set=["train", "test"], **known)
    return gxe.ExpectColumnUniqueValueCountToBeBetween(column="evaluated", min_value=2, **known)


def _known(why: str, severity: str, number: int) -> dict[str, Any]:
    """What every expectation is given: the Data Docs show the description, the meta comes back with the result."""
    return {"severity": severity, "description": why, "meta": {"number": number, "why": why}}


def _failure(result: Any) -> Failure:
    """Read one failed result of great-expectations."""
    config, found = result.expectation_config, result.result
    column = config.kwargs.get("column", "")
    rows = found.get("unexpected_index_list") or []
    named = sorted((str(row["file"]), _shown(row[column])) for row in rows)[:NAMED_FILES]
    return Failure(
        why=config.meta["why"],
        column=column,
        severity=config.severity.value,
        observed=tuple(value for _, value in named) or (_observed(found),),
        files=tuple(file for file, _ in named),
        count=len(rows),
    )


def _observed(found: Mapping[str, Any]) -> str:
    """The figure of an expectation about the table as a whole."""
    if found.get("partial_missing_list"):
        return "nothing in " + ", ".join(map(str, found["partial_missing_list"]))
    value = found.get("observed_value")
    return "no values" if value is None else _shown(value)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value) or "empty"


# ----------------------------------------------------------------------------------------------------- Data Docs

_FOREIGN = re.compile(
    r"<script\b.*?</script>|<style\b.*?</style>|<footer\b.*?</footer>|<link\b[^>]*>|<img\b[^>]*>", re.DOTALL
)
"""What the vendor's pages fetch from the network, and what does nothing without it."""

_LOOKS = """
.modal, .sticky, .navbar-brand, code, a[data-toggle=collapse] { display: none; }
.navbar ol { list-style: none; padding: 0; display: flex; gap: 1rem; }
.badge { border: 1px solid #8886; border-radius: .3rem; padding: 0 .3rem; }
.cooltip .top { display: none; }
.fa-check-circle::before { content: "passed"; color: #15803d; font-style: normal; }
.fa-times::before { content: "failed"; color: #dc2626; font-style: normal; }
.fa-exclamation-triangle::before { content: "not evaluated"; color: #b45309; font-style: normal; }
"""


def _finish_docs(verdict: Verdict, site: Path, links: Sequence[str]) -> None:
    """Free the vendor's pages of the network and write a first page that needs no script."""
    for path in site.rglob("*.html"):
        text = _FOREIGN.sub("", path.read_text(encoding="utf-8"))
        head = f"{NO_NETWORK}<style>{STYLE}{_LOOKS}</style></head>"  # it brings a viewport
        write_text(path, text.replace("</head>", head, 1))
    shutil.rmtree(site / "static", ignore_errors=True)
    details = sorted(path.relative_to(site).as_posix() for path in site.glob("validations/**/*.html"))
    if not details:  # it only logs why, as a traceback
        raise BackendError("great-expectations did not write its results", where=site, way_out=_ROOM)
    own = tuple(link("Each expectation with its figures", href) for href in details)
    write_text(site / "index.html", verdict.page((*own, *links)))
