/** Writes lines to the console for the website's author. Catches all errors: none may reach the page. */

/** @type {Record<string, unknown>} */
const said = {};

/** Shows a reason once a page. @param {string | number} reason @param {unknown} detail */
export function say(reason, detail) {
  try {
    if (!said[reason]) console.warn(`catchment: ${reason}: ${detail} (${origin})`);
    said[reason] = 1;
  } catch {
    // The page may have replaced the console.
  }
}

/**
 * Returns a function that does the same, and shows errors in the console instead of throwing them, also those of an
 * asynchronous function.
 * @template {any[]} A
 * @param {(...args: A) => unknown} work
 * @returns {(...args: A) => void}
 */
export const safely = (work) => async (...args) => {
  try {
    await work(...args);
  } catch (error) {
    say("error", error);
  }
};

/**
 * Listens in the capture phase, before the page's own scripts can stop an event.
 * @param {string} type
 * @param {(event: any) => unknown} work
 */
export const listen = (type, work, target = /** @type {EventTarget} */ (self)) =>
  target.addEventListener(type, safely(work), true);
