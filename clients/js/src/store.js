/**
 * The browser's storage, or the page's memory where there is none: private windows, sandboxed frames, a full disk, or
 * the option `storage: "none"`. Every name begins with `catchment ` and a word: the website may have its own
 * `catchmentArea`.
 */

import { safely, say } from "./say.js";
import { on, settings } from "./settings.js";

/** What lasts. @type {Record<string, string>} */
let lasting = {};

/** Where everything but the opt-out is kept. @type {Record<string, string>} */
export let store;

/** Whether the page is nobody's, such as a local file, or the visitor objects. @type {unknown} */
let off;

export function openStore() {
  // Apps have a scheme of their own, with a host.
  off = !location.host || (on("doNotTrack") && (/** @type {any} */ (navigator.doNotTrack) > 0 || navigator.globalPrivacyControl));
  if (off) say("off", off);
  // It may not be allowed here.
  safely(() => (lasting = localStorage || lasting))();
  store = settings.storage ? {} : lasting;
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
export const namesOf = (start, from = store) => Object.keys(from).filter((name) => name.startsWith(start));

/** From both: what is in memory since the storage was full is there as well. @param {string} name */
export const remove = (name) => delete store[name] && delete lasting[name];

const OUT = "catchment opt-out";

/** Whether nothing may be sent. */
export const optedOut = () => off || lasting[OUT] || store[OUT];

/** The visitor says no, and what is kept of him goes. His no lasts, whatever else is kept in memory only. */
export function optOut() {
  namesOf("catchment ", { ...lasting, ...store }).map(remove);
  // For this page, where there is no room for more.
  write(OUT, 1);
  lasting[OUT] = 1;
}

export const optIn = () => remove(OUT);
