/**
 * Every event that was not finally answered, in storage: one entry an event, so that tabs never write over one another.
 * An entry is named by the event's id, so names sort by time, and the project's key. It is held by the tab that sends
 * it.
 */

import { lose } from "./losses.js";
import { settings } from "./settings.js";
import { namesOf, remove, store } from "./store.js";

const START = "catchment event ";

/** @param {string} id */
export const nameOf = (id) => START + id + " " + settings.key;

/**
 * The project's entries, newest first. What is too old or too much is dropped, and counted, whatever its key.
 * @param {number} [characters] all entries together: about 500 events
 */
export const entries = (characters = 256 * 1024) =>
  namesOf(START)
    .sort()
    .reverse()
    .filter((name) => {
      characters -= store[name].length;
      // Of 72 hours, less what a request takes: after that the server would have it happen now.
      const reason = name < START + (Date.now() - 258e6) ? "expired" : characters < 0 && "queue_full";
      if (!reason) return name.endsWith(` ${settings.key}`);
      remove(name);
      lose(reason);
    });
