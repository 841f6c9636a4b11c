/** Writes events as text, even if the page has changed `JSON`; with the path of a hash router. */

import { on } from "./settings.js";

const PLAIN = [{}, [], "", 0];

/**
 * Returns the value itself if its `toJSON` is that of every object, array, text or number: old libraries add one, which
 * writes arrays as texts.
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
