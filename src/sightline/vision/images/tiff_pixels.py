"""The values of a TIFF's pages, once its directories are known to be sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.vision.images.orientation import UPRIGHT, upright
from sightline.vision.images.pixels import Pixels, Valid, both, filled, made_pixels, without_data
from sightline.vision.images.refusals import COPY_AGAIN, check_depth, check_pixels, check_values, unread_mode
from sightline.vision.images.tiff import check_data, mask_pages, open_tiff, picture_pages
from sightline.vision.images.tiff_tags import (
    Scales,
    compression_of,
    no_data_of,
    opacities_of,
    orientation_of,
    photometric_of,
    scaled_bands,
    scales_of,
)

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage


MAX_BANDS = 64

_LOSSLESS = ("NONE", "LZW", "PACKBITS", "DEFLATE", "ADOBE_DEFLATE", "ZSTD")
_BAND_TYPES = ("uint8", "uint16", "int16", "float16", "float32", "float64")
_LARGEST = 1e7  # float32 still tells whole numbers apart

Kind = Literal["grey", "scaled", "colour", "palette"]


# ------------------------------------------------------------------------------------------------------ picture


def decode_tiff(data: bytes, limits: Limits, where: str) -> Pixels:
    """See `decode_picture`."""
    with open_tiff(data, where) as tiff:
        pages = picture_pages(tiff)
        if len(pages) != 1:
            several = "several pages" if pages else "no page"
            raise DataRejected(f"it has {several}", where=where, way_out="Save each page as a file of its own.")
        page = pages[0]
        check_pixels(page.imagewidth, page.imagelength, limits, where)
        # A tile may be larger than the image it covers.
        check_pixels(math.prod(page.chunks), 1, limits, where)
        kind = _kind_of(page, where)
        check_data(page, data, limits, where)
        bands = _bands_of(page)
        valid = both(_mask_of(tiff, page, data, limits, where), _opacity_of(page, bands))
        values, valid = _picture(kind, page, bands, valid, where)
        orientation = orientation_of(page)
    pixels = made_pixels(upright(values, orientation), _upright_mask(valid, orientation), where, kind == "scaled")
    values = _finite(filled(pixels.values, pixels.valid), where)
    return replace(pixels, values=values, orientation=orientation)


def _kind_of(page: TiffPage, where: str) -> Kind:
    """Grey, colour or palette of 8 or 16 bits, or grey floats; nothing else is decoded."""
    shape, dtype = photometric_of(page), str(page.dtype)
    compression = compression_of(page)
    colours = page.samplesperpixel - len(opacities_of(page))
    if compression not in _LOSSLESS and not (compression == "JPEG" and dtype == "uint8"):
        raise unread_mode(f"TIFF with {compression} compression", where)
    kind: Kind | None = None
    if getattr(page, "imagedepth", 1) == 1:  # a volume is no picture
        one = colours == 1
        kind = _kind_of_one(shape, dtype, bool(scales_of(page))) if one else _kind_of_many(page, shape, dtype, colours)
    if kind is None:
        raise unread_mode(f"{shape}, {page.samplesperpixel} x {dtype}", where)
    return kind


def _kind_of_one(shape: str, dtype: str, has_scales: bool) -> Kind | None:
    """Of one value a pixel."""
    if shape == "PALETTE":
        return "palette" if dtype == "uint8" else None
    if shape not in ("MINISBLACK", "MINISWHITE"):
        return None
    if has_scales and dtype in _BAND_TYPES:
        return "scaled"
    return "grey" if dtype in ("uint8", "uint16", "float16", "float32", "float64") else None


def _kind_of_many(page: TiffPage, shape: str, dtype: str, colours: int) -> Kind | None:
    """Of several values a pixel."""
    coloured = shape == "RGB" or (shape == "YCBCR" and compression_of(page) == "JPEG")
    sized = colours >= 3 and page.samplesperpixel <= 4 and dtype in ("uint8", "uint16")
    return "colour" if coloured and sized else None


def _picture(
    kind: Kind, page: TiffPage, bands: NDArray[np.generic], valid: Valid, where: str
) -> tuple[NDArray[np.generic], Valid]:
    """(h, w) or (h, w, 3) of a page's bands, and where it has data."""
    if kind == "palette":
        colours = np.asarray(page.colormap)
        if colours.max() > 255:  # else the program wrote 8 bits where 16 belong
            colours = colours >> 8
        return colours.T.astype(np.uint8)[bands[0]], both(valid, without_data(bands[:1], no_data_of(page)))
    if kind == "colour":
        valid = both(valid, _any_band(bands[:3], no_data_of(page)))
        return _eight_bits(np.moveaxis(bands[:3], 0, -1), where), valid
    valid = both(valid, without_data(bands[:1], no_data_of(page)))
    values = scaled_bands(bands[:1], scales_of(page))[0]
    if photometric_of(page) == "MINISWHITE" and values.dtype.kind == "u":
        values = np.iinfo(values.dtype).max - values
    return values, valid


def _any_band(bands: NDArray[np.generic], no_data: float | None) -> Valid:
    """A colour is missing where all of its bands are: pure blue has no red."""
    if no_data is None or math.isnan(no_data):
        return None
    return np.asarray((bands != no_data).any(axis=0))


def _eight_bits(colours: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if colours.dtype == np.uint8:
        return np.ascontiguousarray(colours)
    cut = (colours >> 8).astype(np.uint8)
    check_depth(int(cut.max()), where)
    return np.ascontiguousarray(cut)


def _upright_mask(valid: Valid, orientation: int) -> Valid:
    return None if valid is None else upright(valid, orientation)


def _finite(values: NDArray[np.generic], where: str) -> NDArray[np.generic]:
    """Floats as float32; NaN, infinity and what is no count and no physical unit is refused."""
    if values.dtype.kind != "f":
        return values
    if not np.isfinite(values).all():
        raise DataRejected(
            "it holds NaN or infinite values",
            where=where,
            way_out="Replace the missing pixels, or declare NaN as the no-data value (gdal_edit.py -a_nodata nan).",
        )
    if np.abs(values).max() > _LARGEST:
        raise DataRejected(
            f"it holds values beyond {_LARGEST:.0e}",
            where=where,
            way_out="Save the values as counts, or in a larger unit.",
        )
    return values.astype(np.float32)


def _opacity_of(page: TiffPage, bands: NDArray[np.generic]) -> Valid:
    """Where no band of opacity is 0."""
    opacities = opacities_of(page)
    return np.asarray((bands[list(opacities)] != 0).all(axis=0)) if opacities else None


def _mask_of(tiff: TiffFile, page: TiffPage, data: bytes, limits: Limits, where: str) -> Valid:
    """What the mask within the file leaves, as GDAL writes it: a page of the picture's size."""
    masks = mask_pages(tiff)
    if not masks:
        return None
    mask = masks[0]
    if (mask.imagewidth, mask.imagelength) != (page.imagewidth, page.imagelength) or mask.samplesperpixel != 1:
        raise DataRejected(
            "its mask is of another size", where=where, way_out="Save the mask in the size of the image."
        )
    check_pixels(math.prod(mask.chunks), 1, limits, where)
    if compression_of(mask) not in _LOSSLESS:
        raise unread_mode(f"TIFF whose mask has {compression_of(mask)} compression", where)
    check_data(mask, data, limits, where)
    return np.asarray(mask.asarray() != 0).reshape(page.imagelength, page.imagewidth)


# -------------------------------------------------------------------------------------------------------- bands


def decode_tiff_bands(data: bytes, limits: Limits, where: str) -> Pixels:
    """See `decode_bands`."""
    with open_tiff(data, where) as tiff:
        pages = picture_pages(tiff)
        _check_band_pages(pages, limits, where)
        for page in pages:
            check_data(page, data, limits, where)
        bands = _stacked([_planes_of(page) for page in pages], where)
        mask = _mask_of(tiff, pages[0], data, limits, where)
        declared, orientation = declared_by(pages), orientation_of(pages[0])
    bands, valid = in_unit(bands, mask, declared)
    if orientation != UPRIGHT:
        bands = np.ascontiguousarray(np.moveaxis(upright(np.moveaxis(bands, 0, -1), orientation), -1, 0))
    return made_pixels(bands, _upright_mask(valid, orientation), where, bool(declared.scales))


@dataclass(frozen=True)
class Declared:
    """What the tags of pages say of their bands, which are counted through all pages."""

    opacities: tuple[int, ...]
    scales: Scales
    no_data: float | None


def declared_by(pages: Sequence[TiffPage]) -> Declared:
    """What the tags say. Where bands are pages, each has its own scale, or the first page has those of all."""
    first = pages[0]
    if len(pages) == 1:
        return Declared(opacities_of(first), scales_of(first), no_data_of(first))
    own = {number: scales[0] for number, page in enumerate(pages) if 0 in (scales := scales_of(page))}
    return Declared((), {**own, **scales_of(first)}, no_data_of(first))


def in_unit(stored: NDArray[np.generic], mask: Valid, declared: Declared) -> tuple[NDArray[np.generic], Valid]:
    """Stored bands (bands, h, w) without those of opacity, in the unit that is declared, and where they have data."""
    valid = mask
    if declared.opacities:
        opaque = (stored[list(declared.opacities)] != 0).all(axis=0)
        valid = both(valid, np.asarray(opaque))
        stored = np.delete(stored, declared.opacities, axis=0)
    valid = both(valid, without_data(stored, declared.no_data))
    if declared.scales and len(stored) > 1:  # what was never written stays 0, whatever its offset makes of that
        valid = both(valid, without_data(stored, 0))
    return scaled_bands(stored, declared.scales), valid


def _bands_of(page: TiffPage) -> NDArray[np.generic]:
    """(bands, h, w) of one page."""
    planes = _planes_of(page)
    return (
        np.moveaxis(planes, -1, 1).reshape(-1, *planes.shape[1:3]) if len(planes) > 1 else np.moveaxis(planes[0], -1, 0)
    )


def _planes_of(page: TiffPage) -> NDArray[np.generic]:
    """(planes, h, w, samples) of one page, in the machine's byte order."""
    values: NDArray[np.generic] = page.asarray(squeeze=False)[:, 0]  # without the depth, which is 1
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _check_band_pages(pages: list[TiffPage], limits: Limits, where: str) -> None:
    """What the headers say: pages alike, of a kind that is read, and not too many values."""
    if not pages:
        raise DataRejected("it has no page", where=where, way_out=COPY_AGAIN)
    first = pages[0]
    check_values(first.imagewidth, first.imagelength, len(pages) * first.samplesperpixel, limits, where)
    for page in pages:
        check_pixels(math.prod(page.chunks), 1, limits, where)  # a tile may be larger than the image it covers
        if (page.shaped, page.dtype, page.planarconfig) != (first.shaped, first.dtype, first.planarconfig):
            raise DataRejected(
                "its pages differ in size or type",
                where=where,
                way_out="Save one band per page, all of one size and type.",
            )
    kind = f"{photometric_of(first)}, {first.samplesperpixel} x {first.dtype}, {compression_of(first)}"
    lossless = all(compression_of(page) in _LOSSLESS for page in pages)
    plain = photometric_of(first) in ("MINISBLACK", "RGB") and first.imagedepth == 1
    if not (plain and lossless and str(first.dtype) in _BAND_TYPES):
        raise DataRejected(
            f"a TIFF of {kind} is not supported",
            where=where,
            way_out="Save 8- or 16-bit integers or floats, uncompressed or by LZW, deflate, packbits or zstd.",
        )


def _stacked(arrays: list[NDArray[np.generic]], where: str) -> NDArray[np.generic]:
    """A (planes, h, w, samples) array a page to (bands, h, w), in the machine's byte order."""
    planes, height, width, samples = arrays[0].shape
    if len(arrays) == 1:
        bands = np.moveaxis(arrays[0], -1, 1).reshape(-1, height, width)
    elif planes * samples == 1:
        bands = np.stack([array[0, ..., 0] for array in arrays])
        if len(arrays) > width <= MAX_BANDS:
            bands = np.moveaxis(bands, -1, 0)
    else:
        raise DataRejected(
            f"it has {len(arrays)} pages of {planes * samples} bands",
            where=where,
            way_out="Save each image as a file of its own.",
        )
    if len(bands) > MAX_BANDS:
        raise DataRejected(
            f"{len(bands)} bands are more than {MAX_BANDS}", where=where, way_out="Save the file with fewer bands."
        )
    return np.ascontiguousarray(bands, dtype=bands.dtype.newbyteorder("="))
