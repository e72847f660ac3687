"""An S3-compatible store of one bucket over real sockets, and the word of a cluster about it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from seatrial.engine.argo import paths
from tests.kube.cluster import NAMESPACE
from tests.kube.server import Cluster


class Bucket:
    """An S3-compatible store of one bucket: lists and gets."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

            def do_HEAD(self) -> None:
                self._say(*owner.get(self.path))

            def do_GET(self) -> None:
                code, data = owner.get(self.path)
                part = self.headers.get("Range", "")
                if code == 200 and part:
                    first, _, last = part.removeprefix("bytes=").partition("-")
                    size = len(data)
                    data = data[int(first) : int(last) + 1]
                    span = f"bytes {first}-{int(first) + len(data) - 1}/{size}"
                    self._say(206, data, {"Content-Range": span}, whole=True)
                else:
                    self._say(code, data, whole=True)

            def _say(
                self,
                code: int,
                data: bytes,
                headers: Mapping[str, str] | None = None,
                whole: bool = False,
            ) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                if whole:
                    self.wfile.write(data)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.endpoint = f"127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()

    def get(self, target: str) -> tuple[int, bytes]:
        """An object, or the list below a prefix."""
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        _, _, key = unquote(parts.path).lstrip("/").partition("/")
        if key:
            return (200, self.objects[key]) if key in self.objects else (404, b"")
        if "prefix" not in query and "list-type" not in query:
            return 200, b""
        prefix = query.get("prefix", [""])[0]
        rows = "".join(
            f"<Contents><Key>{name}</Key><Size>{len(data)}</Size>"
            "<LastModified>2026-11-21T00:00:00.000Z</LastModified></Contents>"
            for name, data in sorted(self.objects.items())
            if name.startswith(prefix)
        )
        text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
        return 200, text.encode()

    def close(self) -> None:
        """End it."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


def announce(cluster: Cluster, bucket: Bucket) -> None:
    """The ConfigMap and the Secret that say where the store is."""
    settings = {
        "s3": {
            "bucket": "artifacts",
            "endpoint": bucket.endpoint,
            "insecure": True,
            "accessKeySecret": {"name": "minio", "key": "user"},
            "secretKeySecret": {"name": "minio", "key": "word"},
        }
    }
    annotations = {"workflows.argoproj.io/default-artifact-repository": "minio"}
    cluster.put(
        paths.config_maps(NAMESPACE),
        {
            "metadata": {"name": "artifact-repositories", "annotations": annotations},
            "data": {"minio": yaml.safe_dump(settings)},
        },
    )
    word = base64.b64encode(b"word").decode()
    cluster.put(
        paths.collection("v1", "Secret", NAMESPACE),
        {"metadata": {"name": "minio"}, "data": {"user": word, "word": word}},
    )
