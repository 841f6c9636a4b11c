/** A session lasts until nothing has happened for 30 minutes, in all tabs together. */

import { contentOf, held, hold } from "./held.js";
import { newId } from "./ids.js";

const NAME = "catchment session";

/** The session's id. */
export function session() {
  if (!held(NAME)) hold(NAME, 0, newId());
  hold(NAME, 18e5);
  return contentOf(NAME);
}
