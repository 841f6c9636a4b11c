/** Page views: of the page, of pages within it (History API), and of a page back from the back/forward cache. */

import { listen } from "./say.js";
import { moved, view } from "./track.js";

/** @param {"pushState" | "replaceState"} name @param {RegExp} [but] a part of addresses that makes no page */
const watch = (name, but, original = history[name]) => {
  history[name] = (...args) => {
    original.apply(history, args);
    moved(but);
  };
};

export function startPages() {
  view();
  listen("popstate", moved);
  listen("pageshow", (event) => event.persisted && view());
  // At last: a page can have frozen it.
  watch("pushState");
  // Another query alone, where an address is replaced, is mostly a filter or a tab.
  watch("replaceState", /\?[^#]*/);
}
