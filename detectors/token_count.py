"""How many tokens a text has for a model's tokenizer: what a budget of tokens is counted in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc

from detectors.documents import Documents
from detectors.errors import SignalError
from detectors.protocols import Device, Measure

__all__ = ["TokenCount"]

_FILE = "tokenizer.json"


@dataclass(frozen=True)
class TokenCount:
    """Tokens of the text, without the marks that a model wants around them.

    Invalid UTF-8 is replaced before it is counted. A document of more than 1 MiB is counted in pieces, which are cut at
    white space: there a token may be counted twice.

    Attributes:
        tokenizer: a `tokenizer.json`, the folder of a model that has one, or a hub id such as owner/name.
        tokenizer_digest: of the file. `pinned` fills it in.
    """

    tokenizer: str = field(default="", metadata={"location": True})
    tokenizer_digest: str = ""

    name: ClassVar[str] = "token_count"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [pa.field("tokens", pa.int64(), metadata={"doc": "Tokens of the text, by the tokenizer that is named."})]
    )

    def pinned(self) -> Self:
        """The same settings with the digest of the tokenizer as it is now. To be done before a scan.

        Raises:
            SignalError: none is named, it cannot be read, or it is not the one that `tokenizer_digest` says.
        """
        from detectors.hub import digest_of

        digest = digest_of(self._file())
        if self.tokenizer_digest not in ("", digest):
            raise SignalError(
                f"token_count: tokenizer_digest is {self.tokenizer_digest[:12]}, but the file has {digest[:12]}. "
                "Scan with the tokenizer that was meant, or leave the digest out."
            )
        return replace(self, tokenizer_digest=digest)

    def _file(self) -> Path:
        from detectors.hub import located

        if not self.tokenizer:
            raise SignalError(
                "token_count: no tokenizer is set. Name a tokenizer.json, a folder or a hub id as tokenizer in "
                "[tool.foxing.signal.token_count]."
            )
        found = located(self.tokenizer, "token_count.tokenizer")
        return found / _FILE if found.is_dir() else found

    def load(self, device: Device) -> Measure:
        """Read the tokenizer. Runs on the CPU whatever the device.

        Raises:
            SignalError: it cannot be read. MissingExtraError: tokenizers is not installed.
        """
        from detectors.tokens import Tokens, read_tokenizer

        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a scan has a process a core
        tokenizer = Tokens.of(read_tokenizer(self._file())).tokenizer

        def measure(documents: Documents) -> pa.RecordBatch:
            texts = [text or "" for text in documents.texts()]
            found = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            counts = pa.array([len(encoding) for encoding in found], pa.int64())
            return pa.record_batch([counts], schema=self.schema)

        return measure

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        """Add up."""
        total = pc.sum(pieces.column("tokens")).as_py() or 0
        return pa.record_batch([pa.array([total], pa.int64())], schema=self.schema)
