/** The file `catchment.plus.js`: with forms and links. */

import { startForms } from "./forms.js";
import { startLinks } from "./links.js";
import { settings } from "./settings.js";
import { startTag } from "./tag.js";
import { nameByFragment } from "./track.js";

startTag(() => {
  if (settings.hash != null) nameByFragment();
  startForms();
  startLinks();
});
