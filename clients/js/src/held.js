/** What is kept until a moment: the moment in milliseconds, a blank, and the content. */

import { store, write } from "./store.js";

/**
 * Milliseconds until the moment; 0 where it is past or nothing is kept, or over an hour ahead: then the clock was set
 * back since.
 * @param {string} name
 */
export const held = (name, left = parseInt(store[name]) - Date.now()) => left > 0 && left < 36e5 && left;

/** @param {string} name */
export const contentOf = (name) => store[name].slice(14);

/** @param {string} name @param {number} milliseconds @param {string} content */
export const hold = (name, milliseconds, content) => write(name, `${Date.now() + milliseconds} ${content}`);
