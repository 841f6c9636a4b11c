"""The OpenAPI description, by apispec out of marshmallow schemas, out of the core's table of limits."""

from __future__ import annotations

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import INCLUDE, Schema, fields, validate

from catchment.core.collecting.losses import KNOWN_REASONS, LossOutcome
from catchment.core.event import OTHER_FIELDS, TEXTS
from catchment.core.fields import Over
from catchment.core.limits import Limits
from catchment.core.outcomes import Outcome, WarningCode
from catchment.core.refusals import IN_WORDS, Reason

from ..answers import OUTCOME, REASON, STATUS_OF
from ..protocols.pixel import DATA, PARAMETERS

_PROBLEM = "application/problem+json"
_SENT = {"required": True, "schema": {"type": "string"}}
_QUOTA_HEADERS = {
    "RateLimit-Policy": {
        "schema": {"type": "string"},
        "description": "If a hard quota counts the event: its name, its limit (q) and its window in seconds (w)",
    },
    "RateLimit": {
        "schema": {"type": "string"},
        "description": "The events that are left of it (r), and the seconds until it begins anew (t)",
    },
}


def event_schema(limits: Limits) -> type[Schema]:
    """One event, as it is posted. What is cut or dropped has no length here: it is not refused."""
    declared: dict[str, fields.Field[Any]] = {}
    for text in TEXTS.values():
        limit = limits.texts[text.limit]
        about = text.about if text.over is Over.REFUSE else f"{text.about} Longer than {limit}: {_DONE[text.over]}."
        checks = [validate.Length(min=1, max=limit), _NOT_BLANK] if text.over is Over.REFUSE else None
        declared[text.wire] = fields.String(
            required=text.wire == "event_name",
            allow_none=text.wire != "event_name",
            validate=checks,
            metadata={"description": about},
        )
    declared["projectKey"] = fields.String(allow_none=True, metadata={"description": OTHER_FIELDS["projectKey"]})
    declared["event_data"] = fields.Dict(
        keys=fields.String(), allow_none=True, metadata={"description": OTHER_FIELDS["event_data"]}
    )
    declared["timestamp"] = fields.AwareDateTime(allow_none=True, metadata={"description": OTHER_FIELDS["timestamp"]})
    address = {"anyOf": [{"type": "null"}, {"format": "ipv4"}, {"format": "ipv6"}]}
    declared["ip"] = fields.String(allow_none=True, metadata={"description": OTHER_FIELDS["ip"], **address})
    return _Open.from_dict(declared, name="Event")


class _Open(Schema):
    """A body whose other fields are left out, with a warning."""

    class Meta:
        unknown = INCLUDE


_NOT_BLANK = validate.Regexp(r"\S")

_DONE = {Over.CUT: "cut, with a warning", Over.DROP: "left out, with a warning"}


class WarningSchema(Schema):
    code = fields.String(required=True, validate=validate.OneOf([code.value for code in WarningCode]))
    field = fields.String(required=True)
    detail = fields.String(required=True)


class ReceiptSchema(Schema):
    outcome = fields.String(required=True, validate=validate.OneOf(["stored", "duplicate", "filtered", "dry_run"]))
    event_id = fields.String(metadata={"description": "Sent again with this id, the event is stored once."})
    session_id = fields.String()
    reason = fields.String(allow_none=True)
    warnings = fields.List(fields.Nested(WarningSchema), required=True)
    would_be = fields.String(metadata={"description": "With dry_run: the outcome it would have had."})
    row = fields.Dict(allow_none=True, metadata={"description": "With dry_run: what would have been stored."})
    detail = fields.String()
    errors = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))


class ResultSchema(Schema):
    index = fields.Integer(required=True)
    outcome = fields.String(required=True, validate=validate.OneOf([outcome.value for outcome in Outcome]))
    reason = fields.String(allow_none=True)
    event_id = fields.String(allow_none=True)
    session_id = fields.String()
    detail = fields.String()
    plugin_code = fields.String()
    warnings = fields.List(fields.Nested(WarningSchema), required=True)
    errors = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))
    would_be = fields.String()
    row = fields.Dict(allow_none=True)


class BatchReceiptSchema(Schema):
    stored = fields.Integer(required=True)
    duplicate = fields.Integer(required=True)
    filtered = fields.Integer(required=True)
    refused = fields.Integer(required=True)
    results = fields.List(fields.Nested(ResultSchema), required=True)
    losses = fields.String(
        validate=validate.OneOf([one.value for one in LossOutcome if one is not LossOutcome.UNAVAILABLE]),
        metadata={
            "description": "What became of the report of losses. Missing: it was not recorded, send it again under "
            "its id."
        },
    )
    warnings = fields.List(
        fields.Nested(WarningSchema),
        metadata={"description": "What was left out of the batch itself, or of the report of losses."},
    )


class ProblemSchema(Schema):
    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True, validate=validate.OneOf([reason.value for reason in Reason]))
    detail = fields.String(required=True)
    request_id = fields.String(required=True)
    errors = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))
    plugin_code = fields.String()
    event_id = fields.String()
    event_ids = fields.List(fields.String())


def describe(limits: Limits, version: str, public_url: str) -> dict[str, Any]:
    """The whole description, as plain values."""
    spec = APISpec(
        title="Catchment",
        version=version,
        openapi_version="3.1.0",
        info={"description": "Collects events. Every event gets a receipt; 200 stored means committed."},
        servers=[{"url": public_url}],
        plugins=[MarshmallowPlugin()],
    )
    spec.components.security_scheme("key", {"type": "http", "scheme": "bearer", "description": "A project key."})
    spec.components.schema("Event", schema=event_schema(limits))
    for name, schema in (
        ("Receipt", ReceiptSchema),
        ("BatchReceipt", BatchReceiptSchema),
        ("Problem", ProblemSchema),
    ):
        spec.components.schema(name, schema=schema)
    spec.components.schema("Batch", _batch(limits))
    spec.path("/v1/events", operations={"post": _post("One event", "Event", "Receipt")})
    batch = _post(f"Up to {limits.batch_events} events of one project", "Batch", "BatchReceipt")
    batch["requestBody"]["content"]["application/x-ndjson"] = {"schema": {"type": "string"}}
    spec.path("/v1/batch", operations={"post": batch})
    spec.path("/v1/pixel.gif", operations={"get": _pixel()})
    for name, about in (("catchment", "The tracker"), ("catchment.plus", "The tracker with everything")):
        spec.path(f"/{name}.js", operations={"get": _script(about)})
        spec.path(f"/{name}.{{version}}.js", operations={"get": _script(f"{about}, one version, for good", True)})
    page = {"200": {"description": "The page", "content": {"text/html": {"schema": {"type": "string"}}}}}
    spec.path("/", operations={"get": _get("A page for who opens the server in a browser", page)})
    spec.path("/healthz", operations={"get": _get("Alive", {"200": _json("The process is alive")})})
    ready = {"200": _json("It may take traffic"), "503": _json("It may not")}
    spec.path("/readyz", operations={"get": _get("Ready", ready)})
    shown: dict[str, Any] = {
        "200": {"description": "Metrics", "content": {"text/plain": {}}},
        "404": _problem([Reason.NOT_FOUND]),
    }
    spec.path("/metrics", operations={"get": _get("Metrics for Prometheus, for operators", shown)})
    spec.path("/openapi.json", operations={"get": _get("This description", {"200": _json("The description")})})
    described: dict[str, Any] = spec.to_dict()
    return described


def _batch(limits: Limits) -> dict[str, Any]:
    events = {"type": "array", "items": {"$ref": "#/components/schemas/Event"}, "maxItems": limits.batch_events}
    envelope = {
        "type": "object",
        "required": ["events"],
        "properties": {
            "projectKey": {"type": ["string", "null"]},
            "sentAt": {
                "type": ["string", "null"],
                "format": "date-time",
                "description": "Your clock, to correct timestamps by.",
            },
            "events": events,
            "losses": _losses(limits),
        },
    }
    return {"oneOf": [envelope, events]}


def _losses(limits: Limits) -> dict[str, Any]:
    about = f"Events that you had to drop, by reason: {', '.join(KNOWN_REASONS)}, or a snake_case word of your own"
    return {
        "type": ["object", "null"],
        "description": "What was lost before it got here. Counted once under its id, however often it is sent.",
        "properties": {
            "id": {"type": "string", "maxLength": limits.loss_id},
            "counts": {"type": "object", "description": f"{about}.", "additionalProperties": {"type": "integer"}},
        },
    }


def _pixel() -> dict[str, Any]:
    text = {"type": "string"}
    parameters = [
        {"name": name, "in": "query", "schema": text, "description": f"`{field}`. {about}"}
        for name, (field, about) in PARAMETERS.items()
    ]
    parameters.append(
        {
            "name": f"{DATA}label",
            "in": "query",
            "schema": text,
            "description": f"A value of `event_data`: its key follows `{DATA}`. There may be several.",
        }
    )
    picture = {
        "description": "The picture, whatever became of the event: the headers say it",
        "headers": {OUTCOME: {"schema": text}, REASON: {"schema": text}, **_QUOTA_HEADERS},
        "content": {"image/gif": {"schema": text}},
    }
    return {**_get("One event in a query string", {"200": picture}), "parameters": parameters}


def _script(summary: str, versioned: bool = False) -> dict[str, Any]:
    tagged = {"ETag": {"required": True, "schema": {"type": "string"}}}
    responses: dict[str, Any] = {
        "200": {
            "description": "The script",
            "headers": tagged,
            "content": {"text/javascript": {"schema": {"type": "string"}}},
        },
        "304": {"description": "What If-None-Match names is it", "headers": tagged},
        "404": _problem([Reason.NOT_FOUND]),
    }
    if not versioned:
        return _get(summary, responses)
    responses["503"] = _problem([Reason.UNAVAILABLE], 503)
    version = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}
    return {**_get(summary, responses), "parameters": [version]}


def _post(summary: str, body: str, receipt: str) -> dict[str, Any]:
    schema = {"schema": {"$ref": f"#/components/schemas/{body}"}}
    ok = {
        "description": "Committed, known already, or left out: the receipt says which",
        "headers": {OUTCOME: _SENT, REASON: {"schema": {"type": "string"}}, **_QUOTA_HEADERS},
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{receipt}"}}},
    }
    reasons: dict[int, list[Reason]] = {}
    for reason, status in STATUS_OF.items():
        if status not in (200, 404, 405):
            reasons.setdefault(status, []).append(reason)
    reasons[408] = [Reason.UNAVAILABLE]
    return {
        "summary": summary,
        "security": [{"key": []}, {}],
        "parameters": [
            {
                "name": "dry_run",
                "in": "query",
                "schema": {"type": "string", "enum": ["0", "1"]},
                "description": "1: everything runs but the storing and the counting.",
            }
        ],
        "requestBody": {"required": True, "content": {"application/json": schema, "text/plain": schema}},
        "responses": {"200": ok, **{str(status): _problem(of, status) for status, of in reasons.items()}},
    }


def _problem(reasons: list[Reason], status: int = 0) -> dict[str, Any]:
    waits = status in (402, 408, 429, 503)
    wait: dict[str, Any] = {"Retry-After": {"required": True, "schema": {"type": "integer"}}} if waits else {}
    if status == STATUS_OF[Reason.QUOTA_EXCEEDED]:
        wait |= _QUOTA_HEADERS
    return {
        "headers": {OUTCOME: _SENT, REASON: _SENT, **wait},
        "description": " ".join(f"`{reason}`: {IN_WORDS[reason]}" for reason in reasons),
        "content": {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _get(summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": responses}


def _json(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"type": "object"}}}}
