/** The npm package: the same tracker, started by the page's own code. */

import { startForms } from "./src/forms.js";
import { startLinks } from "./src/links.js";
import { safely } from "./src/say.js";
import { calls, start } from "./src/start.js";
import { nameByFragment } from "./src/track.js";

/** Whether there is a page: not so where a server renders it. */
const inBrowser = typeof document != "undefined";

/** Calls made before `init`. @type {[string, unknown[]][] | undefined} */
let waiting = [];
let started = false;

/** @param {string} name @returns {(...args: any[]) => void} */
const call =
  (name) =>
  (...args) => {
    if (!inBrowser) return;
    if (waiting) waiting.push([name, args]);
    else if (started) safely(calls[name])(...args);
  };

export const track = call("event");
export const page = call("page");
export const identify = call("identify");
export const optOut = call("opt-out");
export const optIn = call("opt-in");

/** @param {import("catchment").Options} options */
export function init(options) {
  if (!inBrowser || !waiting) return;
  const queue = waiting;
  waiting = undefined;
  // A switch is on where it is there.
  const chosen = Object.fromEntries(Object.entries(options).filter(([, value]) => value));
  safely(start)(chosen, location.href, () => {
    started = true;
    if (chosen.hash) nameByFragment();
    for (const [name, args] of queue) call(name)(...args);
    startForms();
    startLinks();
  });
}
