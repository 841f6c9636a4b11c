/** Makes events. */

import { hold } from "./held.js";
import { newId } from "./ids.js";
import { lose } from "./losses.js";
import { nameOf } from "./outbox.js";
import { real } from "./page.js";
import { listen, safely } from "./say.js";
import { sweep } from "./sender.js";
import { session } from "./session.js";
import { on } from "./settings.js";
import { optedOut, store, write } from "./store.js";

const USER = "catchment user";

/** Milliseconds that a page view waits for its title: routers address a page first and render it later. */
const PATIENCE = 1e3;

/** The address of the page within this page, and of the one that the visitor came from. */
let shown = "";
let previous = "";

/** The page view that waits for its title. Others wait with it, so that they arrive in their order. @type {any} */
export let waiting;
/** @type {ReturnType<typeof setTimeout>} */
let timer;

/** What of an address does not name the page. */
let unnamed = /#.*/;

/** The page's address. The server's limit is 2,048. */
const pageUrl = () => location.href.replace(unnamed, "").slice(0, 2048);

/** An event as text. @type {(event: any) => string} */
let written = JSON.stringify;

/** @param {typeof written} work @param {unknown} byFragment whether pages are told apart by what comes after the `#` */
export function writeWith(work, byFragment) {
  written = work;
  if (byFragment) unnamed = /$^/;
}

/**
 * @param {string} event_name
 * @param {object} [event_data]
 * @param {unknown} [view] whether it waits for its title
 */
export function track(event_name, event_data, view) {
  if (real("prerendering")) listen("prerenderingchange", () => track(event_name, event_data, view));
  else if (!optedOut()) {
    const eventId = newId();
    const event = {
      sessionId: session(),
      userId: store[USER],
      url: pageUrl(),
      referrer: previous || real("referrer"),
      event_name,
      eventId,
      page_title: real("title"),
      event_data,
      // Not left to `JSON`: a page can have a `toJSON` of its own for dates.
      timestamp: new Date(+eventId.slice(0, 13)).toISOString(),
    };
    // A view is in storage at once, and held for longer than it waits, so that nobody sends it meanwhile.
    keep(event, view ? 5e3 : 0);
    if (view) {
      waiting = event;
      clearTimeout(timer);
      timer = setTimeout(safely(settle), PATIENCE);
    }
  }
}

/** @param {any} event @param {number} milliseconds for which nobody sends it */
function keep(event, milliseconds) {
  const text = written(event);
  // The server takes 64 KiB.
  if (text.length > 6e4) lose("too_large");
  else hold(nameOf(event.eventId), milliseconds, text);
  sweep();
}

/** Lets the page view go that waits, with the title that there is now. */
export function settle() {
  const event = waiting;
  waiting = 0;
  // It may have been deleted: the visitor has opted out.
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
  // By hand its author knows when the title is there.
  track("PageView", data, !on("manual"));
}

/**
 * A view, if it is another page. Where an address is replaced, another query alone is mostly a filter or a tab; and a view
 * whose address is replaced while it waits was redirected, unless that names a campaign.
 * @param {unknown} [replaced]
 */
export function moved(replaced) {
  const before = shown;
  shown = pageUrl();
  const page = (/** @type {string} */ url) => (replaced ? url.replace(/\?[^#]*/, "") : url);
  if (page(before) == page(shown)) return;
  if (!replaced || waiting?.url != before || /utm_/.test(before)) return view({}, before);
  waiting.url = shown;
}

/** As a text: that of nothing, which forgets who it is, is empty. @param {string | number | null} [id] */
export const identify = (id) => optedOut() || write(USER, [id] + "");
