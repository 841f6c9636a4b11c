/** What the browser says of the page, also where an element's name hides it: `<img name="title">`. */

/** A property of the document. @param {string} name */
export const real = (name) => Reflect.get(Document.prototype, name, document);
