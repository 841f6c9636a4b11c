/**
 * Page views: of the page, of pages within it (Navigation API, History API), and of a page back from the back/forward
 * cache. Where both interfaces tell of one move, the second finds nothing new.
 */

import { listen } from "./say.js";
import { moved, view } from "./track.js";

/** @param {"pushState" | "replaceState"} name @param {unknown} [replaced] */
const watch = (name, replaced, original = history[name]) => {
  history[name] = (...args) => {
    original.apply(history, args);
    moved(replaced);
  };
};

export function startPages() {
  view();
  listen("popstate", () => moved());
  listen("pageshow", (event) => event.persisted && view());
  // At last: a page can have frozen it.
  watch("pushState");
  watch("replaceState", 1);
  listen("navigatesuccess", () => moved(), self.navigation);
}
