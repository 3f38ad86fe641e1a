from __future__ import annotations

import pickle

import pytest

from audit.readers import ShardError
from detectors import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_survives_the_way_back_from_a_worker(name: str) -> None:
    kind = getattr(errors, name)
    made = kind("numba", "lm") if kind is errors.MissingExtraError else kind("a.parquet: gone. Put it back.")
    told = pickle.loads(pickle.dumps(made))
    assert type(told) is kind and str(told) == str(made)


def test_shard_errors_keep_their_code() -> None:
    told = pickle.loads(pickle.dumps(ShardError("a", "is torn", "Mend it.", code="FX903")))
    assert (told.uri, told.code, str(told)) == ("a", "FX903", "a: is torn. Mend it.")
