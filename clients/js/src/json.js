/** JSON as the language has it, whatever the page has added to it: old libraries give arrays and texts a `toJSON`. */

const BUILT_IN = [{}, [], "", 0];

/** Takes the value itself if a `toJSON` would be that of every object, array, text or number. @param {unknown} value */
export const json = (value) =>
  JSON.stringify(
    value,
    /** @this {any} @param {string} key @param {unknown} made */
    function (key, made) {
      const own = this[key];
      return BUILT_IN.some((/** @type {any} */ { toJSON }) => toJSON == own?.toJSON) ? own : made;
    },
  );
