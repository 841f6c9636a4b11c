/** Events without code: `data-catchment-event="SignUp"`, and `data-catchment-*` for its data. */

import { listen } from "./say.js";
import { track } from "./track.js";

/** @param {Element | null} element */
export function trackElement(element) {
  if (!element) return;
  /** @type {Record<string, any>} */
  const data = {};
  for (const { name, value } of element.attributes) {
    const key = name.split("data-catchment-")[1];
    if (key) data[key.replace(/-/g, "_")] = key == "value" ? +value : value;
  }
  const { event, ...rest } = data;
  track(event, rest);
}

export const startAttributes = () =>
  listen("click", (event) => trackElement(event.target.closest("[data-catchment-event]:not(form)")));
