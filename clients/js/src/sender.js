/** Sends what is in the outbox, and sends it again until it has the server's final answer. */

import { contentOf, held, hold } from "./held.js";
import { nextReport } from "./losses.js";
import { entries } from "./outbox.js";
import { listen, safely, say } from "./say.js";
import { address, settings } from "./settings.js";
import { remove, store } from "./store.js";

/** Milliseconds that an answer may take; the server takes five seconds at most. */
const LEASE = 15e3;
/** Milliseconds, at least, to the next look while others hold what is left. */
const LOOK_AGAIN = 1e3;
const PAUSE = "catchmentPause";

/** Events in one request, at most; fewer where the server finds it too much. */
let most = 50;
/** Browsers allow 64 KiB to all requests together that outlive their page. */
let bytesLeft = 6e4;
let failures = 0;
/** @type {ReturnType<typeof setTimeout>} */
let timer;

/**
 * The entries are JSON and are not read again: one that something else on the page has spoiled can't stop the sender.
 * @param {string[]} names @param {string} [losses]
 */
const batchOf = (names, losses) =>
  `{"projectKey":"${settings.key}","sentAt":${JSON.stringify(new Date())},` +
  `"events":[${names.map(contentOf)}],"losses":${store[/** @type {string} */ (losses)] || null}}`;

/** Nobody else sends an event for so long. One that was answered meanwhile stays away. @param {number} milliseconds */
const lease = (milliseconds) => (/** @type {string} */ name) =>
  store[name] && hold(name, milliseconds, contentOf(name));

/** @param {string[]} names */
async function post(names) {
  const losses = nextReport();
  const body = batchOf(names, losses);
  const { size } = new Blob([body]);
  /** Milliseconds; 0 where there is nothing to wait for. */
  let pause = 1e3 << Math.min(failures++, 6);
  bytesLeft -= size;
  try {
    // A text is sent as text/plain, with mode cors: no preflight, and an Origin header under any Referrer-Policy.
    const response = await fetch(address, {
      method: "POST",
      body,
      keepalive: bytesLeft > 0,
      credentials: "omit",
      signal: AbortSignal.timeout?.(LEASE),
    });
    const after = /** @type {any} */ (response.headers.get("Retry-After")) * 1e3;
    pause = after || pause;
    if (response.status == 413 && names[1]) {
      most = names.length >> 1;
      pause = 0;
    } else {
      const answer = await response.json();
      const { code, results = code && !after && [answer] } = answer;
      if (settings.debug != null) console.log("catchment", body, answer);
      if (results) {
        names.map(remove);
        pause = failures = 0;
        if (answer.losses) remove(losses);
        for (const { code, reason = code, detail } of results) if (reason) say(reason, detail);
      }
    }
  } catch {
    // No answer, or not Catchment's: the events stay.
  }
  bytesLeft += size;
  names.map(lease(0));
  hold(PAUSE, pause, "");
  sweepIn(pause);
}

/** Not at the same moment as other tabs and browsers. @param {number} delay */
function sweepIn(delay) {
  clearTimeout(timer);
  timer = setTimeout(sweep, delay * (1 + Math.random()));
}

/** Sends what nobody is sending, and looks again while something is left. */
export const sweep = safely(() => {
  const pause = held(PAUSE);
  const left = entries();
  const names = left.filter((name) => !held(name)).slice(0, most);
  if (left[0]) sweepIn(pause || LOOK_AGAIN);
  if (names[0] && !pause) {
    names.map(lease(LEASE));
    post(names);
  }
});

export function startSender() {
  listen("online", () => {
    remove(PAUSE);
    sweepIn(LOOK_AGAIN);
  });
  // Where a request can't outlive its page, this can; under `Referrer-Policy: no-referrer` it says `Origin: null`.
  if (!("keepalive" in Request.prototype))
    listen("pagehide", () => navigator.sendBeacon(address, batchOf(entries())));
}
