/** The features of `catchment.plus.js` that `catchment.js` does not have. */

import { startBeacon } from "./beacon.js";
import { startForms } from "./forms.js";
import { write } from "./json.js";
import { startLinks } from "./links.js";
import { say } from "./say.js";
import { watchAnswers } from "./sender.js";
import { on } from "./settings.js";
import { writeWith } from "./track.js";

/** Shows a batch and its answer, and each warning in a line of its own. @param {any} batch @param {any} answer */
function show(batch, answer) {
  console.log("catchment", batch, answer);
  for (const { warnings = [] } of answer.results || [])
    for (const { code, field, detail } of warnings) say(`${code} ${field}`, detail);
}

export function startMore() {
  writeWith(write, on("hash"));
  if (on("debug")) watchAnswers(show);
  startForms();
  startLinks();
  startBeacon();
}
