/** Forms with `data-catchment-event`. What was typed into them is never read. */

import { startAttributes } from "./attributes.js";

export const startForms = () => startAttributes("submit", "form");
