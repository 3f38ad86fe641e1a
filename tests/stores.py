"""Stores that tests talk to over the loopback: an S3 server whose requests are counted and may fail; a web server."""

from __future__ import annotations

import http.server
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

__all__ = ["S3Server", "served"]

ACCOUNT = "123456789012"
_ERROR = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>as a test asked for</Message></Error>"


class S3Server:
    """moto's S3 on a port of the loopback, with one bucket.

    Attributes:
        requests: how many came, by method and what they asked for: `list`, `object`, `part`, `complete`.
        on_request: called with each of these before it is answered.
        path: of the request that is being answered.
        bucket: name of the bucket.
    """

    bucket = "bucket"

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self._answer = self._server._server.app  # type: ignore[union-attr]
        self._server._server.app = self._counted  # type: ignore[union-attr]
        self.requests: Counter[str] = Counter()
        self.path = ""
        self.on_request: Callable[[str], None] = lambda asked: None
        self._failing: tuple[str, int, int] = ("", 0, 0)
        self.reset()

    @property
    def environment(self) -> dict[str, str]:
        """What clients need to find it."""
        host, port = self._server.get_host_and_port()
        return {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def _backend(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends[ACCOUNT]["aws"]

    def reset(self) -> None:
        """An empty bucket, no counts, no faults; what clients remember is forgotten."""
        self._backend.reset()
        self._backend.create_bucket(self.bucket, "us-east-1")
        self.on_request, self._failing = lambda asked: None, ("", 0, 0)
        self.forget()

    def forget(self) -> None:
        """No counts, and nothing that clients remember."""
        import fsspec

        self.requests.clear()
        kind = fsspec.get_filesystem_class("s3")
        clients = [one for one in kind._cache.values() if one._s3 is not None]
        for one in clients:
            one.invalidate_cache()
        if any(one._s3.meta.endpoint_url != self.environment["AWS_ENDPOINT_URL"] for one in clients):
            kind.clear_instance_cache()

    def stop(self) -> None:
        """Close it."""
        self._server.stop()

    def fail(self, asked: str, status: int, times: int) -> None:
        """Answer the next requests of a kind with an error."""
        self._failing = (asked, status, times)

    def put(self, key: str, body: bytes) -> None:
        """Put an object there, not by a request."""
        self._backend.put_object(self.bucket, key, body)

    def remove(self, key: str) -> None:
        """Remove an object, not by a request."""
        self._backend.delete_object(self.bucket, key)

    def objects(self) -> list[str]:
        """Names of all objects."""
        return sorted(self._backend.buckets[self.bucket].keys)

    def get(self, key: str) -> bytes:
        """The bytes of an object."""
        found: bytes = self._backend.get_object(self.bucket, key).value
        return found

    def send(self, folder: Path, prefix: str) -> None:
        """Put all files below a folder there."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(f"{prefix}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def _counted(self, environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        kinds = {"list-type": "list", "partNumber": "part", "uploads": "upload", "uploadId": "complete"}
        kind = next((kind for name, kind in kinds.items() if name in query), "object")
        asked = f"{environ['REQUEST_METHOD']} {kind}"
        self.requests[asked] += 1
        self.path = environ["PATH_INFO"]
        self.on_request(asked)
        failing, status, times = self._failing
        if asked == failing and times:
            self._failing = (failing, status, times - 1)
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            code = b"SlowDown" if status == 503 else b"InternalError"
            start(f"{status} Failed", [("Content-Type", "application/xml")])
            return [_ERROR % code]
        found: Iterable[bytes] = self._answer(environ, start)
        return found


class _Ranged(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, whole or a range of one."""

    ranges = True

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer; a range where one is asked for."""
        file = Path(self.translate_path(self.path))
        asked = self.headers.get("Range", "")
        if not (self.ranges and asked.startswith("bytes=") and file.is_file()):
            super().do_GET()
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        body = file.read_bytes()
        begin, end = int(first), min(int(last or len(body)), len(body) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{end}/{len(body)}")
        self.send_header("Content-Length", str(end + 1 - begin))
        self.end_headers()
        self.wfile.write(body[begin : end + 1])

    def end_headers(self) -> None:
        """Say whether ranges are given."""
        if self.ranges:
            self.send_header("Accept-Ranges", "bytes")
        super().end_headers()


class _Whole(_Ranged):
    ranges = False


@contextmanager
def served(folder: Path, *, ranges: bool = True) -> Iterator[str]:
    """The URL of a web server that gives the files of a folder, for as long as it takes."""
    handler = partial(_Ranged if ranges else _Whole, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
