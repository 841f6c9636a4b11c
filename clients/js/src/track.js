/** Makes events. */

import { hold } from "./held.js";
import { last, newId } from "./ids.js";
import { lose } from "./losses.js";
import { nameOf } from "./outbox.js";
import { real } from "./page.js";
import { listen, safely } from "./say.js";
import { sweep } from "./sender.js";
import { session } from "./session.js";
import { on } from "./settings.js";
import { optedOut, store, write } from "./store.js";

const USER = "catchment user";

/** Milliseconds that a page view waits for its title: routers change the address first and render later. */
const PATIENCE = 1e3;

/** The address of the present view in this page, and of the previous one. */
/** @type {string} */
let shown;
/** @type {string} */
let previous;

/** The page view that waits for its title. Other events wait with it, to arrive in order. @type {any} */
export let waiting;
/** @type {ReturnType<typeof setTimeout>} */
let timer;

/** The part of an address that does not name the page. */
let unnamed = /#.*/;

/** Returns the page's address. The server's limit is 2,048. */
const pageUrl = () => location.href.replace(unnamed, "").slice(0, 2048);

/** Writes an event as text. @type {(event: any) => string} */
let written = JSON.stringify;

/** @param {typeof written} work @param {unknown} byFragment whether the part after `#` names the page */
export function writeWith(work, byFragment) {
  written = work;
  if (byFragment) unnamed = /$^/;
}

/**
 * @param {string} event_name
 * @param {object} [event_data]
 * @param {unknown} [view] whether the event is a page view that waits for its title
 * @returns {unknown}
 */
export function track(event_name, event_data, view) {
  if (real("prerendering")) return listen("prerenderingchange", () => track(event_name, event_data, view));
  if (!optedOut()) {
    const eventId = newId();
    // In an order that compresses well.
    const event = {
      event_name,
      url: pageUrl(),
      referrer: previous || real("referrer"),
      userId: store[USER],
      event_data,
      eventId,
      page_title: real("title"),
      // The id's time. Not left to `JSON`: a page can have its own `toJSON` for dates.
      timestamp: new Date(last).toISOString(),
      sessionId: session(),
    };
    // A view is stored at once. It is held for longer than it waits, so that no tab sends it meanwhile.
    keep(event, view ? 5e3 : 0);
    if (view) {
      waiting = event;
      clearTimeout(timer);
      timer = setTimeout(safely(settle), PATIENCE);
    }
  }
}

/** @param {any} event @param {number} milliseconds for which no tab sends it */
function keep(event, milliseconds) {
  const text = written(event);
  // The server accepts 64 KiB.
  if (text.length > 6e4) lose("too_large");
  else hold(nameOf(event.eventId), milliseconds, text);
  sweep();
}

/** Releases the waiting page view, with the present title. */
export function settle() {
  const event = waiting;
  waiting = 0;
  // It may be deleted, because the visitor opted out.
  if (event && store[nameOf(event.eventId)]) {
    event.page_title = real("title");
    keep(event, 0);
  }
}

/** @param {object} [data] */
export function view(data, before = shown) {
  settle();
  shown = pageUrl();
  if (shown != before) previous = before;
  // With `manual` the page's author calls when the title is there.
  track("PageView", data, !on("manual"));
}

/**
 * Sends a view if the address names another page. If an address is replaced and only the query changes, it is mostly a
 * filter or a tab. If the address of a waiting view is replaced, the view was redirected, unless it names a campaign.
 * @param {unknown} [replaced]
 */
export function moved(replaced) {
  const before = shown;
  shown = pageUrl();
  const ignored = replaced ? /\?[^#]*/ : "";
  if (before.replace(ignored, "") == shown.replace(ignored, "")) return;
  if (!replaced || waiting?.url != before || /utm_/.test(before)) view({}, before);
  else waiting.url = shown;
}

/** Sets the user id, as text. null becomes the empty text, which forgets the user. @param {string | number | null} [id] */
export const identify = (id) => optedOut() || write(USER, [id] + "");
