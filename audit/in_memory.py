"""Measures and judges texts in memory: the same signals and rules as a scan, without files, for pipelines of others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from audit.config import Config
    from audit.evaluate import Measured
    from audit.rules import Rule
    from detectors.protocols import Device, Signal

__all__ = ["PER_TEXT", "Judge"]

PER_TEXT = ("document", "diversity", "language", "residue", "ai_text")
"""Signals that say something of one text by itself: what a scan measures by default but for MinHash signatures."""
_NO_SHARD = ""


@dataclass(frozen=True)
class Judge:
    """Signals and rules, ready to be used on one batch of texts after another. Picklable: workers load their own.

    Attributes:
        signals: names of what to measure; `document` is always measured.
        settings: `[tool.foxing.signal.NAME]` tables, by name.
        rules: `[tool.foxing.rule.ID]` tables, by id.
        device: auto, cpu or cuda.
        drop: ids of the rules whose hits get the action drop, besides those that the rules themselves drop.
        reference: human reference of the user's own (`foxing calibrate`) that comes before the bundled one; None for
            the bundled one alone.
    """

    signals: tuple[str, ...] = PER_TEXT
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    rules: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    device: str = "auto"
    drop: tuple[str, ...] = ()
    reference: Path | None = None

    @classmethod
    def of(cls, config: Config, signals: Sequence[str] = PER_TEXT, *, drop: Sequence[str] = ()) -> Judge:
        """A judge with the settings, the rules and the human reference of a configuration."""
        return cls(tuple(signals), config.signals, config.rules, config.scan.device, tuple(drop), config.reference)

    def __getstate__(self) -> dict[str, object]:
        """Its fields: what was loaded stays where it was."""
        return {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(self)}

    @cached_property
    def _built(self) -> tuple[Signal, ...]:
        from audit.config import Config, ScanConfig
        from audit.signals import build_signals, pinned

        own = {name: table for name, table in self.settings.items() if name in self.signals}
        built = pinned(build_signals(Config(scan=ScanConfig(signals=self.signals), signals=own)))
        for signal in built:
            columns = [name for name in signal.reads if name not in ("text", "response")]
            if columns:
                raise ConfigError(f"signal {signal.name!r} reads {columns[0]}, not text alone. Scan files for it.")
        return built

    @cached_property
    def _rules(self) -> tuple[Rule, ...]:
        from audit.expressions import parse
        from audit.rules import dropping, find, rules_from

        rules = dropping(rules_from(self.rules), self.drop)
        measured = [signal.name for signal in self._built]
        for rule_id in self.drop:
            lacks = [name for name in parse(find(rules, rule_id).when, rule_id).columns if name not in measured]
            if lacks:
                raise ConfigError(
                    f"rule {rule_id}: reads {lacks[0]}, which is not measured here. Name it among the signals, or scan."
                )
        return rules

    @cached_property
    def _device(self) -> Device:
        from audit.config import ScanConfig
        from detectors.protocols import Device

        return Device(ScanConfig(device=self.device).device)

    def frame(
        self, texts: Iterable[str | bytes | None], *, sources: Iterable[str | None] | None = None
    ) -> pl.DataFrame:
        """Measure and judge texts.

        Args:
            texts: documents; None has no measurement, and invalid UTF-8 is counted as such.
            sources: source or domain of each text, for a reference made by groups and for rules that read `source`;
                None leaves every text without one: such a reference then judges none.

        Returns:
            A row a text, in order: `row` i64, `unmeasured` u32 (signals without a measurement), `errors` list[str], a
            struct a signal, `rules` list[str] (every rule hit), `action` (keep, report or drop) and `dropped_by`.
            Binary fields, such as MinHash signatures, are left out.

        Raises:
            PluginError: no such signal. ConfigError: settings that it does not have, a signal that reads columns, a
                rule to drop by that does not exist, may only report, or reads what is not measured, a reference that
                cannot be used, or another number of sources than of texts.
        """
        import polars as pl

        from audit.calibrate import calibrated, tables_for
        from audit.evaluate import measure_blocks
        from audit.rules import decide
        from detectors.documents import Documents

        documents = Documents.from_texts(list(texts))
        found: dict[str, list[Measured]] = {signal.name: [] for signal in self._built}
        for one in measure_blocks(self._built, documents, self._device):
            found[one.signal.name].append(one)
        structs = [_struct(signal, found[signal.name]) for signal in self._built]
        frame = pl.DataFrame(structs).select(
            shard=pl.lit(_NO_SHARD),
            row=pl.int_range(pl.len(), dtype=pl.Int64),
            source=_sources(sources, len(documents)),
            unmeasured=pl.sum_horizontal(pl.all().is_null().cast(pl.UInt32)),
            errors=_errors(found, len(documents)),
            **{one.name: pl.col(one.name) for one in structs},
        )
        return decide(calibrated(frame, tables_for(self.reference)), self._rules).drop("shard", "source")

    def columns(
        self,
        texts: Iterable[str | bytes | None],
        fields: Sequence[str],
        *,
        sources: Iterable[str | None] | None = None,
    ) -> dict[str, list[object]]:
        """Some fields of `frame` as Python lists, for pipelines that know no Arrow.

        Args:
            texts: documents.
            fields: columns, or `signal.field`.
            sources: source or domain of each text, as `frame` takes it.

        Returns:
            Field to one value a text; not-a-number is None.

        Raises:
            ConfigError: no such field, or what `frame` raises.
        """
        from audit.export import selected

        return selected(self.frame(texts, sources=sources), fields).to_dict(as_series=False)

    def types(self, fields: Sequence[str]) -> dict[str, pa.DataType]:
        """Arrow types of what `columns` gives, without measuring anything.

        Raises:
            ConfigError: no such field, or a whole struct, for which there is no one column.
        """
        import pyarrow as pa

        from audit.expressions import nearest

        text = pa.string()
        known = {"row": pa.int64(), "unmeasured": pa.uint32(), "action": text, "dropped_by": text}
        known |= {"errors": pa.list_(text), "rules": pa.list_(text)}
        for signal in self._built:
            known |= {f"{signal.name}.{spec.name}": spec.type for spec in signal.schema}
            if signal.name == "ai_text":
                known |= {f"ai_text.{name}": pa.float32() for name in ("p_human", "score", "machine_share")}
        for name in fields:
            if name not in known:
                raise ConfigError(f"fields: no column {name!r}. {nearest(name, known)}")
        return {name: known[name] for name in fields}


def _sources(sources: Iterable[str | None] | None, rows: int) -> pl.Series:
    """str[rows], as findings have it: a source that is null has a name too."""
    import polars as pl

    named = [_NO_SHARD] * rows if sources is None else list(sources)
    if len(named) != rows:
        raise ConfigError(f"sources: {len(named):,} for {rows:,} texts. Give one for each text.")
    return pl.Series(named, dtype=pl.String).fill_null("(null)")


def _struct(signal: Signal, measured: Sequence[Measured]) -> pl.Series:
    """A signal's findings as findings on disk have them: a struct without binary fields, null where unmeasured."""
    import numpy as np
    import polars as pl

    from audit.findings_folder import is_binary

    names = [spec.name for spec in signal.schema if not is_binary(spec)] or signal.schema.names[:1]
    if not measured:
        empty = pl.from_arrow(signal.schema.empty_table())
        assert isinstance(empty, pl.DataFrame)
        return empty.select(names).to_struct(signal.name)
    frames = [pl.from_arrow(one.found) for one in measured]
    frame = pl.concat([frame for frame in frames if isinstance(frame, pl.DataFrame)]).select(names)
    valid = pl.Series("valid", np.concatenate([one.valid for one in measured]))
    struct = frame.select(pl.when(pl.lit(valid)).then(pl.struct(names)).alias(signal.name))
    return struct[signal.name]


def _errors(found: Mapping[str, Sequence[Measured]], rows: int) -> pl.Series:
    import polars as pl

    lists: list[list[str]] = [[] for _ in range(rows)]
    for name, measured in found.items():
        start = 0
        for one in measured:
            for row, error in enumerate(one.errors or ()):
                if error is not None:
                    lists[start + row].append(f"{name}: {error}")
            start += one.found.num_rows
    return pl.Series("errors", lists, pl.List(pl.String))
