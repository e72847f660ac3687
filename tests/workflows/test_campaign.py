"""Trials of a campaign: what was asked for reaches each of them, or is refused."""

from __future__ import annotations

from typing import Any, cast

import pytest
import yaml
from hera.workflows import Workflow

from seatrial.errors import UsageError
from seatrial.workflows.campaign import Campaign, campaign, nightly
from seatrial.workflows.documents import document
from seatrial.workflows.lint import lint
from seatrial.workflows.parameters import TrialParameters
from seatrial.workflows.settings import Settings
from seatrial.workflows.trial import trial_template
from tests.workflows.sample import MATRIX, NIGHT


def shown(workflow: Workflow) -> dict[str, Any]:
    """As Argo's API has it."""
    return cast(dict[str, Any], document(workflow))


def templates(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    spec = made["spec"].get("workflowSpec", made["spec"])
    return {each["name"]: each for each in spec["templates"]}


def items(made: dict[str, Any]) -> list[dict[str, str]]:
    (task,) = templates(made)["campaign"]["dag"]["tasks"]
    return list(task["withItems"])


def child(made: dict[str, Any], item: dict[str, str], name: str = "night-1") -> dict[str, Any]:
    """The trial's Workflow as Argo makes it: values are put into the text as they are."""
    text = str(templates(made)["make"]["resource"]["manifest"])
    values = {"workflow.name": name, "workflow.namespace": "seatrial"}
    values |= {f"inputs.parameters.{key}": value for key, value in item.items()}
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", value)
    assert "{{" not in text
    return dict(yaml.safe_load(text))


def one(settings: Settings = Settings(), **change: str) -> dict[str, Any]:  # noqa: B008
    """A campaign of one case."""
    wanted = Campaign(name="c", cases={"etcd-set": "etcd"}, change=TrialParameters(**change))
    return shown(campaign(wanted, settings))


def given(made: dict[str, Any]) -> dict[str, str]:
    """A trial's parameters."""
    parameters = made["spec"]["arguments"]["parameters"]
    return {each["name"]: each["value"] for each in parameters}


def test_labels_ticket_and_schedule_stand_on_every_trial() -> None:
    settings = Settings(ticket="DB-17", labels={"team": "storage"})
    made = shown(nightly(MATRIX, settings, NIGHT))

    for item in items(made):
        labels = child(made, item)["metadata"]["labels"]
        assert {
            "team": "storage",
            "seatrial/ticket": "DB-17",
            "seatrial/schedule": "nightly",
            "seatrial/case": item["case"],
            "seatrial/target": "etcd",
            "seatrial/seed": item["seed"],
            "seatrial/campaign": "night-1",
            "seatrial/run": f"night-1-{item['number']}",
        }.items() <= labels.items()


def test_a_trial_tells_its_schedule_to_the_metrics() -> None:
    made = shown(nightly(MATRIX, Settings(), NIGHT))

    assert given(child(made, items(made)[0]))["schedule"] == "nightly"
    assert "schedule" not in given(child(one(), items(one())[0]))


def test_the_label_of_the_campaign_has_one_meaning() -> None:
    """The name of the Workflow whose trial it is: so neither campaign nor schedule has it."""
    made = shown(nightly(MATRIX, Settings(), NIGHT))
    spec = made["spec"]["workflowSpec"]

    for holder in (made["metadata"], spec["podMetadata"], spec["workflowMetadata"]):
        assert "seatrial/campaign" not in holder["labels"]


def test_no_label_is_empty_where_the_seed_is_drawn() -> None:
    """Until `preflight` knows it there is none."""
    made = one()
    any_trial = shown(trial_template(Settings()))

    assert "seatrial/seed" not in child(made, items(made)[0])["metadata"]["labels"]
    assert "seatrial/seed" not in any_trial["spec"]["workflowMetadata"]["labelsFrom"]


def test_image_and_lifetime_reach_the_trials_where_they_were_asked_for() -> None:
    plain = child(one(), {"number": "1", "case": "etcd-set", "target": "etcd", "seed": ""})
    made = one(Settings(image="mine:2", ttl_failure_s=60))
    told = child(made, items(made)[0])

    assert not {"podSpecPatch", "ttlStrategy"} & set(plain["spec"])
    patch = yaml.safe_load(told["spec"]["podSpecPatch"])
    assert patch == {"containers": [{"name": "main", "image": "mine:2"}]}
    assert told["spec"]["ttlStrategy"]["secondsAfterFailure"] == 60


def test_whether_targets_are_kept_reaches_the_trials() -> None:
    made = one(Settings(keep="on-failure"))

    assert given(child(made, items(made)[0]))["keep-target"] == "on-failure"


@pytest.mark.parametrize(
    "value",
    ['access.password="it\\u0027s"', "a=#x", "a=: ,[]{}&*!|>%@`", 'a="\\t"', "a=ä→", "a=-", "a=~"],
)
def test_a_value_comes_out_of_the_manifest_as_it_went_in(value: str) -> None:
    made = one(target_options=value)

    assert given(child(made, items(made)[0]))["target-options"] == value


@pytest.mark.parametrize("value", ["a='x'", "a={{workflow.name}}", "a=1\nb: 2", "a=\x07"])
def test_a_value_that_would_break_the_manifest_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="does not go through the manifest"):
        one(target_options=value)


def test_a_trial_without_a_target_has_no_lock_and_is_refused() -> None:
    nameless = Campaign(name="c", cases={"etcd-set": ""})
    with pytest.raises(UsageError, match="without a target"):
        campaign(nameless, Settings())
    with pytest.raises(UsageError, match="a trial needs both"):
        trial_template(Settings(), TrialParameters(case="etcd-set"), cron=NIGHT)
    with pytest.raises(UsageError, match="a trial needs both"):
        trial_template(Settings(), kind="Workflow")


def test_who_submits_the_template_must_name_case_and_target() -> None:
    """Argo refuses a Workflow whose parameter has no value; an empty one is no target."""
    made = shown(trial_template(Settings()))
    parameters = {each["name"]: each for each in made["spec"]["arguments"]["parameters"]}

    assert "value" not in parameters["target"]
    assert "value" not in parameters["case"]
    assert parameters["seed"]["value"] == ""
    words = templates(made)["plan"]["container"]["args"]
    assert words[words.index("--target") + 1] == "{{workflow.parameters.target}}"
    assert lint(made) == []


def test_a_node_follows_each_trial_and_speaks_for_it() -> None:
    """Its exit status and message are the verdict's: a `resource` node would have neither."""
    made = shown(campaign(MATRIX, Settings()))
    found = templates(made)
    follow = found["follow"]

    assert [each["template"] for each in found["trial"]["dag"]["tasks"]] == ["make", "follow"]
    words = follow["container"]["args"]
    assert words[:2] == ["watch", "{{workflow.name}}-{{inputs.parameters.number}}"]
    name = child(made, items(made)[0])["metadata"]["name"]
    assert name == "night-1-1"
    assert "/dev/termination-log" in follow["container"]["args"]
    called = follow["annotations"]["workflows.argoproj.io/display-name"]
    assert called == "trial-{{inputs.parameters.number}}-{{inputs.parameters.case}}"
    conditions = {"successCondition", "failureCondition"}
    assert not conditions & set(found["make"]["resource"])
