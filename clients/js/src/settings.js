/** The options that the page's author chose. */

/** The options, as `index.d.ts` describes them. @type {Record<string, any>} */
export let settings;

/** The address to which batches are posted. @type {URL} */
export let address;

/**
 * Reads the options. An attribute overrides the script's address, and the address the page's global: tag managers remove
 * attributes.
 * @param {Record<string, any> | undefined} attributes
 * @param {string | undefined} src the script's address, to which the endpoint is relative; never the page's, because anybody
 *   can write its query
 */
export function choose(attributes, src = origin) {
  settings = { ...self.catchmentSettings, ...Object.fromEntries(new URL(src).searchParams), ...attributes };
  if (!settings.key) throw "missing_key: script[data-key]";
  // The endpoint may already be the complete address.
  address = new URL((settings.endpoint || ".").replace(/\/*(v1\/\w+)?\/*$/, "/v1/batch"), src);
}

/** Returns true if a switch is present, and so on. @param {string} name */
export const on = (name) => settings[name] != null;
