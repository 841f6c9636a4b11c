/** What starts with the page, and what the page can call. */

import { startAttributes } from "./attributes.js";
import { startPages } from "./pages.js";
import { safely } from "./say.js";
import { startSender } from "./sender.js";
import { settings } from "./settings.js";
import { optIn, optOut } from "./store.js";
import { identify, track, view } from "./track.js";

/** @type {Record<string, (...args: any[]) => unknown>} */
const calls = { event: track, page: view, identify, "opt-out": optOut, "opt-in": optIn };

/** Does what `catchment(…)` with these arguments does. */
export const call = safely(([name, ...args]) => calls[name](...args));

/** What goes on by itself. */
export function start() {
  startAttributes("click", ":not(form)");
  startSender();
  if (settings.manual == null) startPages();
}
