"""What a person who sets it up sees where something is wrong: one line, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.waiting import eventually
from .conftest import IN_ONE_BROWSER
from .visitor import ARRIVES, Visitor


async def once(visitor: Visitor, words: str) -> str:
    line = await visitor.until_said(words)
    assert [other for other in visitor.console if words in other] == [line]
    return line


async def test_a_website_that_is_not_allowed_is_told_so_once(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/", visitor.site.other_origin)
    await visitor.until_sent(page)
    await page.evaluate("catchment('event', 'Again')")
    await visitor.until_sent(page)
    line = await once(visitor, "origin_not_allowed")
    assert visitor.site.other_origin in line
    assert "catchment project set" in line
    assert visitor.collector.rows() == []
    add = "INSERT INTO catchment.origin (project_id, rule) VALUES (%s, %s)"
    visitor.collector.database.execute(add, visitor.collector.project.id, visitor.site.other_origin)
    await page.reload()
    await visitor.until_rows(1)
    await visitor.until_sent(page)
    await page.evaluate("catchment('event', 'Allowed')")  # one report goes with each batch
    lost = visitor.collector.losses
    await eventually(lambda: lost().get("origin_not_allowed") == 2, "losses are recorded", ARRIVES)


@IN_ONE_BROWSER
async def test_a_wrong_key_is_said_once(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag(key="pk_wrong"))
    page = await visitor.open("/")
    await visitor.until_sent(page)
    await page.evaluate("catchment('event', 'Again')")
    await visitor.until_sent(page)
    await once(visitor, "unknown_key")


@IN_ONE_BROWSER
async def test_a_key_that_was_forgotten_is_said(visitor: Visitor) -> None:
    tag = visitor.tag().replace(f'data-key="{visitor.collector.project.browser_key}"', "")
    visitor.site.page("/", tag)
    await visitor.open("/")
    line = await once(visitor, "missing_key")
    assert "data-key" in line
    assert visitor.sent == []


@IN_ONE_BROWSER
async def test_a_second_tag_and_a_value_that_is_no_number_are_said(visitor: Visitor) -> None:
    body = '<button data-catchment-event="Buy" data-catchment-value="11,5">buy</button>'
    visitor.site.page("/", visitor.tag() + visitor.tag(), body)
    page = await visitor.open("/")
    await once(visitor, "catchment: tag")
    await page.click("button")
    (row,) = await visitor.until_rows(1, "Buy")
    assert (row["value"], row["data"]) == (None, {})
    assert "11,5" in await once(visitor, "data-catchment-value")


@IN_ONE_BROWSER
async def test_under_debug_each_warning_is_said_by_itself(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag("catchment.plus.js", debug=""))
    page = await visitor.open("/")
    for _ in range(2):
        await page.evaluate("catchment('event', 'Buy', {value: '19.99'})")
    await visitor.until_rows(2, "Buy")
    await once(visitor, "catchment: wrong_type event_data.value")


@IN_ONE_BROWSER
@pytest.mark.parametrize("slip", ["//", "/v1/batch", "/v1/batch/"])
async def test_an_endpoint_with_a_slip_is_understood(visitor: Visitor, slip: str) -> None:
    visitor.site.page("/", visitor.tag(endpoint=visitor.collector.address + slip))
    await visitor.open("/")
    await visitor.until_rows(1)


async def test_events_wait_while_the_endpoint_leads_to_another_page_of_the_server(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag(endpoint=visitor.collector.address + "/nowhere"))
    page = await visitor.open("/")
    await once(visitor, "catchment: 404")
    visitor.site.page("/", visitor.tag())
    await page.reload()
    await visitor.until_rows(2)


@IN_ONE_BROWSER
async def test_one_bad_event_is_refused_with_its_reason_and_hurts_no_other(visitor: Visitor) -> None:
    visitor.site.page("/", visitor.tag())
    page = await visitor.open("/")
    await page.evaluate("catchment('event', 'x'.repeat(200)); catchment('event', 'Good')")
    assert [row["name"] for row in await visitor.until_rows(2)] == ["PageView", "Good"]
    await once(visitor, "invalid_event")


async def test_a_local_file_is_left_alone_with_one_line(visitor: Visitor, tmp_path: Path) -> None:
    script = (visitor.site_scripts() / "catchment.js").as_uri()
    file = tmp_path / "page.html"
    key = visitor.collector.project.browser_key
    file.write_text(
        f'<script src="{script}" data-key="{key}" data-endpoint="{visitor.collector.address}"></script>'
        "<script>catchment('event', 'No')</script>"
    )
    page = await visitor.context.new_page()
    await page.goto(file.as_uri())
    await once(visitor, "off")
    assert visitor.sent == []


async def test_a_sandboxed_frame_may_send_where_the_project_allows_it(visitor: Visitor) -> None:
    """Its origin is `null`, and it has no storage."""
    allow = "UPDATE catchment.project SET allow_null_origin = %s WHERE id = %s"
    project = visitor.collector.project.id
    visitor.site.page("/", "", '<iframe sandbox="allow-scripts" src="/frame"></iframe>')
    visitor.site.page("/frame", visitor.tag())
    await visitor.open("/")
    await once(visitor, "origin_not_allowed")
    visitor.collector.database.execute(allow, True, project)
    try:
        await visitor.open("/")
        (row,) = await visitor.until_rows(1)
    finally:
        visitor.collector.database.execute(allow, False, project)
    assert (row["name"], row["page_path"]) == ("PageView", "/frame")
