"""Plans: read from the settings, and compared with what an account has."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catchment.core.errors import Invalid
from catchment.core.metering import plans as plans_module
from catchment.core.metering.patterns import NamePattern
from catchment.core.metering.plans import BadPlans, NoSuchPlan, Plan, PlanChanges, find_plan, plan_changes, read_plans
from catchment.core.metering.quota import Quota, QuotaRule
from catchment.core.project import KeyKind, Scope, Window

ACCOUNT = "acme-id"
MONTH = QuotaRule(window=Window.MONTH, soft=80, hard=100, grace=3)
DAY = QuotaRule(window=Window.DAY, hard=10)
CLICKS = QuotaRule(window=Window.DAY, hard=5, events=NamePattern.parse("Click*"), keys=KeyKind.BROWSER)
PRO = Plan(name="pro", quotas=(MONTH, DAY))


def of_account(rule: QuotaRule, id: str, plan: str | None = None) -> Quota:
    return Quota.of(rule, id=id, scope=Scope.ACCOUNT, scope_id=ACCOUNT, plan=plan)


# The settings


def test_the_example_of_the_module_is_read() -> None:
    example = (plans_module.__doc__ or "").split("::", 1)[1].split("A plan's quotas")[0]
    text = "\n".join(line.strip() for line in example.splitlines())
    assert read_plans(tomllib.loads(text)["plans"]) == {
        "pro": Plan(
            name="pro",
            quotas=(
                QuotaRule(window=Window.MONTH, soft=80_000, hard=100_000, grace=3),
                QuotaRule(
                    window=Window.DAY, events=NamePattern.parse("Click*"), keys=KeyKind.BROWSER, hard=10_000
                ),
            ),
        )
    }  # fmt: skip


def test_a_plan_may_be_without_limits() -> None:
    assert read_plans({"free": {"quotas": []}}) == {"free": Plan(name="free", quotas=())}


@pytest.mark.parametrize(
    ("section", "path", "words"),
    [
        ({"": {"quotas": []}}, "plans.", "a name of 1 to 64"),
        ({"a b": {"quotas": []}}, "plans.a b", "a name of 1 to 64"),
        ({"pro\n": {"quotas": []}}, "plans.pro\ufffd", "a name of 1 to 64"),
        ({"pro": 5}, "plans.pro", "expected a section with the key quotas, not a number"),
        ({"pro": {}}, "plans.pro.quotas", "missing"),
        ({"pro": {"quotas": "x"}}, "plans.pro.quotas", "expected a list, not a text"),
        ({"pro": {"quotas": [], "price": 9}}, "plans.pro.price", "unknown"),
        ({"pro": {"quotas": [1]}}, "plans.pro.quotas[0]", "expected a table"),
        ({"pro": {"quotas": [{"hard": 1}]}}, "plans.pro.quotas[0].window", "missing: month or day"),
        ({"pro": {"quotas": [{"hard": 1, "window": "week"}]}}, "plans.pro.quotas[0].window", "'week': month or day"),
        ({"pro": {"quotas": [{"window": "day"}]}}, "plans.pro.quotas[0].hard", "missing, and so is soft"),
        ({"pro": {"quotas": [{"window": "day", "hard": True}]}}, "plans.pro.quotas[0].hard", "True: expected a whole"),
        ({"pro": {"quotas": [{"window": "day", "hard": 1.5}]}}, "plans.pro.quotas[0].hard", "1.5: expected a whole"),
        ({"pro": {"quotas": [{"window": "day", "hadr": 1}]}}, "plans.pro.quotas[0].hadr", "is hard meant?"),
        ({"pro": {"quotas": [{"window": "day", "hard": 1, "x": 1}]}}, "plans.pro.quotas[0].x", "has the keys window"),
        (
            {"pro": {"quotas": [{"window": "day", "hard": 1, "keys": "pk"}]}},
            "plans.pro.quotas[0].keys",
            "browser or se",
        ),
        ({"pro": {"quotas": [{"window": "day", "hard": 1, "events": ""}]}}, "plans.pro.quotas[0].events", "an empty"),
        ({"pro": {"quotas": [{"window": "day", "hard": 1, "events": 1}]}}, "plans.pro.quotas[0].events", "a pattern"),
        ({"pro": {"quotas": [{"window": "day", "hard": 1, "grace": 1}]}}, "plans.pro.quotas[0].grace", "give both"),
        (
            {"pro": {"quotas": [{"window": "day", "hard": 1}, {"window": "day", "hard": 2, "events": "**"}]}},
            "plans.pro.quotas[1]",
            "the same events as quotas[0]",
        ),
        ({"pro": {"quotas": [{"window": "day", "hard": 1}] * 21}}, "plans.pro.quotas", "21 quotas: at most 20"),
    ],
)
def test_a_mistake_is_named_by_its_path(section: dict[str, object], path: str, words: str) -> None:
    with pytest.raises(BadPlans) as caught:
        read_plans(section)
    assert words in caught.value.mistakes[path]
    assert f"{path}: " in str(caught.value)


def test_all_mistakes_are_told_in_a_line_each() -> None:
    with pytest.raises(BadPlans) as caught:
        read_plans({"a": {"quotas": [{"window": "x", "hard": "y"}]}, "b": {"quotas": [{"window": "day"}]}})
    assert str(caught.value).splitlines() == [
        "plans.a.quotas[0].window: 'x': month or day",
        "plans.a.quotas[0].hard: 'y': expected a whole number",
        "plans.b.quotas[0].hard: missing, and so is soft: a quota needs one of them",
    ]


def test_an_unknown_plan_is_named_with_those_there_are() -> None:
    plans = {"pro": PRO, "free": Plan(name="free", quotas=())}
    assert find_plan(plans, "pro") is PRO
    with pytest.raises(NoSuchPlan, match="there is no plan 'por': there are free, pro"):
        find_plan(plans, "por")
    with pytest.raises(NoSuchPlan, match="the settings have none"):
        find_plan({}, "pro")


# The difference


def test_a_new_account_gets_all_quotas_of_its_plan() -> None:
    assert plan_changes(PRO, [], account_id=ACCOUNT) == PlanChanges(add=(MONTH, DAY))


def test_a_changed_limit_keeps_the_quota() -> None:
    old = of_account(replace(MONTH, hard=90), "1", "free")
    changes = plan_changes(PRO, [old, of_account(CLICKS, "2", "free")], account_id=ACCOUNT)
    assert changes == PlanChanges(
        add=(DAY,), change=(of_account(MONTH, "1", "pro"),), remove=(of_account(CLICKS, "2", "free"),)
    )  # fmt: skip


def test_an_account_without_a_plan_loses_the_plans_quotas_alone() -> None:
    by_hand, planned = of_account(CLICKS, "1"), of_account(DAY, "2", "pro")
    assert plan_changes(None, [by_hand, planned], account_id=ACCOUNT) == PlanChanges(remove=(planned,))


def test_a_quota_that_a_person_set_stands_in_the_place_of_the_plans() -> None:
    by_hand = of_account(replace(DAY, hard=99), "1")
    assert plan_changes(PRO, [by_hand], account_id=ACCOUNT) == PlanChanges(add=(MONTH,), replaced=(by_hand,))
    beside = of_account(DAY, "2", "pro")
    changes = plan_changes(PRO, [by_hand, beside], account_id=ACCOUNT)
    assert changes == PlanChanges(add=(MONTH,), remove=(beside,), replaced=(by_hand,))


@pytest.mark.parametrize("other", [{"scope": Scope.PROJECT}, {"scope_id": "other-id"}])
def test_a_quota_of_somebody_else_is_refused(other: dict[str, str]) -> None:
    quota = replace(of_account(DAY, "17", "pro"), **other)  # type: ignore[arg-type]
    with pytest.raises(Invalid, match=r"quota 17 is of the .*, not of the account acme-id"):
        plan_changes(PRO, [quota], account_id=ACCOUNT)


some_rules = st.builds(
    QuotaRule,
    window=st.sampled_from(Window),
    keys=st.none() | st.sampled_from(KeyKind),
    events=st.sampled_from(["*", "a*"]).map(NamePattern.parse),
    hard=st.integers(0, 3),
)
sets_of_rules = st.lists(some_rules, max_size=8, unique_by=lambda rule: rule.identity)


@given(sets_of_rules, sets_of_rules, st.lists(st.booleans(), min_size=8, max_size=8))
def test_after_its_changes_an_account_has_what_its_plan_wants(
    wanted: list[QuotaRule], had: list[QuotaRule], by_hand: list[bool]
) -> None:
    plan = Plan(name="new", quotas=tuple(wanted))
    has = [of_account(rule, str(n), None if by_hand[n] else "old") for n, rule in enumerate(had)]
    changes = plan_changes(plan, has, account_id=ACCOUNT)

    after = {quota.id: quota for quota in has}
    for quota in changes.remove:
        del after[quota.id]
    for quota in changes.change:
        assert after[quota.id].identity == quota.identity
        after[quota.id] = quota
    for n, rule in enumerate(changes.add):
        after[f"new{n}"] = of_account(rule, f"new{n}", "new")

    assert {quota for quota in has if quota.plan is None} <= set(after.values())
    kept_by_hand = {quota.identity for quota in has if quota.plan is None}
    assert {quota.identity: quota.hard for quota in after.values() if quota.plan is not None} == {
        rule.identity: rule.hard for rule in wanted if rule.identity not in kept_by_hand
    }
    again = plan_changes(plan, list(after.values()), account_id=ACCOUNT)
    assert again == PlanChanges(replaced=changes.replaced)
