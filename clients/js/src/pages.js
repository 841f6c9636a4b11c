/** Page views: of the page, of pages within it (History API), and of a page back from the back/forward cache. */

import { listen, safely } from "./say.js";
import { cameFrom, pageUrl, track } from "./track.js";

let shown = "";

/** @param {object} [data] @param {unknown} [later] after the page has had the time to set its title */
export function view(data, later) {
  const url = pageUrl();
  if (shown != url) cameFrom(shown);
  shown = url;
  if (later) setTimeout(safely(track), 0, "PageView", data, url);
  else track("PageView", data);
}

/** Another page, but for a part of its address? @param {any} but */
const moved = (but) => {
  if (pageUrl().replace(but, "") != shown.replace(but, "")) view({}, 1);
};

/** @param {"pushState" | "replaceState"} name @param {RegExp | string} but */
function watch(name, but) {
  const original = history[name];
  history[name] = (...args) => {
    original.apply(history, args);
    moved(but);
  };
}

export function startPages() {
  view();
  watch("pushState", "");
  // Another query alone, where an address is replaced, is mostly a filter or a tab.
  watch("replaceState", /\?[^#]*/);
  listen("popstate", moved);
  listen("pageshow", (event) => event.persisted && view());
}
