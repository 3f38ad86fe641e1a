"""The audit as Python functions: scan, open, findings, check and judge, thin over what the command line runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from audit.assessment import Assessment
    from audit.config import Config
    from audit.findings_folder import FailedShard, Findings
    from audit.report.render import Form

    Paths = str | Path | Sequence[str | Path]

__all__ = ["Audit", "Verdicts", "check", "findings", "judge", "open", "scan"]


@dataclass(frozen=True)
class Verdicts:
    """What findings mean under rules and budgets.

    Attributes:
        assessment: all of it, with the worst rows, as `foxing check` has it.
    """

    assessment: Assessment

    @property
    def exit_code(self) -> int:
        """As that of `foxing check`: 0 within budget, 1 over budget, 2 when something could not be read."""
        return self.assessment.exit_code

    @property
    def over(self) -> tuple[str, ...]:
        """Ids of the rules over budget, in rule order."""
        return tuple(result.rule.id for result in self.assessment.over)

    @property
    def signature(self) -> str:
        """Of findings, rules and calibration: what stands beside any of the numbers when it is quoted."""
        return self.assessment.signature

    @property
    def rules(self) -> pl.DataFrame:
        """A row a rule: rule, name, verdict, budget, n, hits, share with its 95 % interval (low, high), and reason.

        Rules over shards look at every one: both ends are the share.
        """
        import polars as pl

        rows = [
            {
                "rule": one.rule.id,
                "name": one.rule.name,
                "verdict": one.verdict.value,
                "budget": one.rule.budget,
                "n": one.n,
                "hits": one.hits,
                "share": one.share,
                "low": one.interval.low if one.interval else None,
                "high": one.interval.high if one.interval else None,
                "reason": one.reason,
            }
            for one in self.assessment.results
        ]
        floats = dict.fromkeys(("budget", "share", "low", "high"), pl.Float64)
        return pl.DataFrame(rows, schema_overrides={**floats, "reason": pl.String}, infer_schema_length=None)

    @property
    def sources(self) -> pl.DataFrame:
        """A row for each rule and source, highest share first: rule, source, n, hits, share, low, high."""
        import polars as pl

        rows = [
            {
                "rule": one.rule.id,
                "source": found.source,
                "n": found.n,
                "hits": found.hits,
                "share": found.share,
                "low": found.interval.low if found.interval else None,
                "high": found.interval.high if found.interval else None,
            }
            for one in self.assessment.results
            for found in one.sources
        ]
        text = dict.fromkeys(("rule", "source"), pl.String)
        schema = {**text, "n": pl.Int64, "hits": pl.Int64, **dict.fromkeys(("share", "low", "high"), pl.Float64)}
        return pl.DataFrame(rows, schema=schema)

    def text(self, form: str = "text") -> str:
        """As `foxing check --format FORM` prints it.

        Raises:
            PluginError: no such format is installed.
        """
        from audit.formats import render

        return render(form, self.assessment)


@dataclass(frozen=True)
class Audit:
    """A finished scan, opened for reading. Rows are `(shard, row)`; no text is in it.

    Attributes:
        recorded: the findings on disk.
        config: settings that judge them: rules, budgets, calibration.
    """

    recorded: Findings
    config: Config

    @property
    def directory(self) -> Path:
        """The folder of the scan."""
        return self.recorded.directory

    @property
    def rows(self) -> int:
        """Rows of the corpus."""
        return self.recorded.rows

    @property
    def signature(self) -> str:
        """What was measured, how, and on which bytes."""
        return self.recorded.signature()

    @property
    def failed(self) -> tuple[FailedShard, ...]:
        """Shards that could not be read, each with the reason; the others were measured."""
        return self.recorded.failed

    def findings(self, *columns: str) -> pl.DataFrame:
        """Every row, measured and judged: a frame in corpus order, all of it in memory (`parts` is not).

        Args:
            columns: `shard`, `row`, `source`, `rules`, `action`, `dropped_by`, `unmeasured`, `errors` or
                `signal.field`; none takes all, with a struct a signal.

        Raises:
            ConfigError: no such column. FindingsError: torn findings.
        """
        import polars as pl

        return pl.concat(list(self.parts(*columns)))

    def parts(self, *columns: str) -> Iterator[pl.DataFrame]:
        """The same, at most 16,384 rows at a time."""
        from audit.export import selected
        from audit.rules import decided, rules_from

        for part in decided(self.recorded, rules_from(self.config.rules)):
            yield selected(part, columns) if columns else part

    def check(
        self,
        *,
        budgets: Mapping[str, float] | None = None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        strict: bool = False,
    ) -> Verdicts:
        """Judge by rules and budgets.

        Args:
            budgets: rule id to the share (0 to 1) that is tolerated, in place of the configured one.
            select: beginnings of ids of the rules to judge, one or several; empty takes the configured ones, else all.
            ignore: beginnings of ids to leave out.
            strict: judge FX101 by the upper end of its interval.

        Raises:
            ConfigError: no such rule, or one that reads what was not measured.
        """
        from audit.assess import assess
        from audit.calibrate import tables_of
        from audit.evidence import Evidence
        from audit.rules import rules_from

        configured = self.config.check
        return Verdicts(
            assess(
                self.recorded,
                rules_from(self.config.rules),
                budgets={**configured.budget, **(budgets or {})},
                select=_names(select) or configured.select,
                ignore=_names(ignore) or configured.ignore,
                strict=strict or configured.strict,
                evidence=Evidence(tables_of(self.recorded), None),
            )
        )

    def report(self, path: str | Path, *, form: Form = "html", title: str = "Corpus audit") -> Path:
        """Write a report of the audit alone to a file, which appears when it is whole, and return its path.

        The bytes are those of `foxing report --no-curricula`; `curricula.report.write_report` has all the rest.

        Args:
            path: the file. A dataset card that is there keeps all else that it holds.
            form: `html`, `json`, `markdown` or `card`.
            title: of the page.

        Raises:
            ConfigError: no such form. OutputError: the file cannot be written.
        """
        from audit.report.build import Asked, build_report
        from audit.report.render import check_form, write_rendered
        from audit.rules import rules_from

        check_form(form)
        asked = Asked(title=title, budgets=self.config.check.budget, strict=self.config.check.strict)
        write_rendered(build_report(self.recorded, rules_from(self.config.rules), asked), form, Path(path))
        return Path(path)


def scan(
    paths: Paths,
    directory: str | Path,
    *,
    settings: Config | str | Path | None = None,
    signals: Sequence[str] | None = None,
    text: str | None = None,
    by: str | None = None,
    workers: int = 1,
    fresh: bool = False,
) -> Audit:
    """Measure a corpus as `foxing scan` does; what an earlier scan into the same folder measured is kept.

    Args:
        paths: files, folders, globs or URLs, one or several.
        directory: folder for the findings, made when absent.
        settings: a settings file, or settings; None takes the defaults and looks for no file.
        signals: names of what to measure, in place of the settings' own.
        text: text column; None finds one by convention.
        by: column whose values are the sources; None takes each file for one.
        workers: processes, whatever the settings say. More than one need `if __name__ == "__main__":` around the
            script, as multiprocessing does.
        fresh: throw away what is in the folder and start over.

    Returns:
        The audit. Shards that could not be read are in `failed`.

    Raises:
        InputError: nothing could be read. ConfigError: settings do not fit, or other ones measured what is there.
        OutputError: the folder is not foxing's, is in use, or cannot be written.
    """
    from audit.scan_run import scan as measure

    config = _config(settings)
    given = {"signals": None if signals is None else _names(signals), "text": text, "by": by}
    chosen = {name: value for name, value in given.items() if value is not None}
    config = dataclasses.replace(config, scan=dataclasses.replace(config.scan, workers=workers, **chosen))  # type: ignore[arg-type]
    if "tier" in config.signals.get("ai_text", {}):
        from audit.cascade import with_tier

        config = with_tier(config)
    named = [str(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    return _audit(measure(named, directory, config, fresh=fresh).findings, config)


def open(directory: str | Path, *, settings: Config | str | Path | None = None) -> Audit:  # noqa: A001
    """Open a finished scan.

    Args:
        directory: its folder.
        settings: a settings file, or settings, whose rules and budgets judge; None takes the defaults.

    Raises:
        FindingsError: no finished scan is there.
    """
    from audit.findings_folder import Findings

    return _audit(Findings.open(directory), _config(settings))


def findings(directory: str | Path, *columns: str, settings: Config | str | Path | None = None) -> pl.DataFrame:
    """Every row of a finished scan, measured and judged: `open(directory).findings(*columns)`, see `Audit.findings`."""
    return open(directory, settings=settings).findings(*columns)


def check(
    directory: str | Path,
    *,
    settings: Config | str | Path | None = None,
    budgets: Mapping[str, float] | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    strict: bool = False,
) -> Verdicts:
    """Judge a finished scan: `open(directory).check(...)`, see `Audit.check`."""
    audit = open(directory, settings=settings)
    return audit.check(budgets=budgets, select=select, ignore=ignore, strict=strict)


def judge(
    texts: Iterable[str | bytes | None],
    *,
    sources: Iterable[str | None] | None = None,
    signals: Sequence[str] | None = None,
    settings: Config | str | Path | None = None,
) -> pl.DataFrame:
    """Measure and judge texts in memory, without files: a row a text.

    Args:
        texts: documents; None has no measurement.
        sources: source or domain of each text, for a human reference of your own made by groups; None for none.
        signals: names of what to measure; None takes `audit.in_memory.PER_TEXT`.
        settings: a settings file, or settings of signals, rules and calibration; None takes the defaults.

    Returns:
        What `audit.in_memory.Judge.frame` says. Nothing is known of the corpus: no duplicates, no share, no interval.

    Raises:
        PluginError: no such signal. ConfigError: settings that it does not have, a signal that reads columns, or a
            reference that cannot be used.
    """
    from audit.in_memory import PER_TEXT, Judge

    judge = Judge.of(_config(settings), _names(signals) if signals is not None else PER_TEXT)
    return judge.frame(texts, sources=sources)


def _names(given: Sequence[str]) -> tuple[str, ...]:
    """One name is a sequence of letters to Python, and never meant as such."""
    return (given,) if isinstance(given, str) else tuple(given)


def _config(settings: Config | str | Path | None) -> Config:
    from audit.config import Config, load_config

    if isinstance(settings, Config):
        return settings
    return Config() if settings is None else load_config(Path(settings))


def _audit(recorded: Findings, config: Config) -> Audit:
    return Audit(dataclasses.replace(recorded, reference=config.reference), config)
