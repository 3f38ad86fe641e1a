"""Sizes and validity against Python's own decoder."""

from __future__ import annotations

from hypothesis import given

from detectors.conformance import check_signal
from detectors.document import Document
from detectors.documents import Documents
from detectors.protocols import Device
from tests.detectors import reference
from tests.detectors.texts import batches


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(batches)
def test_sizes_agree_with_python(texts: list[bytes | None]) -> None:
    found = Document().load(Device.CPU)(Documents.from_texts([*texts]))
    for row, text in zip(found.to_pylist(), (t or b"" for t in texts), strict=True):
        assert row == {
            "bytes": len(text),
            "characters": len(text.decode("utf-8", "surrogateescape")),
            "words": len(reference.segment(text)),
            "utf8_valid": is_utf8(text),
        }


def test_document_keeps_the_contract_of_signals() -> None:
    check_signal(Document())
