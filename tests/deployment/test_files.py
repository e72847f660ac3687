"""What lies in deploy/ is what the code makes, builds with kustomize, and the CRDs accept it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from seatrial import __version__
from seatrial.workflows.deployment import files
from seatrial.workflows.deployment.storage import KEY
from seatrial.workflows.lint import lint
from seatrial.workflows.pods import USER
from seatrial.workflows.settings import Settings
from tests.workflows.validator import VALIDATOR, refused

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OVERLAYS = (".", "kind", "production")
#: The one beside this Python (`make test-full` brings it), or whichever is on the path.
KUBECTL = shutil.which(
    "kubectl", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)


@pytest.mark.parametrize("path", files(Settings()))
def test_every_generated_file_is_in_step(path: str) -> None:
    """Else: python -m seatrial.workflows.deployment deploy."""
    assert (DEPLOY / path).read_text(encoding="utf-8") == files(Settings())[path]


def documents(folder: str) -> list[dict[str, Any]]:
    """What a kustomization refers to, read without kustomize."""
    root = DEPLOY / folder
    kustomization = yaml.safe_load((root / "kustomization.yaml").read_text())
    found: list[dict[str, Any]] = []
    for name in kustomization["resources"]:
        if (root / name).is_dir():
            found += documents(f"{folder}/{name}")
        else:
            found += yaml.load_all((root / name).read_text(), yaml.CSafeLoader)
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_but_the_namespace_is_in_the_namespace(overlay: str) -> None:
    """MinIO's folder is given the namespace by its kustomization."""
    outside = {
        (d["kind"], d["metadata"]["name"])
        for d in documents(overlay)
        if d["metadata"].get("namespace") != "seatrial" and "minio" not in d["metadata"]["name"]
    }

    assert outside == {("Namespace", "seatrial")}


def test_chaos_mesh_may_break_the_namespace_where_it_filters_them() -> None:
    """It asks for an annotation (`enableFilterNamespace`), and a label would not do."""
    (namespace,) = [d for d in documents(".") if d["kind"] == "Namespace"]

    assert namespace["metadata"]["annotations"] == {"chaos-mesh.org/inject": "enabled"}


def test_the_linter_has_nothing_against_the_workflows() -> None:
    workflows = [d for d in documents(".") if d["apiVersion"].startswith("argoproj.io")]

    assert len(workflows) == 4
    assert [problem for each in workflows for problem in lint(each)] == []


@pytest.mark.skipif(not VALIDATOR, reason="SEATRIAL_CRD_VALIDATOR names no CRD validator")
def test_the_crds_accept_the_workflows(tmp_path: Path) -> None:
    workflows = [d for d in documents(".") if d["apiVersion"].startswith("argoproj.io")]

    assert refused(tmp_path, *workflows) == ""


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl here")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_builds_it(overlay: str) -> None:
    """And the overlay for kind replaces the image everywhere."""
    assert KUBECTL is not None
    run = subprocess.run(
        [KUBECTL, "kustomize", str(DEPLOY / overlay)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    made = [d for d in yaml.load_all(run.stdout, yaml.CSafeLoader) if d]

    assert run.returncode == 0, run.stderr
    names = {(d["kind"], d["metadata"]["name"]) for d in made}
    assert {
        ("Namespace", "seatrial"),
        ("WorkflowTemplate", "seatrial-trial"),
        ("WorkflowTemplate", "seatrial-recheck"),
        ("CronWorkflow", "seatrial-nightly"),
        ("CronWorkflow", "seatrial-reaper"),
        ("PodMonitor", "seatrial-argo"),
        ("PrometheusRule", "seatrial"),
        ("ConfigMap", "seatrial-dashboard"),
        ("ConfigMap", "artifact-repositories"),
        ("Role", "seatrial-cluster"),
    } <= names
    assert set(images_of_steps(made)) == {IMAGES[overlay]}
    assert (("Deployment", "minio") in names) == (overlay == "kind")


def built(overlay: str) -> list[dict[str, Any]]:
    """What kustomize makes of an overlay."""
    assert KUBECTL is not None
    command = [KUBECTL, "kustomize", str(DEPLOY / overlay)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [d for d in yaml.load_all(run.stdout, yaml.CSafeLoader) if d]


def of_kind(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [d for d in documents if (d["kind"], d["metadata"]["name"]) == (kind, name)]
    return found


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl here")
def test_what_the_quota_demands_of_containers_they_are_given() -> None:
    """Argo's own containers and TiDB Operator's ask for nothing, and would be refused."""
    documents = built("production")
    quota = of_kind(documents, "ResourceQuota", "seatrial")["spec"]["hard"]
    (limits,) = of_kind(documents, "LimitRange", "seatrial")["spec"]["limits"]

    demanded = {name.removeprefix("requests.") for name in quota if name.startswith("requests.")}
    assert demanded == {"cpu", "memory"}
    assert limits["type"] == "Container"
    assert set(limits["defaultRequest"]) == demanded
    assert "default" not in limits, "a limit would end what needs more"


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl here")
def test_no_alert_waits_for_nights_where_none_begins() -> None:
    alerts = {}
    for overlay in OVERLAYS:
        documents = built(overlay)
        (group,) = of_kind(documents, "PrometheusRule", "seatrial")["spec"]["groups"]
        nightly = of_kind(documents, "CronWorkflow", "seatrial-nightly")["spec"]
        alerts[overlay] = {rule["alert"] for rule in group["rules"]}
        waits = "SeatrialNoGreenNight" in alerts[overlay]
        assert waits == (not nightly.get("suspend", False))
    assert alerts["."] - alerts["kind"] == {"SeatrialNoGreenNight"}


def test_the_night_is_not_ended_by_all_that_it_ever_found() -> None:
    """Argo counts failures over a CronWorkflow's life."""
    nightly = of_kind(documents("."), "CronWorkflow", "seatrial-nightly")

    assert "stopStrategy" not in nightly["spec"]
    assert nightly["spec"]["concurrencyPolicy"] == "Forbid"


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl here")
def test_a_new_pod_of_minio_gets_its_bucket_from_the_first_trial() -> None:
    """It has no volume, and the Job that makes the bucket ran once. All else is as in the base."""
    base, kind = (
        yaml.safe_load(of_kind(built(one), "ConfigMap", "artifact-repositories")["data"][KEY])
        for one in (".", "kind")
    )

    assert kind["s3"].pop("createBucketIfNotPresent") == {}
    assert kind == base


#: The image of all steps by overlay; what a target's pods have beside it is read from a step's pod.
IMAGES = {
    ".": f"seatrial:{__version__}",
    "kind": "seatrial:dev",
    "production": "registry.example.org/seatrial:0.1.0",
}


def images_of_steps(documents: list[dict[str, Any]]) -> list[str]:
    """Every image in a WorkflowTemplate or CronWorkflow, wherever in it."""
    found: list[str] = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            found.extend(one for key, one in value.items() if key == "image")
        for one in value.values() if isinstance(value, dict) else value:
            if isinstance(one, dict | list):
                look(one)

    look([d for d in documents if d["apiVersion"].startswith("argoproj.io")])
    return found


@pytest.mark.skipif(KUBECTL is None or not VALIDATOR, reason="no kubectl, or no CRD validator")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_crds_accept_what_kustomize_makes(tmp_path: Path, overlay: str) -> None:
    """After patches and image transformers, not only before."""
    workflows = [d for d in built(overlay) if d["apiVersion"].startswith("argoproj.io")]

    assert len(workflows) == 4
    assert refused(tmp_path, *workflows) == ""


def test_each_overlay_knows_where_the_images_are() -> None:
    where = [(DEPLOY / name / "images.yaml").read_text() for name in ("base", "kind", "production")]

    assert len(set(where)) == 1


def test_the_image_is_made_of_files_that_are_there_and_runs_as_the_user_of_the_pods() -> None:
    dockerfile = (DEPLOY / "image" / "Dockerfile").read_text()
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE)
        for name in line.split()[:-1]
    }
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }

    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    assert f"USER {USER}:{USER}" in dockerfile
