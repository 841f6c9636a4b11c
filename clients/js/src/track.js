/** Makes events. */

import { hold } from "./held.js";
import { newId } from "./ids.js";
import { lose } from "./losses.js";
import { nameOf } from "./outbox.js";
import { real } from "./page.js";
import { listen, safely } from "./say.js";
import { sweep } from "./sender.js";
import { session } from "./session.js";
import { optedOut, store, write } from "./store.js";

const USER = "catchment user";

/** The address of the page within this page, and of the one that the visitor came from. */
let shown = "";
let previous = "";

/** What of an address does not name the page. */
let unnamed = /#.*/;

/** Pages are told apart by what comes after the `#`. */
export function nameByFragment() {
  unnamed = /$^/;
}

/** The page's address. The server's limit is 2,048. */
const pageUrl = () => location.href.replace(unnamed, "").slice(0, 2048);

/**
 * @param {string} name
 * @param {object} [data]
 * @param {string} [url]
 * @param {string} [referrer]
 */
export function track(name, data, url = pageUrl(), referrer = previous || real("referrer")) {
  if (real("prerendering")) listen("prerenderingchange", () => track(name, data));
  else if (!optedOut()) {
    const eventId = newId();
    const json = JSON.stringify({
      event_data: data,
      timestamp: new Date(),
      referrer,
      event_name: name,
      userId: store[USER],
      eventId,
      sessionId: session(),
      page_title: real("title"),
      url,
    });
    // The server takes 64 KiB.
    if (json.length > 6e4) lose("too_large");
    else hold(nameOf(eventId), 0, json);
    sweep();
  }
}

/** Whether the page within this page is another now, but for a part of its address. @param {any} but */
const turned = (but = "", before = shown) => {
  shown = pageUrl();
  return shown.replace(but, "") != before.replace(but, "") && (previous = before);
};

/** @param {object} [data] */
export function view(data) {
  turned();
  track("PageView", data);
}

/** A view, if it is another page, once that has had the time to set its title. @param {any} but */
export const moved = (but) => turned(but) && setTimeout(safely(track), 0, "PageView", {}, shown, previous);

/** As a text: that of nothing, which forgets who it is, is empty. @param {string | number | null} [id] */
export const identify = (id) => optedOut() || write(USER, [id] + "");
