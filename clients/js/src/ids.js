/** Ids that sort by the time of their making, also in pages without a secure context, which lack `randomUUID`. */

/** The time in milliseconds, and 96 random bits. */
export const newId = () => Date.now() + "-" + crypto.getRandomValues(new Uint32Array(3));
