/** A session ends when nothing has happened for 30 minutes in any tab. */

import { contentOf, held, hold } from "./held.js";
import { newId } from "./ids.js";

const NAME = "catchment session";

/** Returns the session's id. */
export function session() {
  hold(NAME, 18e5, held(NAME) ? contentOf(NAME) : newId());
  return contentOf(NAME);
}
