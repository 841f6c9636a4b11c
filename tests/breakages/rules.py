"""Breakages of rules: origins, quotas, limits, what strangers pay for, what pages may read, the tracker, anonymizing.
Ordinary tests notice them in seconds.
"""

from __future__ import annotations

from .breakage import Breakage, Change

_ORIGINS = "core/origins.py"
_NO_RULE = "core/test_origins.py::test_what_no_rule_says_is_refused_as_a_header"
_QUOTAS = "contract/test_sink_and_meter.py"
_DATA = "core/test_check_data.py"
_CHARGING = "http/test_charging.py"
_A_SHARE = "test_one_address_holds_an_eighth_of_the_memory_and_the_last_of_it_is_for_whole_bodies"
_TOO_OLD = "browser/test_delivery.py::test_an_event_that_is_too_old_to_be_dated_right_is_dropped_and_counted"

RULES = (
    Breakage(
        "wildcard_without_its_dot",
        "https://*.wild.com allows https://evilwild.com",
        (Change(_ORIGINS, 'origin.host.endswith("." + self.host)', "origin.host.endswith(self.host)"),),
        {f"{_NO_RULE}['https://evilwild.com']": "host='evilwild.com'"},
        still_green=("core/test_origins.py::test_what_a_rule_says_is_allowed",),
    ),
    Breakage(
        "any_scheme",
        "http://localhost:* allows https://localhost",
        (Change(_ORIGINS, "if origin.scheme != self.scheme or self.port not in", "if self.port not in"),),
        {f"{_NO_RULE}['https://localhost']": "scheme='https', host='localhost'"},
        still_green=("core/test_origins.py::test_what_a_rule_says_is_allowed",),
    ),
    Breakage(
        "id_of_a_refused_event_kept",
        "an event over its quota is a duplicate when it is sent again",
        (
            Change(
                "sql/migrations/0004.collecting.sql",
                "            WHERE sent.n = ANY (refused) AND known.project_id = sent.project_id\n",
                "            WHERE false AND known.project_id = sent.project_id\n",
            ),
        ),
        {
            f"{_QUOTAS}::test_what_was_refused_for_quota_is_stored_when_there_is_room[embedded]": (
                "[<StoreOutcome.DUPLICATE: 'duplicate'>] =="
            )
        },
        still_green=(f"{_QUOTAS}::test_the_first_in_the_requests_order_that_fit_are_stored[embedded]",),
    ),
    Breakage(
        "quota_not_counted",
        "stored events use up no quota",
        (
            Change(
                "sql/migrations/0003.metering.sql",
                "    SET events = used.events + added.events, soft_crossed = CASE\n",
                "    SET soft_crossed = CASE\n",
            ),
        ),
        {
            f"{_QUOTAS}::test_an_accounts_quota_counts_all_its_projects[embedded]": (
                "'stored'>] == [<StoreOutcome.STORED: 'stored'>, 'quota_exceeded']"
            )
        },
        still_green=(f"{_QUOTAS}::test_the_first_in_the_requests_order_that_fit_are_stored[embedded]",),
    ),
    Breakage(
        "pattern_not_compared",
        "a quota of some names counts all events",
        (
            Change(
                "sql/migrations/0003.metering.sql",
                """             AND (quota.events = '*' OR sent.name COLLATE "C" LIKE quota.name_like)\n""",
                "",
            ),
        ),
        {
            "contract/test_quotas.py::test_each_quota_counts_its_own_names[embedded]": (
                "<StoreOutcome.STORED: 'stored'>, 'quota_exceeded', 'quota_exceeded'"
            )
        },
        still_green=(f"{_QUOTAS}::test_the_first_in_the_requests_order_that_fit_are_stored[embedded]",),
    ),
    Breakage(
        "state_entered_again",
        "a state of a quota is announced again with every event",
        (
            Change(
                "sql/migrations/0003.metering.sql",
                "AND present.state > present.entered\n",
                "AND false\n",
            ),
            Change(
                "sql/migrations/0003.metering.sql",
                "    ORDER BY present.quota_id, present.starts, rung.height\n    ON CONFLICT DO NOTHING;\n",
                "    ORDER BY present.quota_id, present.starts, rung.height\n"
                "    ON CONFLICT (quota_id, starts, state)"
                " DO UPDATE SET announced_at = NULL, next_try = '-infinity';\n",
            ),
        ),
        {"contract/test_quotas.py::test_each_state_is_entered_once_in_order[embedded]": "assert [QuotaStateChange("},
        still_green=(f"{_QUOTAS}::test_the_first_in_the_requests_order_that_fit_are_stored[embedded]",),
    ),
    Breakage(
        "one_level_more",
        "event_data may be a level deeper than its limit",
        (
            Change(
                "core/collecting/check_data.py",
                "    if depth >= limits.data_depth:\n",
                "    if depth > limits.data_depth:\n",
            ),
        ),
        {
            f"{_DATA}::test_four_levels_are_kept_and_the_fifth_is_dropped": (
                "{'in': {'in': {'in': {'in': {'in': 1}}}}} =="
            ),
            f"{_DATA}::test_arrays_are_levels_too": "[[['kept', ['dropped']]]]",
        },
        still_green=(f"{_DATA}::test_what_is_within_the_limits_is_kept_as_it_came",),
    ),
    Breakage(
        "batch_of_any_number",
        "a batch may have more events than its limit",
        (
            Change(
                "adapters/http/protocols/bodies.py",
                "    if count > limits.batch_events:\n",
                "    if count > 2 * limits.batch_events:\n",
            ),
        ),
        {"http/test_batches.py::test_1001_events_are_too_large[application/json]": '{"stored":1001,'},
        still_green=("http/test_batches.py::test_a_thousand_events_are_taken",),
    ),
    Breakage(
        "look_ups_for_nothing",
        "a stranger may look up any number of keys that nobody has",
        (
            Change(
                "adapters/system/rate_limiter.py",
                "            return self._look_ups.wait(bucket, 1)\n        bucket.tokens -= 1\n",
                "            return self._look_ups.wait(bucket, 1)\n",
            ),
        ),
        {
            f"{_CHARGING}::test_look_ups_of_keys_that_nobody_has_are_bounded_by_address": '"code":"unknown_key"',
            f"{_CHARGING}::test_look_ups_of_scripts_that_nobody_has_are_bounded_by_address": '"code":"not_found"',
        },
        still_green=(f"{_CHARGING}::test_a_stranger_can_not_lock_a_key",),
    ),
    Breakage(
        "one_address_fills_the_memory",
        "one address may hold all of the memory for requests",
        (
            Change(
                "adapters/http/engine/memory.py",
                " or of_one > most_of_one:\n",
                ":\n",
            ),
        ),
        {f"{_CHARGING}::{_A_SHARE}": " <= (10 * 1048576)"},
        still_green=("http/test_bodies.py::test_bodies_that_come_in_together_are_bounded",),
    ),
    Breakage(
        "refusals_hidden_from_pages",
        "a page's script can't read why it is refused",
        (
            Change(
                "adapters/http/application.py",
                "        if origin is not None and origin.isascii()",
                "        if response.status < 400 and origin is not None and origin.isascii()",
            ),
        ),
        {
            "http/test_codes.py::test_origin_not_allowed_is_said_of_a_foreign_origin_and_its_page_may_read_it": (
                "None == 'https://evil.example'"
            ),
            "http/test_cors.py::test_every_answer_allows_the_origin_that_asked[null]": "None == 'null'",
        },
        still_green=("http/test_codes.py::test_stored_is_said_with_the_ids_of_event_and_session",),
    ),
    Breakage(
        "opt_out_of_others_entries",
        "a visitor's opt-out deletes what the website keeps under a name of its own",
        (
            Change(
                "clients/js/src/store.js",
                'namesOf("catchment ", { ...lasting, ...store }).map(remove);',
                'namesOf("catchment", { ...lasting, ...store }).map(remove);',
            ),
        ),
        {
            "browser/test_storage.py::test_who_opts_out_takes_nothing_of_the_website_s_along[chromium]": (
                "['Catchment map', 'catchment opt-out'] =="
            )
        },
    ),
    Breakage(
        "tracker_sends_what_is_too_old",
        "the tracker sends events that the server would date wrong",
        (Change("clients/js/src/outbox.js", "(Date.now() - 258e6)", "(Date.now() - 258e7)"),),
        {f"{_TOO_OLD}[chromium]": "/before'), ('"},
    ),
    Breakage(
        "mask_of_a_64",
        "a masked IPv6 address keeps its /64",
        (
            Change(
                "core/privacy.py",
                "80 if address.sixtofour is None else 88",
                "64 if address.sixtofour is None else 88",
            ),
        ),
        {"core/test_privacy.py::test_an_address_is_masked[2001:db8:1:2:3:4:5:6-2001:db8:1::]": "2001:db8:1:2::"},
        still_green=("core/test_privacy.py::test_an_address_is_masked[81.2.69.142-81.2.69.0]",),
    ),
    Breakage(
        "salts_kept",
        "the salts of hashed addresses are kept for a month, so the hashes can be computed again",
        (
            Change(
                "sql/queries/maintenance.sql",
                "WHERE day <= catchment.today(%(today)s) - 2",
                "WHERE day <= catchment.today(%(today)s) - 32",
            ),
        ),
        {
            "postgres/test_maintenance.py::test_salts_are_forgotten_48_hours_after_their_day_began[embedded]": (
                "datetime.date(2025, 10, 29)"
            )
        },
    ),
    Breakage(
        "mail_in_a_sample",
        "a sample in the inbox keeps e-mail addresses",
        (
            Change(
                "core/metering/personal_data.py",
                "        if start < match.start() and match.end() < end:\n",
                "        if False:\n",
            ),
        ),
        {"core/test_sampling.py::test_a_sample_says_nothing_of_the_address_the_key_or_the_person": "a@b.example"},
        still_green=("core/test_sampling.py::test_a_refused_origin_leaves_a_sample_with_a_hint",),
    ),
    Breakage(
        "samples_pushed_out",
        "a sender who floods the inbox pushes out the samples of the others",
        (
            Change(
                "sql/migrations/0003.metering.sql",
                "ORDER BY placed.of_sender, placed.received_at DESC, placed.id DESC",
                "ORDER BY placed.received_at DESC, placed.id DESC",
            ),
        ),
        {"contract/test_samples.py::test_a_sender_replaces_its_own_samples_first[embedded]": ("<= {")},
        still_green=("contract/test_samples.py::test_twenty_of_a_project_and_reason_are_kept_the_newest[embedded]",),
    ),
    Breakage(
        "replay_with_a_new_id",
        "an event of the inbox gets a new id each time that it is sent again, and is stored twice",
        (
            Change(
                "core/metering/replaying.py",
                'sent["eventId"] = sample.event_id\n',
                'sent["eventId"] = None\n',
            ),
        ),
        {
            "core/test_inbox.py::test_an_event_without_an_id_keeps_the_one_that_it_was_given": (
                "too many values to unpack"
            )
        },
        still_green=(
            "core/test_inbox.py::test_an_event_is_refused_again_until_the_cause_is_mended_and_then_stored_once",
        ),
    ),
)
