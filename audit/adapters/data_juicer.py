"""An operator of data-juicer: measures samples, writes findings into their stats, and drops by rules.

Registered as `foxing_filter` by an entry point, `data_juicer.ops`: where foxing is installed, a recipe just names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from data_juicer.ops.base_op import OPERATORS, Filter
from data_juicer.utils.constant import Fields

from audit.adapters import FIELDS, column_name
from audit.in_memory import PER_TEXT, Judge

__all__ = ["FoxingFilter"]

_DROPPED_BY = column_name("dropped_by")


@OPERATORS.register_module("foxing_filter")
class FoxingFilter(Filter):
    """Measures batches of samples; keeps what no rule of `drop` hits. Findings are in `__dj__stats__`.

    Args:
        signals: what to measure.
        drop: ids of the rules whose hits are removed.
        fields: columns of `Judge.frame`, or `signal.field`, for the stats, under `audit.adapters.column_name`.
        settings: `[tool.foxing.signal.NAME]` tables, by name.
        rules: `[tool.foxing.rule.ID]` tables, by id.
        options: what every operator of data-juicer takes, such as `text_key`, `num_proc` and `batch_size`.
    """

    _batched_op = True

    def __init__(
        self,
        *,
        signals: Sequence[str] = PER_TEXT,
        drop: Sequence[str] = (),
        fields: Sequence[str] = FIELDS,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        rules: Mapping[str, Mapping[str, object]] | None = None,
        **options: object,
    ) -> None:
        super().__init__(**options)
        self.judge = Judge(tuple(signals), settings or {}, rules or {}, drop=tuple(drop))
        self.fields = tuple(dict.fromkeys((*fields, "dropped_by")))

    def compute_stats_batched(self, samples: dict[str, list[Any]], context: bool = False) -> dict[str, list[Any]]:
        """Add findings to the stats of each sample."""
        found = self.judge.columns(samples[self.text_key], self.fields)
        for row, stats in enumerate(samples[Fields.stats]):
            stats.update({column_name(name): values[row] for name, values in found.items()})
        return samples

    def process_batched(self, samples: dict[str, list[Any]]) -> list[bool]:
        """Whether each sample stays."""
        return [stats[_DROPPED_BY] is None for stats in samples[Fields.stats]]
