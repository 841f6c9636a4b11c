/** What `catchment.plus.js` has more than `catchment.js`. */

import { startBeacon } from "./beacon.js";
import { startForms } from "./forms.js";
import { startLinks } from "./links.js";
import { watchAnswers } from "./sender.js";
import { settings } from "./settings.js";
import { nameByFragment } from "./track.js";

export function startMore() {
  if (settings.hash != null) nameByFragment();
  if (settings.debug != null) watchAnswers((...words) => console.log("catchment", ...words));
  startForms();
  startLinks();
  startBeacon();
}
