"""The layout of `history.arrow`: one schema, a part of a history as one record batch.

The file is an Arrow IPC *stream* (Apache Arrow, "Columnar format", IPC streaming format), which
can be appended to and read up to where it ends. docs/reference/history-format.md describes it for
people who read it with another Arrow library. Offsets are 32 bits inside one batch only, and a
batch is bounded; across batches they are 64 bits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from seatrial.history.columns import History, canonical
from seatrial.op import Value

#: Key and value in the schema's metadata that say what the file is.
FORMAT_KEY, FORMAT = b"seatrial.history", b"1"

_NAME = pa.dictionary(pa.int32(), pa.utf8())
_MICRO = pa.struct(
    [
        pa.field("f", pa.int32(), nullable=False),
        pa.field("key", pa.int64(), nullable=False),
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("arg", pa.int64(), nullable=False),
        pa.field("elements", pa.list_(pa.field("item", pa.int64(), nullable=False)), False),
    ]
)
_FIELDS = [
    pa.field("process", pa.int32(), nullable=False),
    pa.field("type", pa.uint8(), nullable=False),
    pa.field("f", _NAME, nullable=False),
    pa.field("time_ns", pa.int64(), nullable=False),
    pa.field("error", _NAME),
    pa.field("key", pa.int64(), nullable=False),
    pa.field("kind", pa.uint8(), nullable=False),
    pa.field("atom", pa.int64(), nullable=False),
    pa.field("elements", pa.list_(pa.field("item", pa.int64(), nullable=False)), False),
    pa.field("micro", pa.list_(pa.field("item", _MICRO, nullable=False)), False),
    pa.field("atoms", pa.list_(pa.utf8())),
    pa.field("micro_names", pa.list_(pa.utf8())),
]
_INDEX = pa.field("index", pa.int64(), nullable=False)


def schema(indexed: bool) -> pa.Schema:
    """The schema of a history; `indexed` where indexes are not 0 … n−1 and have a column."""
    fields = [_INDEX, *_FIELDS] if indexed else _FIELDS
    return pa.schema(fields, metadata={FORMAT_KEY: FORMAT})


def batch_of(part: History, new_atoms: Sequence[Value], indexed: bool) -> pa.RecordBatch:
    """A part of a history as one record batch. O(n).

    `part` has at least one row, and its offsets begin at 0. `new_atoms` are the entries of its
    atoms that no earlier batch brought; they ride in the first row.
    """
    micro = part.micro
    names = _texts(part.names)
    micro_table = pa.StructArray.from_arrays(
        [
            pa.array(micro.f),
            pa.array(micro.key),
            pa.array(micro.kind),
            pa.array(micro.arg),
            _lists(micro.element_start, pa.array(micro.elements), _MICRO.field("elements").type),
        ],
        fields=list(_MICRO),
    )
    columns = [
        pa.array(part.process),
        pa.array(part.type),
        pa.DictionaryArray.from_arrays(pa.array(part.f), names),
        pa.array(part.time_ns),
        pa.DictionaryArray.from_arrays(pa.array(part.error, mask=part.error < 0), names),
        pa.array(part.key),
        pa.array(part.kind),
        pa.array(part.atom),
        _lists(part.element_start, pa.array(part.elements), _FIELDS[8].type),
        _lists(micro.start, micro_table, _FIELDS[9].type),
        _first_row([canonical(value) for value in new_atoms], len(part)),
        _first_row(part.names if len(micro.f) else (), len(part)),
    ]
    if indexed:
        columns.insert(0, pa.array(part.index))
    return pa.RecordBatch.from_arrays(columns, schema=schema(indexed))


def atoms_from_text(texts: Sequence[str]) -> list[Value]:
    """Entries of the atom table from their JSON texts; lists become tuples. O(total length)."""
    values = json.loads(f"[{','.join(texts)}]")
    return [value if isinstance(value, (str, float, int)) else tuples(value) for value in values]


def tuples(value: object) -> Value:
    """A parsed JSON document as a value: lists become tuples. As deep as the document."""
    if isinstance(value, list):
        return tuple(tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: tuples(item) for key, item in value.items()}
    return value  # type: ignore[return-value]  # JSON has nothing else


def _lists(start: np.ndarray, items: pa.Array, kind: pa.DataType) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(start.astype(np.int32)), items, type=kind)


def _first_row(texts: Sequence[str], rows: int) -> pa.ListArray:
    """A column of text lists that is null in every row but, if there are texts, the first."""
    if not texts:
        return pa.nulls(rows, pa.list_(pa.utf8()))
    offsets = np.full(rows + 1, len(texts), np.int32)
    offsets[0] = 0
    mask = np.ones(rows, np.bool_)
    mask[0] = False
    return pa.ListArray.from_arrays(pa.array(offsets), _texts(texts), mask=pa.array(mask))


def _texts(texts: Sequence[str]) -> pa.Array:
    """Texts as UTF-8; half a surrogate pair, which UTF-8 cannot hold, becomes a question mark."""
    return pa.array([text.encode("utf-8", "replace") for text in texts], pa.binary()).cast(
        pa.utf8()
    )
