/** Runs the script tag. */

import { real } from "./page.js";
import { safely, say } from "./say.js";
import { choose } from "./settings.js";
import { call, start } from "./start.js";
import { openStore } from "./store.js";

/** @param {() => void} [more] */
export const startTag = (more) =>
  safely((script) => {
    const q = self.catchment?.q || [];
    if (!q.map && q.push) return say("tag", "");
    // The page may have kept the earlier function, and call that.
    /** @type {any} */ (self.catchment = (/** @type {any[]} */ ...args) => call(args)).q = { push: call };
    choose(script?.dataset, script?.src);
    openStore();
    if (more) more();
    // `q` may be an element with that name.
    q.map?.(call);
    start();
    // For a module there is no current script.
  })(real("currentScript") || document.querySelector("script[data-key]"));
