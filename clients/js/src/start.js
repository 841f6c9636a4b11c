/** Starts the parts of the tracker, and runs the page's calls. */

import { startAttributes } from "./attributes.js";
import { startPages } from "./pages.js";
import { listen, safely } from "./say.js";
import { startSender } from "./sender.js";
import { on } from "./settings.js";
import { optIn, optOut } from "./store.js";
import { identify, settle, track, view } from "./track.js";

/** @type {Record<string, (...args: any[]) => unknown>} */
const calls = { event: track, page: view, identify, "opt-out": optOut, "opt-in": optIn };

/** Runs a call `catchment(…)` with these arguments. */
export const call = safely(([name, first, second]) => calls[name](first, second));

/** Starts everything that needs no calls. */
export function start() {
  startAttributes("click", ":not(form)");
  startSender();
  listen("pagehide", settle);
  if (!on("manual")) startPages();
}
