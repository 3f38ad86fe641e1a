"""What URLs need: a file system, credentials that stay out of records, and errors that say what they are."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qsl

from detectors.errors import InputError, MissingExtraError

__all__ = ["explained", "filesystem", "is_below", "is_remote", "refuse_secrets", "shown"]

_SECRET = re.compile(
    r"token|secret|passw|signature|credential|api[-_]?key|access[-_]?key|auth|^(sig|sas|key|pwd)$", re.IGNORECASE
)
# Anywhere in an address, for one may be inside another: zip://a.csv::https://user:password@host/a.zip.
_PASSWORD = re.compile(r"(:/+[^/@:]*):[^/]+@")
_TOKEN = re.compile(r"(https?:/+)[^/@:]+@")  # what other stores have there is a name
_PARAMETER = re.compile(r"([?&])([^=&#]+)=[^&#]*")
# What clients of stores raise besides OSError, where they are loaded.
_CLIENT_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
    ("huggingface_hub.errors", "HfHubHTTPError"),
)


def is_remote(path: str) -> bool:
    """True for URLs with a scheme other than file://."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme != "file"


def shown(uri: str) -> str:
    """A path or URL as it may be printed: without its password, and without values that a query calls secret."""
    if not re.match(r"[\w+.:-]+:/", uri):  # of a URL that was a Path, one slash is left
        return uri
    bare = _TOKEN.sub(r"\1***@", _PASSWORD.sub(r"\1:***@", uri))
    return _PARAMETER.sub(lambda one: f"{one[1]}{one[2]}=***" if _SECRET.search(one[2]) else one[0], bare)


def is_below(name: str) -> bool:
    """Whether a relative name stays below the folder that it is in."""
    pieces = PurePosixPath(name)
    return not (pieces.is_absolute() or ".." in pieces.parts or "\0" in name)


def refuse_secrets(uri: str) -> None:
    """Take no URL that holds credentials: addresses stand in findings, manifests and messages.

    Raises:
        InputError: a password, or a query with a token, a key or a signature.
    """
    if not is_remote(uri):
        return
    query = parse_qsl(uri.partition("?")[2], keep_blank_values=True)
    named = [name for name, _ in query if _SECRET.search(name)]
    if _PASSWORD.search(uri) or _TOKEN.search(uri):
        named = ["a password"]
    if named:
        raise InputError(
            f"{shown(uri)}: holds credentials ({', '.join(named)}), and addresses are recorded. Give credentials by "
            "the environment, or in ~/.config/fsspec; or fetch the file and name the copy."
        )


def filesystem(uri: str) -> Any:  # fsspec ships no types
    """The file system of a URL.

    Raises:
        InputError: credentials in the URL, or a scheme that fsspec does not know.
        MissingExtraError: the client of the scheme is not installed.
    """
    refuse_secrets(uri)
    scheme = uri.partition("://")[0]
    try:
        import fsspec

        return fsspec.core.url_to_fs(uri)[0]
    except ImportError as error:
        raise MissingExtraError(f"the reader for {scheme}://", "remote") from error
    except ValueError as error:
        raise InputError(f"{uri}: {error}. Use a local path or a URL scheme that fsspec knows.") from error


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Make an OSError of what the client of a store raises, be it none.

    Raises:
        InputError: a web server that gives files from their start only.
    """
    try:
        yield
    except OSError:
        raise
    except _client_errors() as error:
        raise OSError((str(error).splitlines() or [type(error).__name__])[0].rstrip(".")) from error
    except ValueError as error:
        if "range requests" not in str(error):
            raise
        raise InputError(
            f"{uri}: its server gives files from their start only, and this one is read in parts. Fetch the file first."
        ) from error


def _client_errors() -> tuple[type[Exception], ...]:
    found = [getattr(sys.modules.get(module), name, None) for module, name in _CLIENT_ERRORS]
    return tuple(error for error in found if isinstance(error, type) and issubclass(error, Exception))
