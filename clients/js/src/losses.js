/** Counts what had to be dropped, until the server has the numbers. */

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
 * The name of what is to be reported, if anything is. The server counts an id once, so what is lost from here on gets
 * another.
 */
export function nextReport() {
  counts = {};
  id = "";
  return namesOf(START)[0] || START;
}
