"""The signal keeps the contract, and counts what it says."""

from __future__ import annotations

from foxing_example.links import Links

from detectors.conformance import check_signal
from detectors.documents import Documents
from detectors.protocols import Device


def test_links_keeps_the_contract_of_a_signal() -> None:
    """Null, empty and invalid text, every way of splitting batches, pickling and repetition."""
    check_signal(Links())


def test_links_are_counted_per_hundred_words() -> None:
    """Two links, no link, and no words at all."""
    documents = Documents.from_texts(["see HTTPS://a.example and http://b.example", "no link here", ""])
    found = Links().load(Device.CPU)(documents).to_pydict()
    assert found["count"] == [2, 0, 0]
    assert found["per_100_words"][1:] == [0.0, None] and found["per_100_words"][0] > 0
