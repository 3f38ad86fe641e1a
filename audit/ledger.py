"""The ledger: an append-only record of audits, by corpus and by how they were measured, in one SQLite file.

What was written is never changed: triggers refuse it, so a trend cannot be tidied up by accident. Each audit keeps its
signature, and of every rule the counts, over the corpus and by source.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audit.signature import measured_by
from detectors.errors import ConfigError, InputError, OutputError

__all__ = ["Audit", "Entry", "Ledger", "Rate", "entry_of"]

_APPLICATION, _VERSION = 0x666F7869, 1
_WAIT_S = 30.0
_TABLES = """
CREATE TABLE audits (id INTEGER PRIMARY KEY, at TEXT NOT NULL, corpus TEXT NOT NULL, measured TEXT NOT NULL,
  signature TEXT NOT NULL, rows INTEGER NOT NULL, shards INTEGER NOT NULL, failed INTEGER NOT NULL);
CREATE TABLE rates (audit INTEGER NOT NULL REFERENCES audits, rule TEXT NOT NULL, name TEXT NOT NULL,
  budget REAL NOT NULL, verdict TEXT NOT NULL, n INTEGER NOT NULL, hits INTEGER NOT NULL,
  share REAL, low REAL, high REAL);
CREATE TABLE sources (audit INTEGER NOT NULL REFERENCES audits, rule TEXT NOT NULL, source TEXT NOT NULL,
  n INTEGER NOT NULL, hits INTEGER NOT NULL);
CREATE TABLE accepted (audit INTEGER NOT NULL REFERENCES audits, at TEXT NOT NULL);
"""
_OF_ONE = "WHERE :corpus IS NULL OR audit IN (SELECT id FROM audits WHERE corpus = :corpus) ORDER BY rowid"
_NAMES = ("audits", "rates", "sources", "accepted")


@dataclass(frozen=True)
class Rate:
    """One rule in one audit.

    Attributes:
        rule, name, budget, verdict: as judged then.
        n, hits: documents judged; of them hit.
        share, interval: what the budget was compared with, and its 95 % interval; None without an estimate.
        sources: `n` and `hits` by source.
        names: of these sources; empty where they are not known.
    """

    rule: str
    name: str
    budget: float
    verdict: str
    n: int
    hits: int
    share: float | None
    interval: tuple[float, float] | None
    sources: tuple[tuple[int, int], ...]
    names: tuple[str, ...] = ()

    @property
    def is_corrected(self) -> bool:
        """Whether the budget was compared with an estimate, and not with the counted share."""
        return self.share is not None and self.share != self.hits / self.n


@dataclass(frozen=True)
class Entry:
    """An audit to be written down."""

    signature: str
    rows: int
    shards: int
    failed: int
    rates: tuple[tuple[Rate, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Audit:
    """An audit as it was written down.

    Attributes:
        number: from 1, in order of writing.
        at: when, UTC.
        corpus: its name.
        measured: the signature without what may differ between audits that can be compared.
        signature: the whole of it.
        rows, shards, failed: of the corpus.
        rates: rule to its counts, of rules that could be judged.
        accepted: 0, or the place of its last acceptance as a baseline among all acceptances, from 1.
    """

    number: int
    at: datetime
    corpus: str
    measured: str
    signature: str
    rows: int
    shards: int
    failed: int
    rates: Mapping[str, Rate]
    accepted: int

    def same_numbers(self, other: Audit) -> bool:
        """Whether both counted the same: an audit again of what has not changed is no new look at it."""
        mine, theirs = ({rule: (rate.n, rate.hits) for rule, rate in one.rates.items()} for one in (self, other))
        return (self.signature, self.rows, mine) == (other.signature, other.rows, theirs)


def entry_of(document: object, where: str) -> Entry:
    """What `foxing check --format json` wrote, as an entry.

    Raises:
        ConfigError: it is something else, a damaged one, or of a sample.
    """
    remedy = "Add a scan's folder, or what foxing check --format json wrote."
    if not isinstance(document, dict) or (document.get("format"), document.get("version")) != ("foxing-assessment", 1):
        raise ConfigError(f"{where}: is no assessment that this foxing reads. {remedy}")
    if document.get("sample") is not None:
        raise ConfigError(
            f"{where}: is of a sample that stopped when it knew enough, whose counts compare with nothing. "
            "Add an audit of every row: foxing scan, or foxing check without --sample."
        )
    try:
        rates = tuple(_rate(rule) for rule in document["rules"] if rule["when"] and rule["n"])
        return Entry(
            signature=str(document["signature"]),
            rows=int(document["total"]["rows"]),
            shards=int(document["shards"]),
            failed=len(document["failed"]),
            rates=rates,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{where}: is damaged ({error!r}). {remedy}") from error


def _rate(rule: Mapping[str, Any]) -> tuple[Rate, tuple[str, ...]]:
    share, interval = rule["share"], rule["interval"]
    counted = [(str(one["source"]), int(one["n"]), int(one["hits"])) for one in rule["sources"] if one["n"]]
    rate = Rate(
        rule=str(rule["id"]),
        name=str(rule["name"]),
        budget=float(rule["budget"]),
        verdict=str(rule["verdict"]),
        n=int(rule["n"]),
        hits=int(rule["hits"]),
        share=None if share is None else float(share),
        interval=None if interval is None else (float(interval[0]), float(interval[1])),
        sources=tuple((n, hits) for _, n, hits in counted),
    )
    return rate, tuple(source for source, _, _ in counted)


@dataclass(frozen=True)
class Ledger:
    """A ledger file.

    Attributes:
        path: of the SQLite file; made by the first entry.
    """

    path: Path

    def append(self, entry: Entry, *, corpus: str, at: datetime | None = None) -> int:
        """Write an audit down, wholly or not at all.

        Args:
            entry: the audit.
            corpus: name of what was audited.
            at: when; None is now.

        Returns:
            Its number.

        Raises:
            OutputError: the file cannot be written, or is not a ledger.
        """
        when = (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
        with self._written() as connection:
            row = (when, corpus, measured_by(entry.signature), entry.signature, entry.rows, entry.shards, entry.failed)
            found = connection.execute(
                "INSERT INTO audits VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            number = int(found.lastrowid or 0)
            for rate, names in entry.rates:
                low, high = rate.interval or (None, None)
                connection.execute(
                    "INSERT INTO rates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (number, rate.rule, rate.name, rate.budget, rate.verdict, rate.n, rate.hits, rate.share, low, high),
                )
                connection.executemany(
                    "INSERT INTO sources VALUES (?, ?, ?, ?, ?)",
                    [(number, rate.rule, name, *counts) for name, counts in zip(names, rate.sources, strict=True)],
                )
        return number

    def accept(self, number: int) -> None:
        """Make an audit the baseline of those that come after it.

        Raises:
            InputError: there is no such audit.
        """
        with self._read() as connection:
            found = connection and connection.execute("SELECT 1 FROM audits WHERE id = ?", (number,)).fetchone()
        if not found:
            raise InputError(f"{self.path}: has no audit {number}. foxing ledger {self.path} lists them.")
        with self._written() as connection:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            connection.execute("INSERT INTO accepted VALUES (?, ?)", (number, now))

    def corpora(self) -> tuple[str, ...]:
        """Names of the corpora that it holds audits of, sorted.

        Raises:
            InputError: no such file.
            OutputError: it is not a ledger.
        """
        with self._read() as connection:
            found = connection.execute("SELECT DISTINCT corpus FROM audits ORDER BY corpus") if connection else ()
            return tuple(name for (name,) in found)

    def audits(self, corpus: str | None = None) -> tuple[Audit, ...]:
        """Every audit, of one corpus where it is named, in order of writing.

        Raises:
            InputError: no such file.
            OutputError: it is not a ledger.
        """
        with self._read() as connection:
            if connection is None:
                return ()
            asked = {"corpus": corpus}
            accepted = dict(connection.execute("SELECT audit, max(rowid) FROM accepted GROUP BY audit"))
            rates: dict[int, dict[str, Rate]] = {}
            counts: dict[tuple[int, str], list[tuple[int, int]]] = {}
            names: dict[tuple[int, str], list[str]] = {}
            # Thousands of sources come again in every audit of every rule: each name is held once.
            known: dict[str, str] = {}
            lists: dict[tuple[str, ...], tuple[str, ...]] = {}
            for number, rule, source, n, hits in connection.execute(f"SELECT * FROM sources {_OF_ONE}", asked):
                counts.setdefault((number, rule), []).append((n, hits))
                names.setdefault((number, rule), []).append(known.setdefault(source, source))
            for number, rule, name, budget, verdict, n, hits, share, low, high in connection.execute(
                f"SELECT * FROM rates {_OF_ONE}", asked
            ):
                interval = None if low is None else (low, high)
                sources, named = tuple(counts.pop((number, rule), ())), tuple(names.pop((number, rule), ()))
                named = lists.setdefault(named, named)
                rate = Rate(rule, name, budget, verdict, n, hits, share, interval, sources, named)
                rates.setdefault(number, {})[rule] = rate
            found = connection.execute(
                "SELECT id, at, corpus, measured, signature, rows, shards, failed FROM audits "
                "WHERE :corpus IS NULL OR corpus = :corpus ORDER BY id",
                asked,
            ).fetchall()
        return tuple(
            Audit(
                number=number,
                at=datetime.fromisoformat(at),
                corpus=name,
                measured=measured,
                signature=signature,
                rows=rows,
                shards=shards,
                failed=failed,
                rates=rates.get(number, {}),
                accepted=int(accepted.get(number, 0)),
            )
            for number, at, name, measured, signature, rows, shards, failed in found
        )

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection | None]:
        """A connection that writes nothing; None where the file holds nothing yet."""
        if not self.path.is_file():
            raise InputError(f"{self.path}: is no ledger yet. Begin one with: foxing ledger {self.path} --add AUDIT")
        with self._open("BEGIN") as connection:
            yield connection if self._is_begun(connection) else None

    @contextmanager
    def _written(self) -> Iterator[sqlite3.Connection]:
        """A connection in one transaction, which others that write wait for; a new file is made a ledger."""
        with self._open("BEGIN IMMEDIATE") as connection:
            if not self._is_begun(connection):
                for statement in _statements():
                    connection.execute(statement)
            yield connection

    @contextmanager
    def _open(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
        except sqlite3.Error as error:
            raise OutputError(f"{self.path}: cannot be opened ({error}). Check its folder and rights.") from error
        try:
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise OutputError(f"{self.path}: {_trouble(error)}") from error
        finally:
            connection.close()

    def _is_begun(self, connection: sqlite3.Connection) -> bool:
        """Whether it holds a ledger; False where it holds nothing yet."""
        kind = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if (kind, version) == (_APPLICATION, _VERSION):
            return True
        if kind or version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise OutputError(f"{self.path}: is no ledger of version {_VERSION}. Name another file.")
        return False


def _trouble(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"another process has held it for {_WAIT_S:.0f} s ({error}). Run this again when that is done."
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return f"cannot be read or written ({error}). Check the rights to it and its folder, and the free space."
    return f"is no ledger that can be used ({error}). Restore it from a copy, or name another file."


def _statements() -> Sequence[str]:
    made = [piece for piece in _TABLES.split(";") if piece.strip()]
    for name in _NAMES:
        made += [
            f"CREATE TRIGGER {name}_{change} BEFORE {change} ON {name} "
            "BEGIN SELECT RAISE(ABORT, 'a ledger is only added to'); END"
            for change in ("UPDATE", "DELETE")
        ]
    return [*made, f"PRAGMA application_id = {_APPLICATION}", f"PRAGMA user_version = {_VERSION}"]
