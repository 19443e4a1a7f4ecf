"""What the validation gate says: a verdict that names the expectations and the files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Literal

from sightline.errors import DataRejected
from sightline.pages import page, paragraph, table
from sightline.task import Json

NAMED_FILES = 20
"""Most files that a failure names; the others are counted."""

_MENTIONED = 5  # files of each failure that the error message has room for

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Failure:
    """One expectation that does not hold.

    Attributes:
        why: what was expected, in the words of who asked.
        column: of the manifest; empty where the number of rows was asked about.
        severity: critical ones fail the gate, warnings are told.
        observed: what was found instead; for single samples, the values beside `files`.
        files: the first of the samples it is about, as `set/file`; none where the table as a whole is meant.
        count: how many samples it is about.
    """

    why: str
    column: str
    severity: Severity
    observed: tuple[str, ...]
    files: tuple[str, ...]
    count: int

    def brief(self, files: int) -> str:
        """One sentence that names up to `files` of the files with what was observed."""
        if not self.files:
            return f"{self.why} (observed: {', '.join(self.observed)})"
        named = [f"{file} ({value})" for file, value in zip(self.files, self.observed, strict=True)]
        more = f" and {self.count - files} more" if self.count > files else ""
        return f"{self.why}: {', '.join(named[:files])}{more}"

    def blocks(self) -> list[str]:
        """The same as HTML, with all the files it names."""
        head = paragraph(f"{self.severity}: {self.why}", "bad" if self.severity == "critical" else "warn")
        if not self.files:
            return [head, paragraph(f"Observed: {', '.join(self.observed)}.")]
        more = [paragraph(f"... and {self.count - len(self.files)} more.")] if self.count > len(self.files) else []
        return [head, table(("file", self.column), list(zip(self.files, self.observed, strict=True))), *more]


@dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Attributes:
        passed: no critical expectation failed.
        failures: critical ones first; may hold warnings where `passed`.
        docs: the first page of the Data Docs.
        samples: how many were looked at.
        asked: all expectations, in words.
    """

    passed: bool
    failures: tuple[Failure, ...]
    docs: Path
    samples: int
    asked: tuple[str, ...]

    def raise_if_failed(self) -> None:
        """Raise DataRejected, naming the critical expectations and the files, unless `passed`."""
        if self.passed:
            return
        critical = [failure.brief(_MENTIONED) for failure in self.failures if failure.severity == "critical"]
        raise DataRejected(
            f"{len(critical)} of {len(self.asked)} expectations failed: " + "; ".join(critical),
            where="the gate",
            way_out=f"Correct or remove these files; all are listed in {self.docs}.",
        )

    def document(self) -> dict[str, Json]:
        """The verdict as JSON without a time or a path of this machine: the same data give the same bytes."""
        return {
            "passed": self.passed,
            "samples": self.samples,
            "asked": list(self.asked),
            "failures": [asdict(failure) for failure in self.failures],
        }

    def page(self, links: tuple[str, ...]) -> str:
        """The first page of the Data Docs: what failed and where; `links` are blocks of HTML put at its end."""
        outcome, kind = ("passed", "good") if self.passed else ("failed", "bad")
        blocks = [paragraph(f"The gate {outcome}: {len(self.asked)} expectations of {self.samples} samples.", kind)]
        for failure in self.failures:
            blocks += failure.blocks()
        items = "".join(f"<li>{escape(why)}</li>" for why in self.asked)
        return page("Validation gate", [*blocks, f"<h4>Expectations</h4><ul>{items}</ul>", *links])
