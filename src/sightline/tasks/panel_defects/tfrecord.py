"""TFRecord files without TensorFlow: length-prefixed records, each a `tf.train.Example` of float lists. Untrusted.

    record = length (uint64) | masked CRC of length (uint32) | data | masked CRC of data (uint32), little-endian
    Example = {1: Features = {1: map<string, Feature = {2: FloatList = {1: repeated float}}>}}

CRC is CRC-32C (Castagnoli, RFC 3720), masked as TensorFlow does. Files may be compressed by gzip.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.files import open_file, replacing

MAX_RECORD_BYTES = 64 * 2**20
"""No more is read at once: 14 float lists of 1024 x 1024."""

GZIP_MAGIC = b"\x1f\x8b"

_HEAD = struct.Struct("<QI")
_CRC = struct.Struct("<I")
_COPY_AGAIN = "Copy the file again from the original."

# ------------------------------------------------------------------------------------------------------- frames


def read_records(source: Path | bytes, where: str) -> Generator[bytes, None, None]:
    """The records of a file (or of its bytes), one after another; gzip is told by the content.

    Raises:
        DataRejected: truncated, corrupt, or a record is too large; names the file and the record.
    """
    with _opened(source, where) as file:
        number = 0
        while True:
            record = _read_record(file, f"{where}: record {number}")
            if record is None:
                return
            yield record
            number += 1


def _opened(source: Path | bytes, where: str) -> IO[bytes]:
    file: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else open_file(source, where)
    magic = file.read(2)
    file.seek(0)
    return cast(IO[bytes], _Gzip(file)) if magic == GZIP_MAGIC else file


class _Gzip(gzip.GzipFile):
    """A gzip stream that closes the file below it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._below = file

    def close(self) -> None:
        super().close()
        self._below.close()


def _read_record(file: IO[bytes], where: str) -> bytes | None:
    """The next record; None at the end of the file."""
    try:
        head = file.read(_HEAD.size)
        if not head:
            return None
        if len(head) < _HEAD.size:
            raise DataRejected("the file is truncated within the length", where=where, way_out=_COPY_AGAIN)
        length, crc = _HEAD.unpack(head)
        if crc != masked_crc(head[:8]):
            raise DataRejected("the checksum of the length is wrong", where=where, way_out=_COPY_AGAIN)
        if length > MAX_RECORD_BYTES:
            raise DataRejected(f"{length:,} bytes are more than {MAX_RECORD_BYTES:,}", where=where, way_out=_COPY_AGAIN)
        data, tail = file.read(length), file.read(_CRC.size)
    except (OSError, EOFError, zlib.error) as error:
        raise DataRejected(f"the compressed file is broken: {error}", where=where, way_out=_COPY_AGAIN) from error
    if len(data) < length or len(tail) < _CRC.size:
        raise DataRejected("the file is truncated within the record", where=where, way_out=_COPY_AGAIN)
    if _CRC.unpack(tail)[0] != masked_crc(data):
        raise DataRejected("the checksum of the record is wrong", where=where, way_out=_COPY_AGAIN)
    return data


def frame(data: bytes) -> bytes:
    """A record with its length and checksums."""
    length = struct.pack("<Q", len(data))
    return length + _CRC.pack(masked_crc(length)) + data + _CRC.pack(masked_crc(data))


def write_records(path: Path, records: Iterable[bytes]) -> None:
    """Write a file whole or not at all; compressed where the name ends in .gz (the same bytes).

    Raises:
        BackendError: the disk is full or the folder cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed:
                packed.writelines(frame(record) for record in records)
        else:
            file.writelines(frame(record) for record in records)


# ---------------------------------------------------------------------------------------------------- checksums


def masked_crc(data: bytes) -> int:
    """CRC-32C of the data, rotated and offset as TFRecord does."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli).

    The checksum is linear over GF(2): many pieces of the data are worked on at once and then joined, which takes a
    few milliseconds a megabyte.
    """
    lanes = 4096 if len(data) >= 2**16 else 1
    tables = _tables()
    words = np.zeros(-(-len(data) // (4 * lanes)) * lanes * 4 + 4 * lanes, dtype=np.uint8)
    words[len(words) - len(data) :] = np.frombuffer(data, dtype=np.uint8)  # zeros in front do not count
    # The initial state of ones, as an exclusive or with the first four bytes (the state alone where there are fewer).
    first = words[len(words) - len(data) :][:4]
    first ^= 0xFF
    state = np.zeros(lanes, dtype=np.uint32)
    for column in np.ascontiguousarray(words.view("<u4").reshape(lanes, -1).T):
        state ^= column
        state = (
            tables[3][state & 255] ^ tables[2][state >> 8 & 255] ^ tables[1][state >> 16 & 255] ^ tables[0][state >> 24]
        )
    joined = _join(state, len(words) // lanes)
    if len(data) < 4:
        joined ^= 0xFFFFFFFF >> 8 * len(data)
    return joined ^ 0xFFFFFFFF


@cache
def _tables() -> NDArray[np.uint32]:
    """(4, 256): what a byte leaves in the state after 1, 2, 3 and 4 bytes."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(0x82F63B78), table >> 1)
    tables = [table]
    for _ in range(3):
        tables.append(tables[-1] >> 8 ^ table[tables[-1] & 255])
    return np.array(tables, dtype=np.uint32)


def _join(state: NDArray[np.uint32], lane_bytes: int) -> int:
    """The state after all pieces, from the states of pieces of `lane_bytes` each that began with zero."""
    shift = _zeros(lane_bytes)
    while len(state) > 1:
        state = _apply(shift, state[0::2]) ^ state[1::2]
        shift = _apply(shift, shift)
    return int(state[0])


@cache
def _zeros(count: int) -> NDArray[np.uint32]:
    """(32,) what each bit of the state becomes after `count` bytes of zero."""
    result = np.uint32(1) << np.arange(32, dtype=np.uint32)
    step = result >> 8 ^ _tables()[0][result & 255]
    while count:
        if count & 1:
            result = _apply(step, result)
        step = _apply(step, step)
        count >>= 1
    return result


def _apply(matrix: NDArray[np.uint32], values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    bits = (values[:, None] >> np.arange(32, dtype=np.uint32) & 1).astype(bool)
    return np.asarray(np.bitwise_xor.reduce(np.where(bits, matrix, np.uint32(0)), axis=1))


# ----------------------------------------------------------------------------------------------------- protobuf

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_FIELDS = 100_000


@dataclass
class _Budget:
    """How many more fields of a record are looked at: a chip has some 60, and its values need no field each.

    A few kilobytes of gzip may inflate to millions of empty fields, each of which costs as much as a million values.
    """

    where: str
    left: int = _MOST_FIELDS

    def spend(self) -> None:
        """Raise DataRejected where they are used up."""
        self.left -= 1
        if self.left < 0:
            raise DataRejected(
                f"it has more than {_MOST_FIELDS:,} fields",
                where=self.where,
                way_out="Export the samples again from where they come from.",
            )


def read_example(record: bytes, where: str) -> dict[str, NDArray[np.float32]]:
    """Name -> values of the float lists of a `tf.train.Example`; features of another kind are left out.

    Raises:
        DataRejected: the record is no such message; names the file, the record and the feature.
    """
    floats: dict[str, NDArray[np.float32]] = {}
    budget = _Budget(where)
    for key, features in _fields(memoryview(record), where, budget):
        if key != 1 or isinstance(features, int):
            continue
        for inner, entry in _fields(features, where, budget):
            if inner == 1 and not isinstance(entry, int):
                name, values = _read_feature(entry, where, budget)
                if values is not None:
                    floats[name] = values
    return floats


def _read_feature(entry: memoryview, where: str, budget: _Budget) -> tuple[str, NDArray[np.float32] | None]:
    name, values = "", None
    for key, part in _fields(entry, where, budget):
        if isinstance(part, int):
            continue
        if key == 1:
            name = bytes(part).decode("utf-8", errors="replace")
        if key == 2:
            for kind, content in _fields(part, f"{where}: feature {name!r}", budget):
                if kind == 2 and not isinstance(content, int):
                    values = _read_floats(content, f"{where}: feature {name!r}", budget)
    return name, values


def _read_floats(content: memoryview, where: str, budget: _Budget) -> NDArray[np.float32]:
    """A FloatList, packed (one field) or not (a field for each value)."""
    data = np.frombuffer(content, dtype=np.uint8)
    if len(data) and len(data) % 5 == 0 and (data[::5] == (1 << 3 | _FIXED32)).all():
        return data.reshape(-1, 5)[:, 1:].copy().view("<f4").ravel()
    pieces = []
    for key, part in _fields(content, where, budget):
        if key != 1 or isinstance(part, int):
            continue
        if len(part) % 4:
            raise _broken(where)
        pieces.append(np.frombuffer(part, dtype="<f4"))
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)


def _fields(message: memoryview, where: str, budget: _Budget) -> Iterator[tuple[int, memoryview | int]]:
    """(number, content) of each field: bytes, or the value of a varint."""
    at = 0
    while at < len(message):
        budget.spend()
        tag, at = _varint(message, at, where)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at, where)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint(message, at, where)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise _broken(where)
        if length > len(message) - at:
            raise _broken(where)
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int, where: str) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(message):
            raise _broken(where)
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise _broken(where)


def _broken(where: str) -> DataRejected:
    return DataRejected(
        "this is not a tf.train.Example", where=where, way_out="Export the samples again from where they come from."
    )


def example(floats: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The `tf.train.Example` that `read_example` reads back; float lists packed, in the order given."""
    entries = []
    for name, values in floats.items():
        feature = _field(2, _field(1, np.ascontiguousarray(values, dtype="<f4").tobytes()))
        entries.append(_field(1, _field(1, name.encode()) + _field(2, feature)))
    return _field(1, b"".join(entries))


def _field(number: int, content: bytes) -> bytes:
    size, length = len(content), bytearray()
    while size >= 128:
        length.append(size & 127 | 128)
        size >>= 7
    length.append(size)
    return bytes([number << 3 | _BYTES]) + bytes(length) + content
