"""Parts of corpus sketches: one file a part of a shard, gated and renamed into place as findings are."""

from __future__ import annotations

import dataclasses
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audit.parts import PartIdentity, temporary_path
from detectors.column import Column
from detectors.documents import Documents
from detectors.errors import FindingsError
from detectors.protocols import Device
from detectors.sketches import Sketches

__all__ = ["SketchWriter", "read_sketches"]

_METADATA_KEY = b"foxing"  # where `audit.parts.read_identity` looks for it


class SketchWriter:
    """Sketches one part of a shard.

    Nothing is on disk until `close`, which writes under a temporary name and renames.

    Args:
        path: of the part: `audit.parts.part_path(directory, config.name, key, first_row)`.
        identity: what the numbers depend on; resuming compares it.
        config: settings.
    """

    def __init__(self, path: Path, identity: PartIdentity, config: Sketches) -> None:
        self._path, self._identity, self._config = path, identity, config
        self._state = config.start()

    def update(self, documents: Documents) -> None:
        """Take in a batch, which holds the raw column `column:BY` where sources come from one."""
        self._state.update(documents, self._sources(documents))

    def update_pieces(self, pieces: Documents, row: Documents, *, is_last: bool) -> None:
        """Take in pieces of a long document.

        Args:
            pieces: a row each; those of a document come in order, and nothing comes between them.
            row: the whole document, one row with its raw columns.
            is_last: whether the document ends with the last of these pieces.
        """
        ends = np.zeros(len(pieces), np.bool_)
        ends[-1] = is_last
        sources = self._sources(row)
        repeated = None if sources is None else sources.take(pa.array(np.zeros(len(pieces), np.int64)))
        self._state.update(pieces, repeated, ends=ends)

    def _sources(self, documents: Documents) -> pa.Array | None:
        by = self._config.by
        return None if by is None else Column(by).load(Device.CPU)(documents).column(0)

    def close(self) -> None:
        """Write the part: after this it exists under its own name, whole."""
        table = self._state.table()
        text = json.dumps(dataclasses.asdict(self._identity), sort_keys=True)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _METADATA_KEY: text.encode()})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_path(self._path)
        try:
            pq.write_table(table, temporary, compression="zstd", use_dictionary=False)
            temporary.replace(self._path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def read_sketches(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The table of one part, or some columns of it.

    Raises:
        FindingsError: missing or torn.
    """
    try:
        return pq.ParquetFile(path, memory_map=False).read(columns)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise FindingsError(f"{path}: is missing or torn. Run foxing scan again: it makes what is missing.") from error
