/** What the script tag does. */

import { safely } from "./say.js";
import { calls, start } from "./start.js";
import { store } from "./store.js";

/** @param {() => void} [more] */
export const startTag = (more) =>
  safely(({ dataset, src }) => {
    const q = window.catchment?.q || [];
    // A second tag finds no queue.
    if (!q.map) return;
    /** @type {Catchment} */
    const catchment = (window.catchment = safely((call, ...args) => store && calls[call](...args)));
    catchment.q = 1;
    start(dataset, src, () => {
      q.map((/** @type {any} */ args) => catchment(...args));
      if (more) more();
    });
  })(document.currentScript);
