/** Makes events. */

import { hold } from "./held.js";
import { newId } from "./ids.js";
import { lose } from "./losses.js";
import { nameOf } from "./outbox.js";
import { listen } from "./say.js";
import { sweep } from "./sender.js";
import { session } from "./session.js";
import { optedOut, store, write } from "./store.js";

/** The page within this page that the visitor came from. */
export let previous = "";

/** @param {string} url */
export function cameFrom(url) {
  previous = url;
}

/** What of an address does not name the page. */
let unnamed = /#.*/;

/** Pages are told apart by what comes after the `#`. */
export function nameByFragment() {
  unnamed = /$^/;
}

/** The page's address. The server's limit is 2,048. */
export const pageUrl = () => location.href.replace(unnamed, "").slice(0, 2048);

/**
 * @param {string} name
 * @param {object} [data]
 * @param {string} [url]
 */
export function track(name, data, url = pageUrl()) {
  if (document.prerendering) listen("prerenderingchange", () => track(name, data));
  else if (!optedOut()) {
    const eventId = newId();
    const json = JSON.stringify({
      event_name: name,
      url,
      page_title: document.title,
      referrer: previous || document.referrer,
      sessionId: session(),
      userId: store.catchmentUser,
      eventId,
      timestamp: new Date(),
      event_data: data,
    });
    // The server takes 64 KiB.
    if (json.length > 6e4) lose("too_large");
    else hold(nameOf(eventId), 0, json);
    // With all others of this moment.
    queueMicrotask(sweep);
  }
}

/** @param {string | number | null} [id] nothing: forget who it is */
export const identify = (id) => optedOut() || write("catchmentUser", /** @type {string} */ (id ?? ""));
