/** The file `catchment.plus.js`: with everything. */

import { startMore } from "./more.js";
import { startTag } from "./tag.js";

startTag(startMore);
