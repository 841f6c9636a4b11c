/** Counts dropped events, until the server has the numbers. */

import { newId } from "./ids.js";
import { say } from "./say.js";
import { namesOf, write } from "./store.js";

const START = "catchment lost ";

/** @type {string} */
let id;
/** @type {Record<string, number>} */
let counts = {};

/** @param {string} reason @param {string} [detail] */
export function lose(reason, detail) {
  id = id || namesOf(START)[20] || START + newId();
  counts[reason] = -~counts[reason];
  write(id, JSON.stringify({ id, counts }));
  say(reason, detail);
}

/**
 * Returns the name of the report to send, if there is one. The server counts each id once, so further losses get another
 * id.
 */
export function nextReport() {
  id = "";
  counts = {};
  return namesOf(START)[0] || START;
}
