"""The report of a batch: one HTML file that a client can read without a network, a server or this program."""

from __future__ import annotations

import base64
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.drift.familiarity import UNLIKE
from sightline.errors import BackendError
from sightline.files import write_text
from sightline.pages import PICTURES_WITHIN, REPORT_STYLE, page, paragraph, table
from sightline.pipeline.answer_paths import SavedFinding
from sightline.pipeline.delivery import Delivery, Picture, figure_names, position_of
from sightline.pipeline.report_map import draw_maps

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = 120
"""Findings that get a picture; the others are in findings.csv."""

_NOTES = 5  # different ones that are told
_MAPS = 12  # sites of a flight that are drawn
_LISTED = 500  # pictures and refused files that are named
_CROP_PX = 220  # side of a finding's picture
_AROUND = 3.0  # times the finding's box
_WHOLE_FROM = 1000  # figures, in whole numbers


def write_report(delivery: Delivery, path: Path) -> Path:
    """Write the report.

    Raises:
        BackendError: the disk is full or the folder cannot be written.
    """
    blocks = [
        *_overview(delivery),
        *_map(delivery),
        *_findings(delivery),
        *_pictures(delivery),
        *_refused(delivery),
        *_made_by(delivery),
    ]
    title = f"Report: {delivery.task.replace('_', ' ')}"
    write_text(path, page(title, blocks, policy=PICTURES_WITHIN, style=REPORT_STYLE))
    return path


def _overview(delivery: Delivery) -> list[str]:
    pictures = delivery.pictures
    times = sorted(picture.shot.time for picture in pictures if picture.shot.time)
    taken = f", taken {_span(times)}" if times else ""
    blocks = [paragraph(f"{_count(len(pictures), 'picture')}{taken}. Written on {date.today().isoformat()}.")]
    if delivery.refused:
        refused = _count(len(delivery.refused), "file")
        blocks.append(paragraph(f"{refused} could not be read; see the list below.", "warn"))
    blocks += [paragraph(warning, "warn") for warning in warnings_of(delivery)]
    return [*blocks, *_counts(delivery), *_shares(pictures)]


def _counts(delivery: Delivery) -> list[str]:
    """How many findings of each kind, and how many things they show where that is known."""
    counts, joined = delivery.counts(), delivery.repeats.known
    if not counts:
        return []
    head = ("class", "severity", "findings", *(("things",) if joined else ()))
    rows = [
        (kind, severity or "-", f"{count:,}", *((f"{things:,}",) if joined else ()))
        for (kind, severity), (count, things) in counts.items()
    ]
    return ["<h2>Counts</h2>", table(head, rows), paragraph(delivery.repeats.why, "" if joined else "warn")]


def _span(times: Sequence[str]) -> str:
    first, last = times[0].replace("T", " "), times[-1].replace("T", " ")
    return first if first == last else f"{first} to {last}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _shares(pictures: Sequence[Picture]) -> list[str]:
    """Mean shares of classes, for answers that are masks."""
    names = sorted({name for p in pictures for name in p.summary if name.startswith("share_")})
    if not names:
        return []
    rows = []
    for name in names:
        values = [float(picture.summary.get(name) or 0.0) for picture in pictures]
        some = sum(value > 0 for value in values)
        rows.append((name.removeprefix("share_"), f"{sum(values) / len(values):.2%}", f"{some} of {len(values)}"))
    return ["<h2>Classes</h2>", table(("class", "mean share of a picture", "pictures with it"), rows)]


def warnings_of(delivery: Delivery) -> list[str]:
    """What a reader must know before he believes the figures."""
    severities = {finding["severity"] for picture in delivery.pictures for finding in picture.findings}
    warnings = []
    if delivery.background.only_synthetic:
        warnings.append("The model was trained on synthetic pictures only. It has never seen a real one.")
    unlike = sum(picture.familiarity == UNLIKE for picture in delivery.pictures)
    if unlike:
        seen = _count(unlike, "picture")
        warnings.append(f"Unlike anything that the model was trained on: {seen}, marked below.")
    notes = Counter(picture.note for picture in delivery.pictures if picture.note)
    warnings += [f"{note} ({_count(count, 'picture')})" for note, count in notes.most_common(_NOTES)]
    if "unknown" in severities:
        warnings.append("Severities are not known, because the conditions that they need were not given.")
    return warnings


# ----------------------------------------------------------------------------------------------------------- map


def _map(delivery: Delivery) -> list[str]:
    drawings = draw_maps(delivery)
    unknown = sum(not picture.located for picture in delivery.pictures)
    if not drawings:
        some = unknown < len(delivery.pictures)
        why = "Nothing was found that could be shown on it" if some else "No picture says where it was taken"
        return ["<h2>Map</h2>", paragraph(f"{why}, so there is no map.")]
    note = f" The position of {_count(unknown, 'picture')} is unknown." if unknown else ""
    approximate = any(
        position_of(picture, finding)[2] == "camera" for picture in delivery.pictures for finding in picture.findings
    )
    where = " Findings are shown at the position of the camera." if approximate else ""
    several = f" {len(drawings)} sites, in the order of the pictures." if len(drawings) > 1 else ""
    shown = drawings[:_MAPS]
    left = f" Maps are drawn of the first {_MAPS}; all are in the GeoPackage." if len(drawings) > _MAPS else ""
    return ["<h2>Map</h2>", *shown, paragraph(f"North is up. Coordinates are WGS 84.{several}{left}{where}{note}")]


# ------------------------------------------------------------------------------------------------------ findings


def _findings(delivery: Delivery) -> list[str]:
    every = delivery.findings()
    if not every:
        return ["<h2>Findings</h2>", paragraph("None.")] if _lists_findings(delivery) else []
    blocks = ["<h2>Findings</h2>"]
    heading, shown = None, every[:SHOWN]
    for number, ((picture, finding, _), crop) in enumerate(zip(shown, _crops(delivery, shown), strict=True), start=1):
        if finding["severity"] != heading:
            heading = finding["severity"]
            blocks += ["</div>"] if number > 1 else []
            blocks += [f"<h3>{escape(f'Severity: {heading}' if heading else 'All')}</h3>", '<div class="cards">']
        blocks.append(_card(number, picture, finding, crop))
    blocks.append("</div>")
    if len(every) > SHOWN:
        blocks.append(paragraph(f"In findings.csv: {_count(len(every) - SHOWN, 'more finding')}."))
    return blocks


def _lists_findings(delivery: Delivery) -> bool:
    return not any(name.startswith("share_") for picture in delivery.pictures for name in picture.summary)


def _card(number: int, picture: Picture, finding: SavedFinding, crop: str) -> str:
    lon, lat, where = position_of(picture, finding)
    lines = [f"{finding['kind']}, score {finding['score']:.2f}", *map(_figure, _figures(finding))]
    if lon is not None and lat is not None:
        lines.append(f"{lat:.6f}, {lon:.6f}" + (" (camera)" if where == "camera" else ""))
    said = "".join(f"<li>{escape(line)}</li>" for line in lines)
    name = escape(Path(picture.file).name)
    return (
        f'<figure id="finding-{number}">{crop}<figcaption><b>{number}. {name}</b><ul>{said}</ul></figcaption></figure>'
    )


def _figures(finding: SavedFinding) -> list[tuple[str, float | int | str | None]]:
    return [(name, finding["figures"][name]) for name in figure_names(finding["figures"])]


def _figure(item: tuple[str, float | int | str | None]) -> str:
    """`rise_k: 12.34` as a person reads it."""
    name, value = item
    words, _, unit = name.rpartition("_")
    shown = _plain(value) if isinstance(value, int | float) else str(value)
    units = {"k": "K", "m": "m", "px": "px", "m2": "m2", "level": "level"}
    return f"{words.replace('_', ' ')} {shown} {units[unit]}" if unit in units else f"{name.replace('_', ' ')} {shown}"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _WHOLE_FROM else f"{value:.4g}"


def _crops(delivery: Delivery, shown: Sequence[tuple[Picture, SavedFinding, int]]) -> list[str]:
    """Each finding and what is around it, out of the drawn answers; each of these is decoded once."""
    crops = [""] * len(shown)
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, (picture, _, _) in enumerate(shown):
        numbers[picture.name].append(number)
    for name, within in numbers.items() if delivery.drawn else ():
        drawn = _open_drawn(delivery.out / f"{name}.png")
        for number in within:
            picture, finding, _ = shown[number]
            crops[number] = _crop(drawn, picture, finding)
    return crops


def _open_drawn(path: Path) -> Image:
    """A drawn answer. Not Image.open: that asks about a size which our own drawing may have."""
    from PIL.PngImagePlugin import PngImageFile

    try:
        with PngImageFile(path) as drawn:
            drawn.load()
            return drawn
    except (OSError, SyntaxError) as error:
        raise BackendError(
            f"the picture of an answer cannot be read ({error})",
            where=path,
            way_out="Remove the picture and run predict again: it is then drawn again.",
        ) from error


def _crop(drawn: Image, picture: Picture, finding: SavedFinding) -> str:
    """As an image inside the page."""
    part = drawn.crop(_window(drawn.size, picture.size or drawn.size, finding["box"]))
    part = part.convert("RGB")
    part.thumbnail((_CROP_PX, _CROP_PX))
    file = io.BytesIO()
    part.save(file, "JPEG", quality=85)
    content = base64.b64encode(file.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{content}" alt="{escape(finding["kind"])}">'


def _window(drawn: tuple[int, int], size: tuple[int, int], box: Sequence[float]) -> tuple[int, int, int, int]:
    """What is cut out of a drawing: around the box, and within the panel that shows the answer.

    A drawing may be smaller than its picture, and may hold the picture as it came at the left of the answer.
    """
    scale = drawn[1] / size[1]
    panel = min(round(size[0] * scale), drawn[0])
    x0, y0, x1, y1 = (value * scale for value in box)
    side = min(max(_AROUND * max(x1 - x0, y1 - y0), _CROP_PX / 2), panel, drawn[1])
    left = min(max((x0 + x1 - side) / 2, 0), panel - side) + drawn[0] - panel
    top = min(max((y0 + y1 - side) / 2, 0), drawn[1] - side)
    return round(left), round(top), round(left + side), round(top + side)


# ------------------------------------------------------------------------------------------------- what remains


def _pictures(delivery: Delivery) -> list[str]:
    rows = [(p.file, p.shot.time or "-", p.found, p.familiarity) for p in delivery.pictures[:_LISTED]]
    more = len(delivery.pictures) - len(rows)
    blocks = ["<h2>Pictures</h2>", table(("file", "taken", "found", "input"), rows)]
    return blocks + ([paragraph(f"{more} more are in summary.csv.")] if more else [])


def _refused(delivery: Delivery) -> list[str]:
    if not delivery.refused:
        return []
    rows = list(delivery.refused.items())
    blocks = ["<h2>Could not be read</h2>", table(("file", "why"), rows[:_LISTED])]
    return blocks + ([paragraph(f"{len(rows) - _LISTED} more are in summary.csv.")] if len(rows) > _LISTED else [])


def _made_by(delivery: Delivery) -> list[str]:
    said = {name.replace("_", " "): value for name, value in delivery.identity.items()}
    said["trained and evaluated on"] = str(delivery.background)
    for name, value in delivery.conditions.items():
        said[f"condition {name}"] = value
    if not delivery.conditions:
        said["conditions"] = "none were given"
    said["threshold"] = "the model's own" if delivery.threshold is None else delivery.threshold
    rows = [(name, "-" if value in (None, "") else str(value)) for name, value in said.items()]
    return ["<h2>How it was made</h2>", table(("what", "value"), rows)]
