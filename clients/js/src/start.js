/** What starts with the page, and what the page can call. */

import { startAttributes } from "./attributes.js";
import { nextReport } from "./losses.js";
import { startPages, view } from "./pages.js";
import { say } from "./say.js";
import { startSender, sweep } from "./sender.js";
import { choose } from "./settings.js";
import { openStore, optIn, optOut } from "./store.js";
import { identify, track } from "./track.js";

/** What `catchment(call, …)` does. @type {Record<string, (...args: any[]) => unknown>} */
export const calls = { event: track, page: view, identify, "opt-out": optOut, "opt-in": optIn };

/**
 * Starts, on a page of the web, with a key, and where the visitor does not object.
 * @param {Record<string, any>} options
 * @param {string} base the address to which the endpoint is relative
 * @param {() => void} before what is done once events can be made
 */
export function start(options, base, before) {
  choose(options, base);
  if (
    !/^http/.test(/** @type {any} */ (location)) ||
    (options.doNotTrack != null && (/** @type {any} */ (navigator.doNotTrack) > 0 || navigator.globalPrivacyControl))
  )
    say("off", "nothing sent");
  else {
    openStore();
    nextReport();
    before();
    if (options.manual == null) startPages();
    startAttributes();
    startSender();
    sweep();
  }
}
