/** Ids that sort by time, also in pages without a secure context, which lack `randomUUID`. */

/** The time of the newest id. */
export let last = 0;

/** Returns the time in milliseconds, which never repeats in a page, and 96 random bits. */
export const newId = () => {
  last = Math.max(Date.now(), last + 1);
  return last + "-" + crypto.getRandomValues(new Uint32Array(3));
};
