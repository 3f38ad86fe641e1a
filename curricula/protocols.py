"""The contract of a curriculum: from decided rows to an order, one row in, one row out."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CURRICULA", "Curriculum", "Dividing", "Dropping", "Editing", "Reporting", "Resampling"]

CURRICULA = "foxing.curricula"


@runtime_checkable
class Curriculum(Protocol):
    """Says in which order, and how often, the rows of a corpus are read in training.

    An instance is its configuration: a frozen dataclass with a `seed` field, cheap to build; its fields are the keys of
    `[tool.foxing.curriculum.NAME]`. Third parties register the class in the entry-point group `foxing.curricula`.

    Attributes:
        name: lower-case identifier, as `--curriculum` takes it.
        orders: True when `rank` sets an order; of several curricula composed, one may.
        needs: signals whose findings it reads, for example `("ai_text",)`.
        seed: makes every random choice; the same seed gives the same output.
    """

    name: ClassVar[str]
    orders: ClassVar[bool]
    needs: ClassVar[tuple[str, ...]]

    @property
    def seed(self) -> int:
        """The seed it was built with."""
        ...

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Give every row its place.

        Args:
            decided: one row per corpus row, in corpus order: index int64 (position in the corpus), shard str, row
                int64, source str, a struct column for each signal in `needs` (null: unmeasured), rules list[str],
                exempt bool (on the allow-list), action str ("keep", "report" or "drop"). What is ranked of a dropped
                row is ignored.

        Returns:
            One row for each `index`, in any order, with `index`, `rank` (int64: lower is read earlier, equal ranks keep
            corpus order, null follows all others in corpus order) and optionally `copies` (int32 >= 1, 1 when absent).
        """
        ...


@runtime_checkable
class Dropping(Protocol):
    """A curriculum that leaves rows out, besides what `--drop` names; optional.

    Attributes:
        drops: ids of the rules whose hits go to dropped/.
    """

    drops: ClassVar[tuple[str, ...]]


@runtime_checkable
class Resampling(Protocol):
    """A curriculum that may give rows no copies; optional.

    A kept row that gets 0 goes to dropped/, counted under the name of the curriculum. Those that resample are applied
    before those that order or edit, in the order in which they are named, and copies multiply. A row on the allow-list
    gets one copy from a curriculum that reads `ai_text`, whatever it asks for.

    Attributes:
        resamples: True.
    """

    resamples: ClassVar[bool]


@runtime_checkable
class Reporting(Protocol):
    """A curriculum that says in numbers what it came to, for `--dry-run` and the manifest; optional."""

    def report(self, decided: pl.LazyFrame) -> dict[str, float]:
        """Numbers by name, of the rows as `rank` sees them."""
        ...


@runtime_checkable
class Editing(Protocol):
    """A curriculum that gives rows other answers; optional. Of several curricula composed, one may.

    Its `rank` gives a column `answer` besides (str): the text that takes the place of the row's answer, null where the
    row stays as it is. What it gives for dropped rows, and for rows of plain text, is ignored. What stood there is kept
    in the output beside it.

    Attributes:
        edits: True.
    """

    edits: ClassVar[bool]


@runtime_checkable
class Dividing(Protocol):
    """A curriculum that sends rows to different parts of the output; optional. Of several curricula composed, one may.

    Its `rank` gives a column `part` besides (int): the place of the row's part in `parts`; what it gives for dropped
    rows is ignored.
    """

    @property
    def parts(self) -> tuple[str, ...]:
        """Folders below data/, in order; none where, as it is set up, it divides nothing."""
        ...

    @property
    def masked(self) -> tuple[str, ...]:
        """Those of its parts whose form is to be written beside them, in mask/; "" is all of data/."""
        ...
