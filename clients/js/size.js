/** Prints what the built scripts weigh, and fails where one is over its limit: `node size.js FOLDER`. */

import { spawnSync } from "node:child_process";
import { join } from "node:path";

/** Bytes that `gzip -9` makes of the file, its name included; servers send a few less. */
const LIMITS = { "catchment.js": 2355, "catchment.plus.js": 3072 };

const [folder] = process.argv.slice(2);
for (const [name, limit] of Object.entries(LIMITS)) {
  const { status, stdout } = spawnSync("gzip", ["-9", "-c", join(folder, name)]);
  const size = stdout.length;
  const fits = status === 0 && size <= limit;
  console.log(`${name}: ${size} of ${limit} bytes after gzip, ${fits ? "fits" : "too large, or missing"}`);
  if (!fits) process.exitCode = 1;
}
