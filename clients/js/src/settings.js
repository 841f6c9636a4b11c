/** What the page's author chose. */

/** The options, as `index.d.ts` describes them. A switch is on where it is there. @type {Record<string, any>} */
export let settings;

/** Where batches are posted to. @type {URL} */
export let address;

/**
 * `dataset`: the options; `src`: the address to which the endpoint is relative.
 * @param {{ dataset: Record<string, any>, src: string }} tag
 */
export function choose(tag) {
  settings = tag.dataset;
  address = new URL((settings.endpoint || ".").replace(/\/?$/, "/v1/batch"), tag.src);
}
