"""TLS to the API server, with certificates as clusters have them."""

from __future__ import annotations

import asyncio
import base64
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from seatrial.engine.argo.api import ApiError, connect, tls

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to sign with")

CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = kubernetes
[ca]
basicConstraints = critical, CA:TRUE
[server]
subjectAltName = IP:127.0.0.1
"""


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=30)


def _authority(folder: Path, name: str) -> None:
    """One that has no key usage and no key identifiers, as EKS and others make them."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout")
    out = (f"{name}.key", "-out", f"{name}.pem", "-config", "openssl.cnf", "-extensions", "ca")
    _openssl(folder, "req", "-x509", "-days", "2", *key, *out)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """`ca.pem` and what it signed (`server.pem`, `server.key`); `other.pem` signed nothing."""
    (tmp_path / "openssl.cnf").write_text(CONFIG, encoding="utf-8")
    _authority(tmp_path, "ca")
    _authority(tmp_path, "other")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout")
    request = ("server.key", "-out", "server.csr", "-config", "openssl.cnf")
    _openssl(tmp_path, "req", *key, *request)
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    extra = ("-extfile", "openssl.cnf", "-extensions", "server", "-out", "server.pem")
    _openssl(tmp_path, "x509", "-req", "-in", "server.csr", *signed, *extra)
    return tmp_path


class _Version(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Says its version, whatever is asked."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"gitVersion": "v1.34.1"}')

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """An API server's address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server = HTTPServer(("127.0.0.1", 0), _Version)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def version(folder: Path, address: str, authority: str) -> str:
    """What the server says to somebody who trusts `authority`."""
    trusted = base64.b64encode((folder / authority).read_bytes()).decode()
    (folder / "kubeconfig").write_text(
        f"""
apiVersion: v1
kind: Config
current-context: test
clusters: [{{name: test, cluster: {{server: "{address}", certificate-authority-data: {trusted}}}}}]
users: [{{name: test, user: {{token: "somebody"}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
""",
        encoding="utf-8",
    )
    api = connect(patience_s=0.2)
    try:
        return str(asyncio.run(api.get("/version"))["gitVersion"])
    finally:
        api.close()


def test_an_authority_without_key_usage_is_good_enough(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python insists on more from 3.13 on, and could not speak to such a cluster at all."""
    monkeypatch.setenv("KUBECONFIG", str(certificates / "kubeconfig"))
    assert not tls().verify_flags & ssl.VERIFY_X509_STRICT
    with served(certificates) as address:
        assert version(certificates, address, "ca.pem") == "v1.34.1"


def test_another_authority_is_refused_and_the_reason_is_told(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(certificates / "kubeconfig"))
    with served(certificates) as address:
        with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
            version(certificates, address, "other.pem")
        with pytest.raises(ApiError, match="localhost"):
            version(certificates, address.replace("127.0.0.1", "localhost"), "ca.pem")
