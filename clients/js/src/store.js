/**
 * The browser's storage, or the page's memory if there is none: private windows, sandboxed frames, a full disk, or the
 * option `storage: "none"`. Every name begins with `catchment `, with the blank: the website may have its own
 * `catchmentArea`.
 */

import { safely, say } from "./say.js";
import { on, settings } from "./settings.js";

/** The storage that outlives the page. @type {Record<string, string>} */
let lasting = {};

/** The storage for everything but the opt-out. @type {Record<string, string>} */
export let store;

/** True if the page has no host, such as a local file, or if the visitor objects. @type {unknown} */
let off;

export function openStore() {
  // Apps have their own scheme, with a host.
  off = !location.host || (on("doNotTrack") && (/** @type {any} */ (navigator.doNotTrack) > 0 || navigator.globalPrivacyControl));
  if (off) say("off", off);
  // The storage may be forbidden here, or damaged: then the first look at it throws.
  safely(() => (lasting = namesOf("", localStorage) && localStorage))();
  store = settings.storage ? {} : lasting;
}

/** @param {string} name @param {string} value */
export function write(name, value) {
  try {
    store[name] = value;
  } catch {
    // The storage is full: from now on use memory, with a copy of it.
    store = { ...store, [name]: value };
  }
}

/** Returns the names with this beginning. @param {string} start */
export const namesOf = (start, from = store) => Object.keys(from).filter((name) => name.startsWith(start));

/** Removes from both: the memory has a copy of a full storage. @param {string} name */
export const remove = (name) => delete store[name] && delete lasting[name];

const OUT = "catchment opt-out";

/** Returns true if nothing may be sent. */
export const optedOut = () => off || lasting[OUT] || store[OUT];

/** Remembers that the visitor objects, and deletes their entries. It is remembered even with `storage: "none"`. */
export function optOut() {
  namesOf("catchment ", { ...lasting, ...store }).map(remove);
  // For this page, if the storage is full.
  write(OUT, /** @type {any} */ (1));
  lasting[OUT] = /** @type {any} */ (1);
}

export const optIn = () => remove(OUT);
