"""Asking HTTP servers, Kubernetes and commands; every failure is a sentence."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import requests

from seatrial.probe import CommandProbe, HttpProbe, KubernetesProbe
from seatrial.probes.document import read_text
from seatrial.probes.prometheus import Read
from seatrial.target import Node

#: An answer is read up to so many bytes.
BODY_BYTES_MAX: Final = 1 << 20
_SAID_CHARS: Final = 200


def asker(
    probe: HttpProbe | KubernetesProbe | CommandProbe, nodes: Sequence[Node]
) -> Callable[[], list[Read]]:
    """A function that asks once; one reading, or one a node where text of each node is read."""
    if isinstance(probe, HttpProbe):
        session = requests.Session()
        session.trust_env = "{node}" not in probe.url
        return lambda: _http(probe, session, nodes)
    if isinstance(probe, CommandProbe):
        environment = {**os.environ, **_of_nodes(nodes)}
        return lambda: [_command(probe, environment)]
    return lambda: [_kubernetes(probe)]


def _of_nodes(nodes: Sequence[Node]) -> dict[str, str]:
    """What a command may know of the lab."""
    out = {"SEATRIAL_NODES": " ".join(f"{node.name}={node.address}" for node in nodes)}
    for node in nodes[:1]:
        out |= {f"SEATRIAL_PORT_{name.upper()}": str(port) for name, port in node.ports.items()}
    return out if nodes else {}


# ── HTTP ─────────────────────────────────────────────────────────────────────────────────────


def _http(probe: HttpProbe, session: requests.Session, nodes: Sequence[Node]) -> list[Read]:
    if "{node}" not in probe.url:
        return [_request(probe, session, probe.url)]
    reads = []
    for node in nodes:
        url = probe.url.replace("{node}", node.address)
        for name, port in node.ports.items():
            url = url.replace(f"{{port:{name}}}", str(port))
        read = _request(probe, session, url)
        reads.append(Read(read.value, f"{node.name}: {read.why}" if read.why else "", read.text))
    if any(read.text is not None for read in reads):
        return reads
    return [_joined(reads, probe.nodes)]


def _joined(reads: Sequence[Read], how: str) -> Read:
    values = [read.value for read in reads if read.value is not None]
    if len(values) < len(reads):
        return next(read for read in reads if read.value is None)
    functions: Mapping[str, Callable[[list[float]], float]] = {
        "max": max,
        "min": min,
        "mean": lambda v: sum(v) / len(v),
    }
    return Read(functions[how](values))


def _request(probe: HttpProbe, session: requests.Session, url: str) -> Read:
    began = time.monotonic()
    try:
        with session.request(
            probe.method,
            url,
            headers=dict(probe.headers),
            data=probe.body.encode() or None,
            timeout=probe.timeout_s,
            stream=True,
            allow_redirects=True,
        ) as answer:
            body = answer.raw.read(BODY_BYTES_MAX, decode_content=True)
            status, encoding = answer.status_code, answer.encoding or "utf-8"
    except requests.Timeout:
        return Read(None, f"{url} gave no answer within {probe.timeout_s:g} s")
    except (requests.RequestException, OSError) as error:
        return Read(None, f"{url} cannot be reached: {type(error).__name__}")
    except Exception as error:  # urllib3's own errors while the body is read
        return Read(None, f"{url} broke off its answer: {type(error).__name__}: {error}")
    if probe.read == "status":
        return Read(float(status))
    if probe.read == "latency_ms":
        return Read((time.monotonic() - began) * 1000)
    if status >= 400:
        return Read(None, f"{url} answered with status {status}")
    return read_text(body.decode(encoding, errors="replace"), probe.path, probe.take)


# ── commands ─────────────────────────────────────────────────────────────────────────────────


def _command(probe: CommandProbe, environment: Mapping[str, str]) -> Read:
    began = time.monotonic()
    try:
        done = subprocess.run(
            list(probe.argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=probe.timeout_s,
            env=dict(environment),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Read(None, f"{probe.argv[0]} did not end within {probe.timeout_s:g} s")
    except OSError as error:
        return Read(None, f"{probe.argv[0]} cannot be started: {error.strerror}")
    if probe.read == "exit_status":
        return Read(float(done.returncode))
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-_SAID_CHARS:]
        return Read(None, f"{probe.argv[0]} ended with status {done.returncode}: {said}")
    if probe.read == "latency_ms":
        return Read((time.monotonic() - began) * 1000)
    return read_text(done.stdout.decode(errors="replace"), probe.path, probe.take)


# ── Kubernetes ───────────────────────────────────────────────────────────────────────────────


def _kubernetes(probe: KubernetesProbe) -> Read:
    """Pods by `CoreV1Api.list_namespaced_pod`, with the configuration of kubectl or of the pod."""
    try:
        pods = _pods(probe)
    except Exception as error:  # the client library raises a zoo of its own and urllib3's
        reason = getattr(error, "reason", "") or str(error).partition("\n")[0]
        return Read(None, f"Kubernetes: {type(error).__name__}: {str(reason)[:_SAID_CHARS]}")
    if probe.read == "pods":
        return Read(float(len(pods)))
    if not pods:
        return Read(None, f"no pod of {probe.namespace} has the labels {probe.selector!r}")
    if probe.read == "restarts":
        return Read(float(sum(_restarts(pod) for pod in pods)))
    if probe.read == "phase":
        return Read(sum(pod["status"].get("phase") == probe.phase for pod in pods) / len(pods))
    wanted = "Ready" if probe.read == "ready" else probe.condition
    return Read(sum(_holds(pod, wanted) for pod in pods) / len(pods))


def _pods(probe: KubernetesProbe) -> list[dict[str, Any]]:
    from kubernetes import client, config

    if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
        config.load_incluster_config()
    else:
        config.load_kube_config()
    with client.ApiClient() as api:
        answer = client.CoreV1Api(api).list_namespaced_pod(
            probe.namespace,
            label_selector=probe.selector or None,
            _request_timeout=probe.timeout_s,
        )
        items = api.sanitize_for_serialization(answer)["items"]
    return list(items)


def _restarts(pod: Mapping[str, Any]) -> int:
    return sum(int(c["restartCount"]) for c in pod["status"].get("containerStatuses") or ())


def _holds(pod: Mapping[str, Any], condition: str) -> bool:
    held = pod["status"].get("conditions") or ()
    return any(c.get("type") == condition and c.get("status") == "True" for c in held)
