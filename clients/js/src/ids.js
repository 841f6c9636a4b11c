/** Ids that sort by the time of their making, also in pages without a secure context, which lack `randomUUID`. */

let last = 0;

/** The time in milliseconds, never the same twice in a page, and 96 random bits. */
export const newId = () => {
  last = Math.max(Date.now(), last + 1);
  return last + "-" + crypto.getRandomValues(new Uint32Array(3));
};
