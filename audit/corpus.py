"""A corpus: the shards that paths name, each addressed by a key that stays the same from run to run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from audit.readers import Format, Group, Reader, open_reader
from audit.storage import Entry, digest, expand, stat
from detectors.errors import InputError

__all__ = ["Corpus", "Shard", "open_shard"]

_UNSAFE = re.compile(r"[^\w.=+@-]", re.ASCII)
_MAX_PIECE = 150
_NOTICE = re.compile(
    r"(readme|licen[cs]e)([._-].*)?|copying|notice|changelog|citation|contributing|contributors|code_of_conduct"
    r"|dataset_?card|data_?card|model_?card|requirements",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Shard:
    """One file of a corpus.

    Attributes:
        key: its name in findings; `(key, row)` is the address of a document.
        uri: absolute path or URL.
        format: how to read it.
        size_bytes: of the file as stored.
    """

    key: str
    uri: str
    format: Format
    size_bytes: int

    @property
    def reader(self) -> Reader:
        """The file's reader; opening it looks at first bytes and footer.

        Raises:
            ShardError: not readable.
        """
        try:
            stamp = stat(self.uri)
        except OSError:
            stamp = None  # gone: opening it says so
        # Without a stamp a change would go unseen, so nothing is remembered.
        return open_reader(self.uri, self.format) if stamp is None else _reader(self.uri, self.format, stamp)

    def schema(self) -> pa.Schema:
        """Arrow schema with key-value metadata."""
        return self.reader.schema()

    def groups(self) -> tuple[Group, ...] | None:
        """Row groups, or None where the file can only be read from its start."""
        return self.reader.groups

    def batches(
        self, columns: Sequence[str] | None = None, *, first_group: int = 0, groups: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The original Arrow data in file order, streaming.

        Args:
            columns: top-level columns to read; None reads all.
            first_group: first row group (Parquet only).
            groups: number of row groups (Parquet only); None reads to the end.

        Raises:
            ShardError: the file is torn or gone.
        """
        reader = self.reader
        if reader.groups is None:
            return reader.batches(columns, None)
        last = len(reader.groups) if groups is None else first_group + groups
        return reader.batches(columns, range(first_group, last))

    def digest(self) -> str:
        """`sha256:HEX` of the file's bytes."""
        return digest(self.uri)


@lru_cache(maxsize=256)
def _reader(uri: str, form: Format, stamp: tuple[int, int]) -> Reader:
    return open_reader(uri, form)


def open_shard(uri: str, form: str, *, key: str = "", size_bytes: int = 0) -> Shard:
    """A shard by its address, as `scan.json` records it."""
    return Shard(key or uri, uri, Format(form), size_bytes)


@dataclass(frozen=True)
class Corpus:
    """The shards of a run.

    Attributes:
        shards: sorted by key.
        skipped: files in the folders that were named which are no shards: other formats, `.json`, notices such as
            README.md, links to files that are gone. Sorted; hidden files are not among them.
    """

    shards: tuple[Shard, ...]
    skipped: tuple[str, ...] = ()

    @classmethod
    def open(cls, paths: Sequence[str], *, keys: Mapping[str, str] | None = None) -> Corpus:
        """Find the shards that files, directories, globs and URLs name.

        In a directory, plain text files are documents unless they are notices (README, LICENSE, ...), and `.json`
        files are not read: most are one value, not one a line. Naming them, or a pattern of them, reads them.

        Args:
            paths: what the user named.
            keys: URI to key of shards that earlier runs named; they keep their keys.

        Raises:
            InputError: a path that does not exist, holds no file of a known format, or a file of an unknown one.
        """
        taken = dict(keys or {})
        owners = {key: uri for uri, key in taken.items()}
        shards: dict[str, Shard] = {}
        skipped: set[str] = set()
        for path in paths:
            found, passed = _data_files(path)
            skipped.update(passed)
            for entry, form in found:
                if entry.uri in shards:
                    continue
                _refuse_name(entry.uri)
                key = taken.get(entry.uri) or _free_key(entry, owners)
                owners[key] = entry.uri
                shards[entry.uri] = Shard(key, entry.uri, form, entry.size_bytes)
        if not shards:
            raise InputError("no input. Name files, directories, globs or URLs, or - for JSONL on standard input.")
        return cls.of(shards.values(), skipped=sorted(skipped - shards.keys()))

    @classmethod
    def of(cls, shards: Iterable[Shard], *, skipped: Iterable[str] = ()) -> Corpus:
        """Shards in corpus order, which is that of their keys: the same whichever run named them first."""
        return cls(tuple(sorted(shards, key=lambda shard: shard.key)), tuple(skipped))


def _refuse_name(uri: str) -> None:
    """Findings, manifests and reports name files in UTF-8, and must name every one so that it is found again."""
    try:
        uri.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = uri.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise InputError(f"{shown}: its name is not valid UTF-8. Rename the file.") from error


def _data_files(path: str) -> tuple[list[tuple[Entry, Format]], list[str]]:
    """The data files that a path names, and the URIs of files below it that are none."""
    named = expand(path)
    entries = [entry for entry in named if not entry.is_gone]
    name = _name(path.rstrip("/"))
    if len(entries) == 1 and _name(entries[0].uri) == name:
        form = Format.of(path)
        if form is None:
            known = "parquet, jsonl, csv, arrow, txt (and .gz, .zst)"
            raise InputError(f"{path}: the name ends in no known format. Rename it to one of: {known}.")
        return [(entries[0], form)], []
    found: list[tuple[Entry, Format]] = []
    skipped = [entry.uri for entry in named if entry.is_gone]
    for entry in entries:
        form = Format.of(entry.uri)
        if form is None or (_is_unread(entry.uri) and not _is_unread(name)):
            skipped.append(entry.uri)
        else:
            found.append((entry, form))
    if not found:
        raise InputError(f"{path}: no data files in it. It should hold .parquet, .jsonl, .csv, .arrow or .txt files.")
    return found, skipped


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _is_unread(path: str) -> bool:
    """Whether a file counts only when it is named: `.json`, and a data set's notices about itself."""
    name = _name(path)
    notice = Format.of(name) is Format.TEXT and _NOTICE.fullmatch(Format.stem(name)) is not None
    return notice or name.lower().endswith(".json")


def _free_key(entry: Entry, owners: Mapping[str, str]) -> str:
    # Without its ending: a findings folder named x.parquet would look like a data file to every glob.
    *folders, name = entry.relative.split("/")
    pieces = [_safe(piece) for piece in (*folders, Format.stem(name))]
    key = "/".join(pieces)
    if owners.get(key, entry.uri) == entry.uri:
        return key
    return f"{key}~{hashlib.sha256(entry.uri.encode()).hexdigest()[:8]}"


def _safe(piece: str) -> str:
    """A path piece that is safe as a file name; changed ones carry a hash so that two never meet."""
    clean = _UNSAFE.sub("_", piece)[:_MAX_PIECE]
    # A part of findings is a file x.parquet below its shard's key, where another shard's key may have a folder.
    if clean == piece and piece not in (".", "..") and not piece.lower().endswith(".parquet"):
        return piece
    return f"{clean.strip('.')}~{hashlib.sha256(piece.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
