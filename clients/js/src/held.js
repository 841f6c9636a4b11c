/** What is kept until a moment: the moment in milliseconds, a blank, and the content. */

import { store, write } from "./store.js";

/**
 * Whether the moment is ahead, by an hour and a half at most (three times the longest pause): else the clock was set back
 * since. The texts are compared, in which `~` comes after the blank.
 * @param {string} name
 */
export const held = (name) => store[name] > Date.now() + "~" && store[name] < Date.now() + 54e5 + "~";

/** @param {string} name */
export const contentOf = (name) => store[name].slice(14);

/** @param {string} name @param {number} milliseconds @param {string} [content] what it is from now on */
export const hold = (name, milliseconds, content = contentOf(name)) =>
  write(name, `${Date.now() + milliseconds} ${content}`);
