/** What the page's author chose. */

/** The options, as `index.d.ts` describes them. @type {Record<string, any>} */
export let settings;

/** Where batches are posted to. @type {URL} */
export let address;

/**
 * An attribute comes before a word in the script's address, and that before the page's global: tag managers take
 * attributes away.
 * @param {Record<string, any> | undefined} attributes
 * @param {string | undefined} src the script's address, to which the endpoint is relative; never the page's, whose query anybody
 *   may write
 */
export function choose(attributes, src = origin) {
  settings = { ...self.catchmentSettings, ...Object.fromEntries(new URL(src).searchParams), ...attributes };
  if (!settings.key) throw "missing_key: script[data-key]";
  // The endpoint may be the whole address already.
  address = new URL((settings.endpoint || ".").replace(/\/*(v1\/\w+)?\/*$/, "/v1/batch"), src);
}

/** Return true if a switch is on: it is there. @param {string} name */
export const on = (name) => settings[name] != null;
