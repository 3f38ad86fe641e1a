from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from detectors import unicode_classes
from detectors.unicode_classes import (
    build_class_table,
    build_fold_table,
    build_punctuation_table,
    class_table,
    fold_table,
    punctuation_table,
    tables_version,
)


def test_stored_tables_are_what_the_generator_makes() -> None:
    if unicodedata.unidata_version != tables_version():
        pytest.skip(f"tables follow Unicode {tables_version()}, this Python has {unicodedata.unidata_version}")
    again = 'python -c "from detectors.unicode_classes import write_tables; write_tables()"'
    assert np.array_equal(class_table(), build_class_table()), again
    assert np.array_equal(fold_table(), build_fold_table()), again
    assert np.array_equal(punctuation_table(), build_punctuation_table()), again


def test_another_unicode_version_changes_no_letter_that_both_know() -> None:
    ours, theirs = class_table(), build_class_table()
    known = (ours != unicode_classes.OTHER) & (theirs != unicode_classes.OTHER)
    assert np.mean(ours[known] == theirs[known]) > 0.999


def test_tables_cannot_be_written_to() -> None:
    assert not class_table().flags.writeable and not fold_table().flags.writeable
    assert class_table().shape == (0x110000,) and fold_table().dtype == np.uint32
