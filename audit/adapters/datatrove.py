"""A block of a datatrove pipeline: measures documents, writes findings into their metadata, and drops by rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datatrove.pipeline.filters.base_filter import BaseFilter

from audit.adapters import FIELDS, column_name
from audit.in_memory import Judge

if TYPE_CHECKING:
    from datatrove.data import Document
    from datatrove.pipeline.writers.disk_base import DiskWriter

__all__ = ["FoxingFilter"]


class FoxingFilter(BaseFilter):
    """Measures batches of documents. Without rules to drop by it passes everything on, with findings beside it.

    Args:
        judge: what to measure; its `drop` names the rules whose hits are removed, each counted as `dropped_FX...`.
        fields: columns of `Judge.frame`, or `signal.field`, for the metadata, under `audit.adapters.column_name`.
        batch_size: documents measured together.
        exclusion_writer: gets the documents that are removed, with the rule as `filter_reason`.
    """

    name = "🦊 Foxing"

    def __init__(
        self,
        judge: Judge | None = None,
        *,
        fields: Sequence[str] = FIELDS,
        batch_size: int = 1000,
        exclusion_writer: DiskWriter | None = None,
    ) -> None:
        super().__init__(exclusion_writer, batch_size)
        self.judge = judge or Judge()
        self.fields = tuple(fields)

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Measure one document; see `filter_batch`."""
        (verdict,) = self.filter_batch([doc])
        return verdict

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        """Measure documents, and say of each whether it stays, else the first rule that drops it."""
        found = self.judge.columns((document.text for document in batch), (*self.fields, "dropped_by"))
        for name in self.fields:
            for document, value in zip(batch, found[name], strict=True):
                document.metadata[column_name(name)] = value
        return [True if rule is None else (False, str(rule)) for rule in found["dropped_by"]]
