/**
 * The browser's storage, or the page's memory where there is none: private windows, sandboxed frames, a full disk, or
 * the option `storage: "none"`. Every name begins with `catchment`.
 */

import { settings } from "./settings.js";

/** What lasts. @type {Record<string, string>} */
let lasting = {};

/** Where everything but the opt-out is kept. @type {Record<string, string>} */
export let store;

export function openStore() {
  try {
    lasting = localStorage || lasting;
  } catch {
    // Not allowed here.
  }
  store = settings.storage == "none" ? {} : lasting;
}

/** @param {string} name @param {string} value */
export function write(name, value) {
  try {
    store[name] = value;
  } catch {
    // Full: from here on in memory, beginning with what is there.
    store = { ...store, [name]: value };
  }
}

/** The names that begin so. @param {string} start */
export const namesOf = (start) => Object.keys(store).filter((name) => name.startsWith(start));

/** @param {string} name */
export const remove = (name) => delete store[name];

/** Whether the visitor said no. That lasts, whatever else is kept in memory only. */
export const optedOut = () => lasting.catchmentOptOut;

/** The visitor says no, and what is kept of him goes. */
export function optOut() {
  namesOf("catchment").map(remove);
  lasting.catchmentOptOut = "1";
}

export const optIn = () => delete lasting.catchmentOptOut;
