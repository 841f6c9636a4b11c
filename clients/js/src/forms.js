/** Forms with `data-catchment-event`. What was typed into them is never read. */

import { trackElement } from "./attributes.js";
import { listen } from "./say.js";

export const startForms = () =>
  listen("submit", (event) => trackElement(event.target.closest("[data-catchment-event]")));
