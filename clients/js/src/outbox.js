/**
 * Every event that was not finally answered, in storage: one entry an event, so that tabs never write over one another.
 * An entry is named by the project's key and the event's id, so names sort by time. It is held by the tab that sends
 * it.
 */

import { lose } from "./losses.js";
import { settings } from "./settings.js";
import { namesOf, remove, store } from "./store.js";

/** @param {string} id */
export const nameOf = (id) => `catchment ${settings.key} ${id}`;

/** The entries, newest first. What is too old or too much is dropped, and counted. */
export function entries() {
  // About 500 events.
  let characters = 256 * 1024;
  return namesOf(nameOf(""))
    .sort()
    .reverse()
    .filter((name) => {
      characters -= store[name].length;
      // The server knows ids for 32 days.
      const expired = Date.now() - parseInt(name.split(" ")[2]) > 30 * 864e5;
      if (!expired && characters > 0) return 1;
      remove(name);
      lose(expired ? "expired" : "queue_full");
    });
}
