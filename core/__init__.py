"""The domain of Catchment: values, rules, ports and the collecting use case. No I/O, the standard library only.

The smallest program that collects an event, with every port in memory::

    import asyncio
    from catchment.adapters.memory.losses import MemoryLosses
    from catchment.adapters.memory.metering import MemoryOutcomes
    from catchment.adapters.memory.parts import CountingIds, NoExtensions, NoRateLimit, ToldClock
    from catchment.adapters.memory.samples import MemorySamples
    from catchment.adapters.memory.store import MemorySalts, MemoryProjects, MemoryRegistry, MemorySink, Store
    from catchment.core.accounts.administer import Administer
    from catchment.core.collecting.collect import Collect
    from catchment.core.limits import Limits
    from catchment.core.collecting.submission import Submission
    from catchment.core.metering.outcomes import OutcomeTally
    from catchment.core.metering.sampling import InboxSampler

    async def main():
        store, clock, ids, limits = Store(), ToldClock(), CountingIds(), Limits()
        administer = Administer(MemoryRegistry(store), ids, ascii_origin=str)
        await administer.create_account("acme")
        project, key = await administer.create_project("shop", "acme", ["https://shop.example"])
        collect = Collect(
            projects=MemoryProjects(store), sink=MemorySink(store), losses=MemoryLosses(store, limits),
            outcomes=OutcomeTally(MemoryOutcomes(store)), sampler=InboxSampler(MemorySamples(store), clock, ids),
            extensions=NoExtensions(), salts=MemorySalts(ids),
            rate_limiter=NoRateLimit(), clock=clock, ids=ids, limits=limits,
        )
        event = {"event_name": "SignUp", "url": "https://shop.example/join"}
        answer = await collect(Submission(payloads=[event], key=key.text, received_at=clock.now(), deadline=5.0))
        print(answer.receipts[0].outcome)  # stored

    asyncio.run(main())

The concepts, in the order in which an event meets them:

- `project`, `origins`, `keys`: whose event it is, and which websites may post with a browser key.
- `submission`: a `Submission` goes in, an `Answer` with a `Receipt` for every event comes out.
- `collect`, `admission`, `steps`: the use case, and the steps that it walks.
- `event`: the table of fields. Checked fields are `Columns`, still untrusted; an `Event` is anonymized and enriched.
- `limits`, `check`: the one table of limits, and the one place where a field is judged.
- `outcomes`: what can become of an event, in closed lists. `errors`: what is an exception instead.
- `ports`: what the core needs of the outside world, and what it is promised.
- `administer`, `snippets`: accounts, projects and keys, and the script tag of a project.
- `quotas`, `reports`, `billing`: quotas, usage, outcomes and losses with their audit, and what is billed.
- `inbox`, `replaying`: samples of events that were not stored, and their way back.
- `maintenance`: partitions ahead, and an end for what is old.

Where an event goes, step by step, and what can be lost on the way: docs/path-of-an-event.md.
"""
