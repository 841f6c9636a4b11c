"""Breakages that lose, repeat or miscount events, or cut requests: the fault suite notices them."""

from __future__ import annotations

from .breakage import Breakage, Change

_GROUP_COMMIT = "core/collecting/group_commit.py"
_WRITER = "adapters/postgres/batch_writer.py"
_PROCEDURE = "sql/migrations/0004.collecting.sql"
_KILLED_AGAIN_AND_AGAIN = (
    "faults/test_postgres_killed.py::test_no_acknowledged_event_is_lost_when_postgresql_is_killed_again_and_again"
)
_ON_DISK = "faults/test_postgres_killed.py::test_the_server_asks_for_commits_that_are_on_disk"
_LOCKED = "faults/test_refusals.py::test_a_locked_table_is_answered_503_and_stores_nothing_by_halves"
_BAD_DATA = "faults/test_refusals.py::test_what_the_database_can_t_do_now_is_sent_again_and_never_taken_for_bad_data"
_ANSWER_LOST = "faults/test_answers_lost.py::test_a_commit_whose_answer_is_lost_is_unknown_and_its_retry_a_duplicate"

DURABILITY = (
    Breakage(
        "synchronous_commit_off",
        "synchronous_commit off",
        (Change("sql/queries/session.sql", "'synchronous_commit', 'on'", "'synchronous_commit', 'off'"),),
        {
            _ON_DISK: "commits are answered that are not on disk",
            _KILLED_AGAIN_AND_AGAIN: "LOST:",
        },
    ),
    Breakage(
        "synchronous_commit_unset",
        "synchronous_commit left to the server's default",
        (Change("sql/queries/session.sql", "set_config('synchronous_commit', 'on', false), ", ""),),
        {
            _ON_DISK: "commits are answered that are not on disk",
            _KILLED_AGAIN_AND_AGAIN: "LOST:",
        },
    ),
    Breakage(
        "answer_before_commit",
        "answer before commit",
        (
            Change(
                _GROUP_COMMIT,
                '"""Write a group and answer each of its requests."""\n',
                '"""Write a group."""\n'
                "        for waiting in group:\n"
                "            waiting.succeed(Stored([StoreOutcome.STORED] * len(waiting.events)))\n",
            ),
        ),
        {
            f"{_LOCKED}[event]": "an event that can't be stored is answered stored",
            _KILLED_AGAIN_AND_AGAIN: "LOST:",
        },
    ),
    Breakage(
        "on_conflict_removed",
        "ON CONFLICT removed",
        (
            Change(
                _PROCEDURE,
                "        ON CONFLICT DO NOTHING\n        RETURNING project_id, key_kind, event_id\n",
                "        RETURNING project_id, key_kind, event_id\n",
            ),
        ),
        {
            _ANSWER_LOST: "what is stored is answered invalid_event",
            "faults/test_same_id.py::test_the_same_id_at_the_same_moment_on_two_servers_is_stored_once": (
                "'invalid_event'"
            ),
        },
    ),
    Breakage(
        "usage_in_a_second_transaction",
        "usage in a second transaction",
        (
            Change(
                _PROCEDURE,
                """    INSERT INTO catchment.usage_count AS known (project_id, hour, slot, events)
    SELECT project_id, hour, pg_backend_pid() % 16, events
    FROM catchment.store_rows(batch, CASE WHEN cardinality(kept) < total THEN kept END)
    ORDER BY 1, 2
    ON CONFLICT (project_id, hour, slot) DO UPDATE SET events = known.events + excluded.events;
""",
                "    PERFORM catchment.store_rows(batch, CASE WHEN cardinality(kept) < total THEN kept END);\n",
            ),
            Change(_PROCEDURE, "    LOCK TABLE catchment.usage_count IN ROW EXCLUSIVE MODE;\n", ""),
            Change(
                "sql/queries/collect.sql",
                "-- name: find_access\n",
                """-- name: add_usage
-- Adds what was stored a moment ago.
INSERT INTO catchment.usage_count AS known (project_id, hour, slot, events)
SELECT project_id, date_trunc('hour', received_at, 'UTC'), pg_backend_pid() %% 16, count(*)
FROM catchment.sent(%(batch)s::jsonb) AS sent
WHERE (%(outcomes)s::text[])[n] = 'stored' GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (project_id, hour, slot) DO UPDATE SET events = known.events + excluded.events

-- name: find_access
""",
            ),
            Change(
                _WRITER,
                '((outcomes, uses),) = await self._link.run("log_events", left, batch=batch)\n',
                '((outcomes, uses),) = await self._link.run("log_events", left, batch=batch)\n'
                '                await self._link.run("add_usage", batch=batch, outcomes=outcomes)\n',
            ),
        ),
        {
            _ANSWER_LOST: "MISCOUNTED:",
            f"{_LOCKED}[usage_count]": "events are stored that can't be counted",
        },
        still_green=(
            "faults/test_same_id.py::test_the_same_id_in_one_batch_is_stored_once",
            "faults/test_same_id.py::test_the_same_id_at_the_same_moment_on_two_servers_is_stored_once",
        ),
    ),
    Breakage(
        "a_new_id_on_retry",
        "a new id on retry: a 503 names other ids than were written",
        (
            Change(
                "core/collecting/collect.py",
                "replace(unavailable(error), event_ids=ids)",
                "replace(unavailable(error), event_ids=self.ids_of([None] * len(ids)))",
            ),
        ),
        {
            "faults/test_answers_lost.py::test_the_id_that_a_503_names_is_the_one_that_is_stored": (
                "the id that was named is answered stored"
            ),
            "faults/test_answers_lost.py::test_the_ids_that_a_503_names_for_a_batch_are_those_that_are_stored": (
                "the ids that were named are answered {'stored': 7"
            ),
            "faults/test_refusals.py::test_a_missing_procedure_is_held_and_an_alert_until_it_is_back": (
                "it names other event ids than were sent"
            ),
        },
    ),
    Breakage(
        "queue_dropped_on_reconnect",
        "queue dropped on reconnect",
        (
            Change(
                _GROUP_COMMIT,
                "        while self._queue:\n            self._queue.pop().fail(error)\n",
                "        while self._queue:\n            self._queue.pop()\n",
            ),
        ),
        {
            "faults/test_postgres_killed.py::test_what_waits_when_the_database_goes_is_answered_at_once": (
                "requests that waited were never answered"
            )
        },
    ),
    Breakage(
        "class_53_is_bad_data",
        "class 53 (disk full) taken for bad data",
        (
            Change("adapters/postgres/errors.py", '_RETRY_CLASSES = ("08", "53", ', '_RETRY_CLASSES = ("08", '),
            Change("adapters/postgres/errors.py", '_BAD_DATA_CLASSES = ("22"', '_BAD_DATA_CLASSES = ("53", "22"'),
        ),
        {f"{_BAD_DATA}[53100]": "good events are answered {'invalid_event'}"},
    ),
    Breakage(
        "a_503_without_cors",
        "503 without CORS",
        (
            Change(
                "adapters/http/application.py",
                "        if origin is not None and origin.isascii()",
                "        if response.status != 503 and origin is not None and origin.isascii()",
            ),
        ),
        {"faults/test_refusals.py::test_a_look_up_of_a_locked_table_is_answered_503": "no Access-Control-Allow-Origin"},
    ),
    Breakage(
        "no_drain",
        "no drain: the socket is closed, and the loop ends",
        (
            Change(
                "config/server.py",
                "\n            await server.drain(",
                "\n            for sock in sockets:\n"
                "                asyncio.get_running_loop().remove_reader(sock)\n"
                "                sock.close()\n"
                "            _ = server.drain  # (",
            ),
        ),
        {
            "faults/test_server_killed.py::test_what_waits_in_the_sockets_queue_is_answered_before_the_end[1]": (
                "connections that waited were cut"
            ),
            "faults/test_server_killed.py::test_a_rolling_restart_cuts_and_loses_no_request[1]": "requests were cut",
        },
    ),
    Breakage(
        "ids_without_their_project",
        "ids known without their project",
        (
            Change(
                "sql/migrations/0001.schema.sql",
                "PRIMARY KEY (project_id, key_kind, event_id)\n) PARTITION BY HASH",
                "PRIMARY KEY (key_kind, event_id)\n) PARTITION BY HASH",
            ),
        ),
        {
            "faults/test_same_id.py::test_the_same_id_of_another_project_is_its_own_event": (
                "another project's event is answered duplicate"
            )
        },
    ),
)
