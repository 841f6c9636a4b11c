/** Prints what the built scripts weigh, and fails where one is over its limit: `node size.js FOLDER`. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

/** Bytes after gzip at its best. */
const LIMITS = { "catchment.js": 2048, "catchment.plus.js": 3072 };

const [folder] = process.argv.slice(2);
for (const [name, limit] of Object.entries(LIMITS)) {
  const size = gzipSync(readFileSync(join(folder, name)), { level: 9 }).length;
  const verdict = size > limit ? "too large" : "fits";
  console.log(`${name}: ${size} of ${limit} bytes after gzip, ${verdict}`);
  if (size > limit) process.exitCode = 1;
}
