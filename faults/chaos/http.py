"""HTTPChaos: a proxy in front of a port breaks, delays or changes HTTP messages.

What belongs to requests only (replaced path, method, queries) or to responses only (status code,
response headers) is kept there: Chaos Mesh would ignore it. Connections that were open before
the fault are not reached.
"""

from __future__ import annotations

import json
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from seatrial.errors import UsageError
from seatrial.faults.chaos.action import Action, put
from seatrial.faults.chaos.data import Data
from seatrial.faults.chaos.units import (
    At,
    Map,
    Milliseconds,
    Pairs,
    Port,
    Text,
    base64_of,
    mapped,
    milliseconds,
    pairs,
)
from seatrial.verdict import Json

Target = Literal["Request", "Response"]
Code = Annotated[int, Field(ge=100, le=599, strict=True)]


class Tls(Data):
    """Where the proxy's certificate lies: names of a secret and of its entries."""

    secret_name: Text
    secret_namespace: Text
    cert_name: Text
    key_name: Text
    ca_name: Text | None = None

    def to_json(self) -> dict[str, Json]:
        """As in the CRD."""
        out: dict[str, Json] = {
            "secretName": self.secret_name,
            "secretNamespace": self.secret_namespace,
            "certName": self.cert_name,
            "keyName": self.key_name,
        }
        return out if self.ca_name is None else out | {"caName": self.ca_name}


def _tls(value: Tls) -> Json:
    return value.to_json()


class HttpAction(Action):
    """What HTTPChaos actions share: which messages. The kind has no field `action`."""

    kind: ClassVar[str] = "HTTPChaos"
    action: ClassVar[str] = ""
    #: Fields that mean something to one target only.
    only: ClassVar[dict[str, Target]] = {}

    target: Annotated[Target, At("target")] = Field(description="which half of an exchange")
    port: Annotated[Port, At("port")] = Field(description="where the service listens")
    path: Annotated[Text | None, At("path")] = Field(
        default=None, description="of which requests, with wildcards; none: all"
    )
    method: Annotated[Text | None, At("method")] = Field(
        default=None, description="of which requests; none: all"
    )
    code: Annotated[Code | None, At("code")] = Field(
        default=None, description="of which responses; none: all"
    )
    request_headers: Annotated[Map, At("request_headers", mapped)] = Field(
        default_factory=dict, description="that the request must have"
    )
    response_headers: Annotated[Map, At("response_headers", mapped)] = Field(
        default_factory=dict, description="that the response must have"
    )
    tls: Annotated[Tls | None, At("tls", _tls)] = Field(
        default=None, description="the certificate for HTTPS"
    )

    @model_validator(mode="after")
    def _target_fits(self) -> Self:
        only: dict[str, Target] = {"code": "Response", "response_headers": "Response", **self.only}
        for name, target in only.items():
            if getattr(self, name) and target != self.target:
                raise UsageError(
                    f"{self.title()}: {name} (was {getattr(self, name)!r}) means nothing to "
                    f"target {self.target!r}\n\nhint: target={target!r}, or leave it out"
                )
        return self


class Abort(HttpAction):
    """The connection is broken off."""

    called: ClassVar[str] = "abort"
    summary: ClassVar[str] = "break the connection off"
    fixed: ClassVar[dict[str, Json]] = {"abort": True}


class Delay(HttpAction):
    """Messages come later."""

    called: ClassVar[str] = "delay"
    summary: ClassVar[str] = "hold messages back for a time"

    latency_ms: Annotated[Milliseconds, At("delay", milliseconds)] = Field(
        description="for how long"
    )


def _something(action: HttpAction, names: tuple[str, ...]) -> None:
    if not any(getattr(action, name) for name in names):
        raise UsageError(
            f"{action.title()}: nothing to {action.called}\n\nhint: give one of {', '.join(names)}"
        )


class Replace(HttpAction):
    """Parts of messages are replaced."""

    called: ClassVar[str] = "replace"
    summary: ClassVar[str] = "replace parts of messages"
    section: ClassVar[str] = "replace"
    only: ClassVar[dict[str, Target]] = {
        "new_path": "Request",
        "new_method": "Request",
        "new_queries": "Request",
        "new_code": "Response",
    }

    new_path: Annotated[Text | None, At(".path")] = None
    new_method: Annotated[Text | None, At(".method")] = None
    new_queries: Annotated[Map, At(".queries", mapped)] = Field(
        default_factory=dict, description="query parameters and their new values"
    )
    new_code: Annotated[Code | None, At(".code")] = None
    new_headers: Annotated[Map, At(".headers", mapped)] = Field(default_factory=dict)
    new_body: Annotated[Text | None, At(".body", base64_of)] = Field(
        default=None, description="text, in UTF-8"
    )

    @model_validator(mode="after")
    def _something_new(self) -> Self:
        _something(
            self,
            ("new_path", "new_method", "new_queries", "new_code", "new_headers", "new_body"),
        )
        return self


class Patch(HttpAction):
    """Something is added to messages."""

    called: ClassVar[str] = "patch"
    summary: ClassVar[str] = "add something to messages"
    section: ClassVar[str] = "patch"
    only: ClassVar[dict[str, Target]] = {"more_queries": "Request"}

    more_headers: Annotated[Pairs, At(".headers", pairs)] = ()
    more_queries: Annotated[Pairs, At(".queries", pairs)] = ()
    merge_json: Annotated[Text | None, At(".body.value")] = Field(
        default=None, description="a JSON merge patch of the body (RFC 7396)"
    )

    @model_validator(mode="after")
    def _something_more(self) -> Self:
        _something(self, ("more_headers", "more_queries", "merge_json"))
        try:
            json.loads(self.merge_json or "{}")
        except ValueError as error:
            raise UsageError(
                f"{self.title()}: merge_json is no JSON: {error} (was {self.merge_json!r})\n\n"
                'hint: for instance {"name": "new value"}'
            ) from None
        return self

    def spec(self) -> dict[str, Json]:
        """As in the CRD, where a patch of the body says its type."""
        out = super().spec()
        if self.merge_json is not None:
            put(out, "patch.body.type", "JSON")
        return out


ACTIONS = (Abort, Delay, Replace, Patch)
