"""Errors that foxing shows to people: each names the thing, the value and the remedy."""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "FindingsError",
    "FoxingError",
    "InputError",
    "MissingExtraError",
    "OutputError",
    "PluginError",
    "SignalError",
]


class FoxingError(Exception):
    """The job could not be done. The command line prints the message on one line and exits 2."""


class InputError(FoxingError):
    """A path, shard or column that cannot be read as asked."""


class OutputError(FoxingError):
    """A destination that cannot or must not be written."""


class ConfigError(FoxingError):
    """A setting that is unknown, of the wrong type, or contradicts what is already on disk."""


class FindingsError(FoxingError):
    """A findings folder that is missing, incomplete or of another version."""


class PluginError(FoxingError):
    """A named signal, curriculum or format that does not exist, does not import or breaks its contract."""


class SignalError(FoxingError):
    """A signal that cannot be loaded (model file absent, checksum wrong)."""


class MissingExtraError(FoxingError):
    """An optional dependency that this command needs."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed, and this needs it. Remedy: pip install 'foxing[{extra}]'")
        self.package, self.extra = package, extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), (self.package, self.extra)
