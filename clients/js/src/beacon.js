/** For browsers whose requests can't outlive their page: Firefox before 133. */

import { contentOf, held } from "./held.js";
import { entries } from "./outbox.js";
import { listen } from "./say.js";
import { PAUSE } from "./sender.js";
import { address, settings } from "./settings.js";
import { settle } from "./track.js";

/** @param {string[]} names */
const batchOf = (names) =>
  `{"projectKey":"${settings.key}","sentAt":"${new Date().toISOString()}","events":[${names.map(contentOf)}]}`;

/** Sends the remaining events when the page goes away. There is no answer, so the next page sends them again. */
export function startBeacon() {
  if (!("keepalive" in Request.prototype))
    listen("pagehide", () => {
      settle();
      const names = held(PAUSE) ? [] : entries();
      // Most browsers take 64 KiB or nothing. Under `Referrer-Policy: no-referrer` they send `Origin: null`.
      while (names[0] && !navigator.sendBeacon(address, batchOf(names))) names.length >>= 1;
    });
}
