/** What the script tag does. */

import { real } from "./page.js";
import { safely, say } from "./say.js";
import { choose } from "./settings.js";
import { call, start } from "./start.js";
import { openStore } from "./store.js";

/** @param {() => void} [more] */
export const startTag = (more) =>
  safely((script) => {
    const q = self.catchment?.q || [];
    if (q.push && !q.map) return say("tag", 2);
    self.catchment = (...args) => call(args);
    // The page may have kept the function that there was before, and calls that.
    self.catchment.q = { push: call };
    choose(script?.dataset, script?.src);
    openStore();
    if (more) more();
    // An element may have the name of the queue.
    q.map?.(call);
    start();
    // A module is no current script.
  })(real("currentScript") || document.querySelector("script[data-key]"));
