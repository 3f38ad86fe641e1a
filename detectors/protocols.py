"""The contracts between foxing's parts: a device, a signal, and what it measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

    from detectors.documents import Documents

__all__ = ["Device", "Measure", "Piecewise", "Pinned", "Signal"]


class Device(Enum):
    """Where a signal's model runs. `AUTO` takes a GPU when there is one and says which it took."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Measure = Callable[["Documents"], "pa.RecordBatch"]
"""Measures one batch: `Signal.schema` back, same row count, same order.

A field is null where it is undefined for that document (too short, abstained). Rows whose text is null may hold
anything: the scan masks them. A measure must not depend on how rows are split into batches.
"""


@runtime_checkable
class Signal(Protocol):
    """One thing that can be measured about a document, independently of every other document.

    An instance *is* its configuration: a frozen dataclass whose fields are the settings, picklable and cheap to
    build. `name`, `version`, `reads` and `schema` are class attributes. Raise `version` whenever the same settings
    would give other numbers: findings of another version are never mixed.

    Attributes:
        name: lower-case identifier, also the findings folder and struct column.
        version: of the numbers, not of the code.
        reads: what the signal looks at: `"text"` (the whole row as prose), `"response"` (the part that an author
            answered with; the whole row in plain corpora), or `"column:NAME"` for a raw column.
        schema: fields of one finding, documented through `pa.field(..., metadata={"doc": ...})`.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - described above

    @property
    def version(self) -> int: ...  # noqa: D102

    @property
    def reads(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def schema(self) -> pa.Schema: ...  # noqa: D102

    def __hash__(self) -> int: ...

    def load(self, device: Device) -> Measure:
        """Load models and tables, once per worker, and return the function that measures a batch."""
        ...


@runtime_checkable
class Pinned(Protocol):
    """A signal that reads a file that a user names; optional.

    Its settings hold the path (a field with metadata `{"location": True}`) and a digest that `pinned` fills in, so
    that findings say what was read and not only where it lay.
    """

    def pinned(self) -> Self:
        """The same settings with the digest of the file as it is now.

        Raises:
            SignalError: it cannot be read, or a digest that is set already is another one.
        """
        ...


@runtime_checkable
class Piecewise(Protocol):
    """A signal that says what its measures of the pieces of a long document come to; optional.

    A scan cuts documents of more than `detectors.pieces.LONG_BYTES` into pieces (at white space, where there is any),
    measures these as documents of their own and combines them, so that memory and cost a byte stay flat. A signal
    without `combine` is given such a document whole.
    """

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        """One row of `Signal.schema` for one document.

        Args:
            pieces: what was measured of each piece, in the order of the text; two rows or more.
            starts: byte offset in the document of each piece.
        """
        ...
