/** What starts with the page, and what the page can call. */

import { startAttributes } from "./attributes.js";
import { startPages } from "./pages.js";
import { listen, safely } from "./say.js";
import { startSender } from "./sender.js";
import { on } from "./settings.js";
import { optIn, optOut } from "./store.js";
import { identify, settle, track, view } from "./track.js";

/** @type {Record<string, (...args: any[]) => unknown>} */
const calls = { event: track, page: view, identify, "opt-out": optOut, "opt-in": optIn };

/** Does what `catchment(…)` with these arguments does. */
export const call = safely(([name, first, second]) => calls[name](first, second));

/** What goes on by itself. */
export function start() {
  startAttributes("click", ":not(form)");
  startSender();
  listen("pagehide", settle);
  if (!on("manual")) startPages();
}
