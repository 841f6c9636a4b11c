/**
 * Sends page views: of the page, of views in a single-page app (Navigation API, History API), and of a page from the
 * back/forward cache. If both interfaces report one move, the second finds the address unchanged.
 */

import { listen, safely } from "./say.js";
import { moved, view } from "./track.js";

/** @param {"pushState" | "replaceState"} name @param {unknown} [replaced] */
const watch = (name, replaced, original = history[name]) => {
  history[name] = (...args) => {
    original.apply(history, args);
    safely(moved)(replaced);
  };
};

export function startPages() {
  view();
  listen("popstate", () => moved());
  listen("pageshow", (event) => event.persisted && view());
  listen("navigatesuccess", () => moved(), self.navigation);
  // Last, because a page can have frozen `history`: then this throws.
  watch("pushState");
  watch("replaceState", 1);
}
