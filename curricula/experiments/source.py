"""What an experiment at gpu scale takes from outside: a model, data and a device."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from detectors.errors import InputError
from detectors.protocols import Device

__all__ = ["MODEL", "Source", "development_data"]

MODEL = "smollm2"
_DATA, _WHERE = "FOXING_DATA", "../shared/data"


@dataclass(frozen=True)
class Source:
    """What an experiment takes from outside.

    Attributes:
        model: folder, GGUF file or hub id of a causal model; `smollm2` comes as a package.
        data: file; empty takes that of the development data where it is there, else what is made in code.
        device: where it runs.
    """

    model: str = MODEL
    data: str = ""
    device: Device = Device.AUTO

    def file(self, name: str) -> str:
        """The file to read: the one that was named, or one of the development data by name; "" where there is none.

        Raises:
            InputError: the one that was named is not there.
        """
        if self.data and not Path(self.data).is_file():
            raise InputError(f"{self.data}: no such file. Name another with --data, or leave it out.")
        return self.data or development_data(name)


def development_data(name: str) -> str:
    """A file of the development data (FOXING_DATA, default ../shared/data), "" where it is not there."""
    file = Path(os.environ.get(_DATA, _WHERE)) / name
    return str(file) if file.is_file() else ""
