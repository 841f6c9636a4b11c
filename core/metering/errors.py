"""The errors of metering. Each carries what it is about, so that an adapter can say what to do."""

from __future__ import annotations

from datetime import date

from ..errors import Invalid, NotFound
from ..times import period_text


class NoSuchQuota(NotFound):
    """There is no quota of this id."""

    def __init__(self, quota_id: str) -> None:
        super().__init__(f"there is no quota {quota_id}")
        self.quota_id = quota_id


class NoSuchSample(NotFound):
    """The inbox has no sample of this id."""

    def __init__(self, sample_id: str) -> None:
        super().__init__(f"the inbox has no event {sample_id}")
        self.sample_id = sample_id


class PeriodStillRuns(Invalid):
    """Only a period that is over can be closed. `words`: more about it, such as when it can be closed."""

    def __init__(self, period: date, words: str = "") -> None:
        super().__init__(f"the period {period_text(period)} still runs{words}")
        self.period = period
