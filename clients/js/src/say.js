/** Lines in the console for the person who sets it up, and the promise never to throw into the page. */

/** @type {Record<string, unknown>} */
const said = {};

/** Says a reason once a page. @param {string} reason @param {unknown} detail */
export function say(reason, detail) {
  if (!said[reason]) {
    said[reason] = 1;
    console.warn(`catchment: ${reason}: ${detail} (${origin})`);
  }
}

/**
 * The same function, which says what it would throw.
 * @template {any[]} A
 * @param {(...args: A) => unknown} work
 * @returns {(...args: A) => void}
 */
export const safely = (work) => (...args) => {
  try {
    work(...args);
  } catch (error) {
    say("error", error);
  }
};

/**
 * Listens before the page's own scripts can stop an event.
 * @param {string} type
 * @param {(event: any) => unknown} work
 */
export const listen = (type, work) => addEventListener(type, safely(work), true);
