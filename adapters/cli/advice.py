"""The commands that help after an error, in the words of the command line. The core's errors say only what is wrong."""

from __future__ import annotations

from catchment.core.accounts.errors import (
    AccountHasProjects,
    KeyIsInUse,
    NoBrowserKey,
    NoSuchAccount,
    NoSuchKey,
    NoSuchOrigin,
    NoSuchProject,
    ProjectIsEnabled,
)
from catchment.core.errors import CatchmentError
from catchment.core.metering.errors import NoSuchQuota, NoSuchSample


def with_advice(error: CatchmentError) -> str:
    """Return the text of an error, and after it what to do, if there is a command for that."""
    match error:
        case NoSuchAccount():
            return f"{error}; `catchment account list` shows those there are"
        case NoSuchProject():
            return f"{error}; `catchment project list` shows those there are"
        case NoSuchQuota():
            return f"{error}; `catchment quota list` shows those there are"
        case NoSuchSample():
            return f"{error}; `catchment inbox list PROJECT` shows those of a project, from the last 7 days"
        case NoSuchKey():
            return f"{error}; `catchment key list PROJECT` shows those of a project"
        case NoSuchOrigin():
            return f"{error}; `catchment project show {error.project_id}` shows those it has"
        case KeyIsInUse():
            return f"{error}: catchment key revoke {error.key_id}"
        case NoBrowserKey():
            return f"{error}: catchment key create {error.project.id} --kind browser"
        case AccountHasProjects():
            return f"{error}; delete them first: catchment project delete"
        case ProjectIsEnabled():
            return f"{error}: catchment project set {error.project.id} --disable"
    return str(error)
