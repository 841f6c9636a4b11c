"""The fault suite: the real server under load, on a PostgreSQL that is killed, frozen, cut off and filled up.

    make faults            all of it, 200 kills each
    make faults KILLS=20   the reduced form
    make breakages         breaks the code on purpose, and expects the tests to notice (`tests/breakages`)

A test takes the fixture `rig` (`rig.py`), which has a database, starts servers, sends events, and ends with
`rig.judge()`: the one oracle (`oracle.py`). What was sent and what was answered stands in the rig's `Book`
(`book.py`), whoever sent it.
"""
