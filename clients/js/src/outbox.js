/**
 * Keeps every event without a final answer in storage. Each event has an entry of its own, so tabs never overwrite one
 * another. The name of an entry has the event's id, so names sort by time, and the project's key. The tab that sends an
 * entry holds it.
 */

import { lose } from "./losses.js";
import { settings } from "./settings.js";
import { namesOf, remove, store } from "./store.js";

const START = "catchment event ";

/** @param {string} id */
export const nameOf = (id) => START + id + " " + settings.key;

/**
 * Returns the project's entries, newest first. Drops and counts entries that are too old or too many, of every key.
 * @param {number} [characters] all entries together: about 500 events
 */
export const entries = (characters = 256 * 1024) =>
  namesOf(START)
    .sort()
    .reverse()
    .filter((name) => {
      characters -= store[name].length;
      // 72 hours, less the time of a request: the server would store an older event as happening now.
      const reason = name < START + (Date.now() - 258e6) ? "expired" : characters < 0 && "queue_full";
      if (!reason) return name.endsWith(` ${settings.key}`);
      remove(name);
      lose(reason);
    });
