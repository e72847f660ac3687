"""`seatrial render`: what is asked for is made, and what is typed wrong is named with a hint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from seatrial.cli import main

REGISTER = ["render", "etcd-register", "--faults", "kill,partition"]
NIGHTLY = ["--cron", "0 2 * * *", "--timezone", "Europe/Berlin"]


def rendered(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main([*arguments]) == 0
    return list(yaml.load_all(capsys.readouterr().out, yaml.CSafeLoader))


def template(made: dict[str, Any], name: str) -> dict[str, Any]:
    """A template of a rendered object."""
    spec = made["spec"].get("workflowSpec", made["spec"])
    (found,) = [each for each in spec["templates"] if each["name"] == name]
    return dict(found)


def child(campaign: dict[str, Any]) -> dict[str, Any]:
    """The Workflow of a campaign's trials, before Argo puts values into it."""
    return dict(yaml.safe_load(template(campaign, "make")["resource"]["manifest"]))


def test_the_same_command_prints_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for _ in range(2):
        assert main([*REGISTER, "--seed", "7"]) == 0
        printed.append(capsys.readouterr().out)

    assert printed[0] == printed[1]


def test_the_plan_in_the_workflow_is_the_plan_that_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (made,) = rendered(capsys, *REGISTER, "--seed", "7")
    main(["plan", *REGISTER[1:], "--seed", "7", "--engine", "argo", "--json"])

    (parameter,) = made["spec"]["arguments"]["parameters"]
    assert parameter["value"] == capsys.readouterr().out


def test_cron_with_a_seed_repeats_one_plan_and_without_one_draws_anew(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (fixed,) = rendered(capsys, *REGISTER, *NIGHTLY, "--seed", "7")
    (fresh,) = rendered(capsys, *REGISTER, *NIGHTLY, "--time-limit", "90s")

    for made in (fixed, fresh):
        assert made["kind"] == "CronWorkflow"
        assert made["spec"]["schedules"] == ["0 2 * * *"]
        assert made["spec"]["timezone"] == "Europe/Berlin"
    given = {
        p["name"]: p["value"] for p in fresh["spec"]["workflowSpec"]["arguments"]["parameters"]
    }
    assert "plan" not in given
    assert given["seed"] == "" and given["case"] == "etcd-register"
    assert given["faults"] == "kill,partition" and given["time-limit"] == "90s"


def test_labels_stand_on_the_object_on_its_runs_and_on_its_pods(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--label", "team=storage", "--ticket", "DB-17", "--schedule", "weekly"]

    (made,) = rendered(capsys, *REGISTER, *words, "--namespace", "trials", "--image", "x@sha256:1")

    expected = {
        "team": "storage",
        "seatrial/ticket": "DB-17",
        "seatrial/schedule": "weekly",
        "seatrial/case": "etcd-register",
    }
    spec = made["spec"]
    for holder in (made["metadata"], spec["podMetadata"], spec["workflowMetadata"]):
        assert expected.items() <= holder["labels"].items()
    assert made["metadata"]["namespace"] == "trials"
    images = {t["container"]["image"] for t in spec["templates"] if "container" in t}
    assert images == {"x@sha256:1"}


def test_five_hundred_trials_are_parameters_and_not_copies(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (made,) = rendered(capsys, *REGISTER, "--trials", "500", "--seed", "1")

    (fan_out,) = made["spec"]["templates"][0]["dag"]["tasks"]
    assert [item["seed"] for item in fan_out["withItems"]] == [str(1 + i) for i in range(500)]
    assert {item["faults"] for item in fan_out["withItems"]} == {"kill,partition"}
    assert len(made["spec"]["templates"]) == 5
    assert len(json.dumps(made)) < 100_000
    assert made["spec"]["parallelism"] == 4


def test_settings_come_from_a_file_and_options_go_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(
        "namespace: there\nkeep: on-failure\nstorage: {prefix: a/b}\n"
        "cron: {timezone: Europe/Berlin, failed_limit: 9}\n"
    )

    (made,) = rendered(
        capsys, *REGISTER, "--settings", str(file), "--namespace", "here", "--cron", "@daily"
    )

    assert made["metadata"]["namespace"] == "here"
    assert made["spec"]["timezone"] == "Europe/Berlin"
    assert made["spec"]["failedJobsHistoryLimit"] == 9
    assert "a/b/{{workflow.name}}" in json.dumps(made)


def test_templates_are_what_campaigns_refer_to(capsys: pytest.CaptureFixture[str]) -> None:
    made = rendered(capsys, "render", "templates")
    (campaign,) = rendered(capsys, *REGISTER, "--trials", "2")

    names = [(each["kind"], each["metadata"]["name"]) for each in made]
    manifest = child(campaign)
    reference = manifest["spec"]["workflowTemplateRef"]["name"]
    assert names == [
        ("WorkflowTemplate", "seatrial-trial"),
        ("WorkflowTemplate", "seatrial-recheck"),
        ("CronWorkflow", "seatrial-reaper"),
    ]
    given = {parameter["name"] for parameter in manifest["spec"]["arguments"]["parameters"]}
    taken = {parameter["name"] for parameter in made[0]["spec"]["arguments"]["parameters"]}
    assert reference == "seatrial-trial"
    assert given <= taken


def test_the_node_plan_makes_what_the_graph_fans_out_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the container does: options from the environment, where an empty one is not set."""
    (made, *_) = rendered(capsys, "render", "templates")
    (plan,) = [t for t in made["spec"]["templates"] if t["name"] == "plan"]
    values = {"seed": "9", "faults": "kill"}
    for variable in plan["container"]["env"]:
        name = variable.get("value", "").removeprefix("{{workflow.parameters.").removesuffix("}}")
        if variable["name"].startswith("SEATRIAL_PLAN_"):
            monkeypatch.setenv(variable["name"], values.get(name, ""))
    words = [
        word.replace("{{workflow.parameters.case}}", "etcd-register")
        .replace("{{workflow.parameters.target}}", "etcd")
        .replace("/trial", str(tmp_path))
        for word in plan["container"]["args"]
    ]

    assert main(words) == 0

    document = json.loads((tmp_path / "plan.json").read_text())
    faults = json.loads((tmp_path / "faults.json").read_text())
    assert document["seed"] == 9 and document["engine"] == "argo"
    assert {fault["kind"] for fault in document["faults"]} == {"kill"}
    assert [fault["id"] for fault in faults] == [fault["id"] for fault in document["faults"]]
    assert all(fault["node"].startswith(f"{fault['id']}-kill-") for fault in faults)
    assert json.loads((tmp_path / "checkers.json").read_text()) == [*document["checkers"]]
    outputs = {p["valueFrom"]["path"] for p in plan["outputs"]["parameters"]}
    assert {path.replace("/trial", str(tmp_path)) for path in outputs} == {
        str(path) for path in tmp_path.iterdir()
    }


@pytest.mark.parametrize(
    ("arguments", "wrong", "hint"),
    [
        (["render", "etcd-regster"], "case 'etcd-regster'", "did you mean 'etcd-register'?"),
        (["render", "etcd-register,etcd-st"], "case 'etcd-st'", "did you mean 'etcd-set'?"),
        (["render", ","], "no case is named", "seatrial list cases"),
        ([*REGISTER, "--cron", "0 2 *"], "'0 2 *' is no cron expression", "--help"),
        ([*REGISTER, *NIGHTLY[:3], "Mars/North"], "time zone 'Mars/North' is unknown", "--help"),
        ([*REGISTER, "--timezone", "Etc/UTC"], "--timezone without --cron", "--cron"),
        ([*REGISTER, "--label", "team"], "--label 'team' has no value", "team=storage"),
        ([*REGISTER, "--label", "a b=c"], "not a Kubernetes label: a b=c", "--help"),
        ([*REGISTER, "--namespace", "No_Name"], "namespace", "--help"),
        ([*REGISTER, "--trials", "2001"], "a campaign of 2001 trials", "several campaigns"),
        ([*REGISTER, "--trials", "0"], "0 is not in the range", "--help"),
        ([*REGISTER, "--nodes", "2"], "2 nodes", "--nodes"),
        ([*REGISTER, "--cron", "99 99 99 99 99"], "minute '99'", "--help"),
        ([*REGISTER, "--cron", "@every foo"], "@every 30m", "--help"),
        ([*REGISTER, "--label", "seatrial/run=foo"], "label seatrial/run is", "--help"),
        ([*REGISTER, "--label", "seatrial/case=x"], "label seatrial/case is", "--help"),
        ([*REGISTER, "--label", "app.kubernetes.io/part-of=x"], "is seatrial's own", "--help"),
        ([*REGISTER, "--image", "a b"], "image", "--help"),
        ([*REGISTER, "--etcd", "/bin/etcd"], "--etcd /bin/etcd", "--engine lab"),
        (["render", "templates", "--cron", "@daily"], "--cron: templates is no case", "CASE"),
        (["render", "templates", "--faults", "kill"], "--faults: templates is", "CASE"),
        (["render", "recheck", "--seed", "7"], "--seed: recheck is no case", "CASE"),
        (
            [*REGISTER, "--trials", "2", "--target-option", "binary='x'"],
            "does not go through the manifest",
            "u0027",
        ),
    ],
)
def test_what_is_typed_wrong_is_named_with_a_hint(
    arguments: list[str], wrong: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 64

    out, err = capsys.readouterr()
    assert out == ""
    assert wrong in err
    assert hint in err


@pytest.mark.parametrize(
    ("text", "status", "wrong"),
    [
        ("a: [", 65, "no YAML"),
        ("- a", 65, "settings are a mapping"),
        ("colour: red", 64, "colour"),
        ("cron: daily", 64, "no mapping"),
        (None, 66, "cannot read"),
    ],
)
def test_settings_that_are_none_are_named(
    text: str | None, status: int, wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yaml"
    if text is not None:
        file.write_text(text)

    assert main([*REGISTER, "--settings", str(file)]) == status
    assert wrong in capsys.readouterr().err


def test_rights_in_another_namespace_are_those_of_the_faults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    role, binding = rendered(
        capsys, "render", "rights", "--target-namespace", "production", "--faults", "kill"
    )

    grants = {(rule["apiGroups"][0], rule["resources"][0]): rule["verbs"] for rule in role["rules"]}
    assert grants == {
        ("", "pods"): ["get", "list", "watch"],
        ("", "pods/log"): ["get"],
        ("chaos-mesh.org", "podchaos"): ["create", "update"],
    }
    assert {role["metadata"]["namespace"], binding["metadata"]["namespace"]} == {"production"}
    (subject,) = binding["subjects"]
    assert (subject["name"], subject["namespace"]) == ("seatrial-cluster", "seatrial")


def test_rights_of_faults_that_no_case_has_are_printed_for_our_own_namespace(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--target-namespace", "seatrial", "--faults", "rolling-restart,clock"]
    role, _ = rendered(capsys, "render", "rights", *words)

    grants = {rule["resources"][0]: rule["verbs"] for rule in role["rules"]}
    assert grants["pods"] == ["get", "list", "watch", "delete"]
    assert {"create", "delete", "patch", "update"} < set(grants["timechaos"])


def test_rights_nowhere_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "rights"]) == 64
    assert "--target-namespace NAMESPACE" in capsys.readouterr().err


@pytest.mark.parametrize("lost", ["storage: {prefix: a/b}", "lock: {kind: semaphore}"])
def test_what_no_trial_of_a_campaign_can_take_is_refused(
    lost: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stands in the template that they are made from; a trial of its own has it."""
    file = tmp_path / "cluster.yaml"
    file.write_text(lost)

    assert main([*REGISTER, "--settings", str(file), "--trials", "2"]) == 64
    assert "seatrial submit templates --settings FILE" in capsys.readouterr().err
    assert main([*REGISTER, "--settings", str(file)]) == 0


def test_image_and_lifetime_of_a_campaign_reach_its_trials(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("ttl_success_s: 60\naccounts: {cluster: other}\n")
    words = ["--trials", "2", "--image", "mine:1", "--settings", str(file), "--ticket", "DB-17"]

    (made,) = rendered(capsys, *REGISTER, *words)
    spec = child(made)["spec"]

    assert "mine:1" in spec["podSpecPatch"]
    assert spec["ttlStrategy"]["secondsAfterSuccess"] == 60
    assert child(made)["metadata"]["labels"]["seatrial/ticket"] == "DB-17"
    assert template(made, "make")["serviceAccountName"] == "other"


def test_a_label_of_the_command_line_joins_those_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("labels: {team: storage, level: low}\n")

    (made,) = rendered(capsys, *REGISTER, "--settings", str(file), "--label", "level=high")

    assert {"team": "storage", "level": "high"}.items() <= made["metadata"]["labels"].items()


def test_two_schedules_of_one_case_have_names_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By what they try: another hour, label or image is the same schedule, changed."""

    def name(*words: str) -> str:
        (made,) = rendered(capsys, "render", *words)
        assert made["kind"] == "CronWorkflow" and len(made["metadata"]["name"]) <= 52
        assert made["metadata"]["labels"]["seatrial/schedule"] == "cron"
        return str(made["metadata"]["name"])

    kill, cut = (["etcd-register", *NIGHTLY, "--faults", fault] for fault in ("kill", "partition"))
    first = name(*kill)

    assert first.startswith("etcd-register-cron-")
    assert name(*kill[:2], "0 4 * * *", *kill[3:], "--label", "team=x") == first
    assert name(*cut) != first
    assert name(*kill, "--seed", "7") != name(*cut, "--seed", "7")
    assert name(*kill, "--trials", "2") != name(*cut, "--trials", "2")


def test_several_objects_are_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "templates", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert (found["kind"], found["apiVersion"]) == ("List", "v1")
    assert [each["metadata"]["name"] for each in found["items"]] == [
        "seatrial-trial",
        "seatrial-recheck",
        "seatrial-reaper",
    ]


def test_a_picture_is_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*REGISTER, "--picture", "--json"]) == 64
    assert "--picture is an SVG" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["recheck", "reaper"])
def test_one_of_what_campaigns_refer_to(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    (made,) = rendered(capsys, "render", word, "--image", "mine:1")

    assert made["metadata"]["name"] == f"seatrial-{word}"
    images = {
        t["container"]["image"]
        for t in made["spec"].get("workflowSpec", made["spec"])["templates"]
        if "container" in t
    }
    assert images == {"mine:1"}
