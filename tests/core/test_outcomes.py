"""The closed list of reasons, and the limits."""

from __future__ import annotations

from datetime import date

from catchment.core.event import KNOWN_FIELDS
from catchment.core.limits import Limits
from catchment.core.metering.usage import Usage
from catchment.core.outcomes import Outcome, StoreOutcome, WarningCode
from catchment.core.refusals import IN_WORDS, Reason, Refusal


def test_the_words_are_those_of_the_contract() -> None:
    """Others rely on them: a change here is a change of what Catchment shows to the outside."""
    assert set(Outcome) == {"stored", "duplicate", "filtered", "refused", "dry_run"}
    assert set(Reason) == {
        "bot", "do_not_track", "invalid_json", "invalid_event", "missing_key", "unknown_key", "revoked_key",
        "quota_exceeded", "origin_not_allowed", "project_disabled", "not_found", "method_not_allowed", "too_large",
        "unsupported_media_type", "refused_by_plugin", "rate_limited", "unavailable", "commit_unknown",
    }  # fmt: skip
    assert set(WarningCode) == {
        "unknown_field", "cut", "dropped", "wrong_type", "characters_replaced", "timestamp_replaced", "not_allowed",
        "plugin_failed",
    }  # fmt: skip


def test_every_reason_has_words() -> None:
    assert set(IN_WORDS) == set(Reason)
    assert all(words.endswith(".") for words in IN_WORDS.values())


def test_a_refusal_has_its_own_words_or_its_reasons() -> None:
    assert Refusal(reason=Reason.UNKNOWN_KEY).words == IN_WORDS[Reason.UNKNOWN_KEY]
    assert Refusal(reason=Reason.UNKNOWN_KEY, detail="Look again.").words == "Look again."


def test_what_a_sink_answers_is_an_outcome_or_a_reason() -> None:
    assert {outcome.value for outcome in StoreOutcome} <= {*Outcome, *Reason}


def test_every_text_field_has_a_limit() -> None:
    limits = Limits()
    assert all(limit > 0 for limit in limits.by_name().values())
    assert len(KNOWN_FIELDS) == 14


def test_usage_is_billed_under_the_same_key_however_often_it_is_sent() -> None:
    names = {"account_id": "a", "account": "acme", "project_id": "p", "project": "shop", "period": date(2026, 11, 1)}
    assert Usage(events=1, **names).idempotency_key == "a:p:2026-11"  # type: ignore[arg-type]
    assert Usage(events=2, closed=True, **names).idempotency_key == "a:p:2026-11"  # type: ignore[arg-type]
