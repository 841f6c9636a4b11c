/** Events as text, whatever the page has done to `JSON`, and with the path that a hash router has. */

import { on } from "./settings.js";

const PLAIN = [{}, [], "", 0];

/**
 * Takes the value itself if a `toJSON` is that of every object, array, text or number: old libraries add such, and write
 * arrays as texts.
 * @this {any} @param {string} key @param {unknown} made
 */
function own(key, made) {
  const value = this[key];
  return PLAIN.some((/** @type {any} */ { toJSON }) => toJSON == value?.toJSON) ? value : made;
}

/** @param {any} event */
export function write(event) {
  if (on("hash")) event.page_path = event.url.replace(/^.*?\/\/[^/]*|\?[^#]*/g, "");
  return JSON.stringify(event, own);
}
