/** What the page's author chose. */

/** The options, as `index.d.ts` describes them. A switch is on where it is there. @type {Record<string, any>} */
export let settings;

/** Where batches are posted to. @type {URL} */
export let address;

/** @param {Record<string, any>} options @param {string} base the address to which the endpoint is relative */
export function choose(options, base) {
  settings = options;
  address = new URL((options.endpoint || ".").replace(/\/?$/, "/v1/batch"), base);
}
