/** The file `catchment.js`. */

import { startTag } from "./tag.js";

startTag();
