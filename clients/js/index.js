/** The npm package: the same tracker, started by the page's own code. */

import { startMore } from "./src/more.js";
import { safely } from "./src/say.js";
import { choose } from "./src/settings.js";
import { call as callNow, start } from "./src/start.js";
import { openStore } from "./src/store.js";

/** Whether there is a page: not so where a server renders it. */
const inBrowser = typeof document != "undefined";

/** Calls made before `init`. @type {[string, ...unknown[]][] | undefined} */
let waiting = [];

/** @param {string} name @returns {(...args: any[]) => void} */
const call =
  (name) =>
  (...args) => {
    if (!inBrowser) return;
    if (waiting) waiting.push([name, ...args]);
    else callNow([name, ...args]);
  };

export const track = call("event");
export const page = call("page");
export const identify = call("identify");
export const optOut = call("opt-out");
export const optIn = call("opt-in");

export const init = safely((/** @type {import("@catchment-collector/tracker").Options} */ options) => {
  if (!inBrowser || !waiting) return;
  choose(Object.fromEntries(Object.entries(options).filter(([, value]) => value)));
  openStore();
  startMore();
  const early = waiting;
  waiting = undefined;
  early.map((args) => callNow(args));
  start();
});
