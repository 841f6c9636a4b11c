/** Reads properties of the document, even if an element's name hides them: `<img name="title">`. */

/** Returns a property of the document. @param {string} name */
export const real = (name) => Reflect.get(Document.prototype, name, document);
