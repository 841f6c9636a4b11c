/** Lines in the console for the person who sets it up, and the promise never to throw into the page. */

/** @type {Record<string, unknown>} */
const said = {};

/** Says a reason once a page. @param {string | number} reason @param {unknown} detail */
export function say(reason, detail) {
  try {
    if (!said[reason]) console.warn(`catchment: ${reason}: ${detail} (${origin})`);
    said[reason] = 1;
  } catch {
    // The page's own console.
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
export const listen = (type, work, target = /** @type {EventTarget} */ (self)) =>
  target.addEventListener(type, safely(work), true);
