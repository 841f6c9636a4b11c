/** What the script tag does. */

import { real } from "./page.js";
import { safely } from "./say.js";
import { choose } from "./settings.js";
import { call, start } from "./start.js";
import { openStore } from "./store.js";

/** @param {() => void} [more] */
export const startTag = (more) =>
  safely((script) => {
    const q = self.catchment?.q || [];
    // That of a first tag.
    if (q.push && !q.map) return;
    self.catchment = (...args) => call(args);
    // The page may have kept the function that there was before, and calls that.
    self.catchment.q = { push: call };
    choose(script);
    openStore();
    if (more) more();
    // An element may have the name of the queue.
    q.map?.(call);
    start();
  })(real("currentScript"));
