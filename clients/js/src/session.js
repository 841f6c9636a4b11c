/** A session lasts until nothing has happened for 30 minutes, in all tabs together. */

import { contentOf, held, hold } from "./held.js";
import { newId } from "./ids.js";

const NAME = "catchment session";

/** The session's id. */
export function session() {
  hold(NAME, 18e5, held(NAME) ? contentOf(NAME) : newId());
  return contentOf(NAME);
}
