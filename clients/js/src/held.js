/** Entries that are held until a moment: the moment in milliseconds, a blank, and the content. */

import { store, write } from "./store.js";

/**
 * Returns true if the moment is in the future, by at most an hour and a half (three times the longest pause): if it is
 * later, the clock was set back. The texts are compared; `~` sorts after the blank.
 * @param {string} name
 */
export const held = (name) => store[name] > Date.now() + "~" && store[name] < Date.now() + 54e5 + "~";

/** Returns the content; 0 for a damaged entry without one, which the server refuses. @param {string} name @returns {string} */
export const contentOf = (name) => /** @type {any} */ (store[name].slice(14) || 0);

/** @param {string} name @param {number} milliseconds @param {string} [content] the new content */
export const hold = (name, milliseconds, content = contentOf(name)) =>
  write(name, `${Date.now() + milliseconds} ${content}`);
