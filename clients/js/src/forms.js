/** Forms with `data-catchment-event`. Their contents are never read. */

import { startAttributes } from "./attributes.js";

export const startForms = () => startAttributes("submit", "form");
