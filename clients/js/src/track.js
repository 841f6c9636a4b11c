/** Makes events. */

import { hold } from "./held.js";
import { newId } from "./ids.js";
import { json } from "./json.js";
import { lose } from "./losses.js";
import { nameOf } from "./outbox.js";
import { real } from "./page.js";
import { listen, safely } from "./say.js";
import { sweep } from "./sender.js";
import { session } from "./session.js";
import { optedOut, store, write } from "./store.js";

const USER = "catchment user";

/** Milliseconds that a page view waits for its title: routers address a page first and render it later. */
const PATIENCE = 300;

/** The address of the page within this page, and of the one that the visitor came from. */
let shown = "";
let previous = "";

/** The page view that waits for its title. Others wait with it, so that they arrive in their order. @type {any} */
export let waiting;
/** @type {ReturnType<typeof setTimeout>} */
let timer;

/** What of an address does not name the page. */
let unnamed = /#.*/;

/** Where the visitor is. The server's limit is 2,048. @type {() => { url: string, page_path?: string }} */
let place = () => ({ url: location.href.replace(unnamed, "").slice(0, 2048) });

/** Pages are told apart by what comes after the `#`, and so are their paths. */
export function nameByFragment(whole = place) {
  unnamed = /$^/;
  place = () => ({ ...whole(), page_path: location.pathname + location.hash.replace(/\?.*/, "") });
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
      event_data,
      // Not left to `JSON`: a page can have a `toJSON` of its own for dates.
      timestamp: new Date(parseInt(eventId)).toISOString(),
      referrer: previous || real("referrer"),
      event_name,
      userId: store[USER],
      eventId,
      sessionId: session(),
      page_title: real("title"),
      ...place(),
    };
    const text = json(event);
    // The server takes 64 KiB.
    if (text.length > 6e4) lose("too_large");
    else {
      // It is in storage at once, and held for longer than it waits, so that nobody sends it meanwhile.
      hold(nameOf(eventId), view ? 2e3 : 0, text);
      if (view) wait(event);
    }
    sweep();
  }
}

/** @param {typeof waiting} event */
function wait(event) {
  waiting = event;
  clearTimeout(timer);
  timer = setTimeout(safely(settle), PATIENCE);
}

/** Lets the page view go that waits, with the title that there is now. */
export function settle() {
  const event = waiting;
  waiting = undefined;
  // It may have been deleted: the visitor has opted out.
  if (event && store[nameOf(event.eventId)]) {
    event.page_title = real("title");
    hold(nameOf(event.eventId), 0, json(event));
    sweep();
  }
}

/** @param {object} [data] */
export function view(data) {
  settle();
  if (shown != place().url) previous = shown;
  shown = place().url;
  track("PageView", data, 1);
}

/**
 * A view, if it is another page. Where an address is replaced, another query alone is mostly a filter or a tab; and a view
 * whose address is replaced while it waits was redirected, unless that names a campaign.
 * @param {unknown} [replaced]
 */
export function moved(replaced) {
  const { url } = place();
  const page = (/** @type {string} */ address) => address.replace(replaced ? /\?[^#]*/ : "", "");
  if (page(url) != page(shown) && !(replaced && waiting?.url == shown && !/utm_/i.test(shown))) return view();
  if (page(url) != page(shown)) wait(Object.assign(waiting, place()));
  shown = url;
}

/** As a text: that of nothing, which forgets who it is, is empty. @param {string | number | null} [id] */
export const identify = (id) => optedOut() || write(USER, [id] + "");
