"""A function for `datasets.map`: the columns of a batch with findings beside the text, and their types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit.adapters import FIELDS, column_name
from audit.in_memory import Judge

if TYPE_CHECKING:
    from datasets import Features

__all__ = ["Findings"]


@dataclass(frozen=True)
class Findings:
    """Measures the texts of a batch: `data.map(findings, batched=True, features=findings.features(data.features))`.

    Columns are named by `audit.adapters.column_name`. It is picklable, and hashes alike in every run as long as it is
    set up alike, so that the cache of datasets is found again.

    Attributes:
        judge: what to measure and which rules drop.
        fields: columns of `Judge.frame`, or `signal.field`.
        text: column of the text.
    """

    judge: Judge = field(default_factory=Judge)
    fields: tuple[str, ...] = FIELDS
    text: str = "text"

    def __call__(self, batch: Mapping[str, Sequence[str | None]]) -> dict[str, list[object]]:
        """New columns for a batch.

        Raises:
            ConfigError: the batch has no such text column, or what `Judge.columns` raises.
        """
        from detectors.errors import ConfigError

        if self.text not in batch:
            raise ConfigError(f"no column {self.text!r} in the data set. There is: {', '.join(batch)}.")
        found = self.judge.columns(batch[self.text], self.fields)
        return {column_name(name): values for name, values in found.items()}

    def features(self, known: Features) -> Features:
        """The features of the data set and of the new columns: a first batch without values leaves types open.

        Polars is not run for it, for `num_proc` forks processes, in which a Polars that has run before hangs.

        Raises:
            ConfigError: no such field.
        """
        import pyarrow as pa
        from datasets import Features

        types = self.judge.types(self.fields)
        added = pa.schema([pa.field(column_name(name), kind) for name, kind in types.items()])
        return Features({**known, **Features.from_arrow_schema(added)})
