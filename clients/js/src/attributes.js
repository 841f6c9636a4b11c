/** Events without code: `data-catchment-event="SignUp"`, and `data-catchment-*` for its data. */

import { listen, say } from "./say.js";
import { track } from "./track.js";

/**
 * Returns the innermost element around an event that matches a selector, also in shadow roots.
 * @param {Event} hitting @param {string} selector
 * @returns {any}
 */
export const hit = (hitting, selector) =>
  hitting.composedPath().find((/** @type {any} */ node) => node.matches?.(selector));

/** A click on a label also clicks its control. Only the first of one moment counts. @type {unknown} */
let last;

/** @param {string} type of events @param {string} which elements */
export const startAttributes = (type, which) =>
  listen(type, (event) => {
    const element = hit(event, which + "[data-catchment-event]");
    if (!element || element == last) return;
    last = element;
    setTimeout(() => (last = 0));
    /** @type {Record<string, any>} */
    const data = {};
    // Not `attributes` or `dataset`: an input of a form can have that name.
    for (const name of element.getAttributeNames()) {
      const key = name.split("data-catchment-")[1];
      const value = element.getAttribute(name);
      if (key) data[key.replace(/-/g, "_")] = key != "value" ? value : isNaN(value) ? say(name, value) : +value;
    }
    const { event: called, ...rest } = data;
    track(called, rest);
  });
