/** Sends the events of the outbox, and retries until the server has given a final answer. */

import { contentOf, held, hold } from "./held.js";
import { lose, nextReport } from "./losses.js";
import { entries } from "./outbox.js";
import { listen, safely, say } from "./say.js";
import { address, settings } from "./settings.js";
import { optedOut, remove, store } from "./store.js";
import { waiting } from "./track.js";

/** The time limit of an answer, in milliseconds. The server takes five seconds at most. */
const LEASE = 15e3;
/** While this entry is held, no tab sends: the server has asked for a pause. */
export const PAUSE = "catchment Retry-After";

/** The most events in one request. 0 means 1, after a single event that was not accepted. */
let most = 50;
/**
 * Consecutive failures (at most 6), not counting batches that are being halved.
 */
let failures = 0;
/** The timer of the pause in which this page does not send; 0 if there is none. The clock may be set meanwhile. @type {any} */
let resting;
/** @type {any} */
let timer;
/** @type {((batch: string, answer: any) => void) | undefined} */
let watch;

/** Calls `work` with every batch and its answer. @param {typeof watch} work */
export function watchAnswers(work) {
  watch = work;
}

/** Holds an event, so that no other tab sends it. One that was answered meanwhile stays deleted. @param {number} milliseconds */
const lease = (milliseconds) => (/** @type {string} */ name) => store[name] && hold(name, milliseconds);

/** Sends all events that no tab holds, in one request. Runs about every second while there are events. */
export const sweep = safely(async () => {
  await 0;
  if (optedOut()) return;
  const left = entries();
  clearTimeout(timer);
  // At random times: tabs see each other's storage late.
  timer = left[0] && setTimeout(sweep, 1e3 * Math.random());
  const names = left.filter((name) => !held(name)).slice(0, most || 1);
  if (!names[0] || held(PAUSE) || waiting || resting) return;
  names.map(lease(LEASE));
  const losses = nextReport();
  /** In milliseconds; 0 for no pause. */
  let pause = 1e3 << failures;
  try {
    // The entries are JSON and are not parsed again: an entry that other code has damaged can't stop the sender.
    const body =
      `{"projectKey":"${settings.key}","sentAt":"${new Date().toISOString()}",` +
      `"events":[${names.map(contentOf)}],"losses":${store[losses] || null}}`;
    // Browsers allow 64 KiB to all `keepalive` requests together, and refuse more. Then the batch is halved. A single
    // event may be as long, in an alphabet of three bytes a letter.
    // A text is sent as text/plain in the mode cors: no preflight, and an Origin header under any Referrer-Policy.
    const response = await fetch(address, {
      keepalive: body.length < 15e3,
      body,
      method: "POST",
      credentials: "omit",
      signal: AbortSignal.timeout?.(LEASE),
    });
    const status = response.status;
    const after = Math.min(/** @type {any} */ (response.headers.get("Retry-After")) * 1e3 || 0, 18e5);
    // A proxy may compute it by a wrong clock, and say -5.
    if (after > 0) hold(PAUSE, (pause = after), "");
    const answer = await response.json().catch(() => status);
    if (watch) watch(body, answer);
    // Final: a result for every event, or a problem of Catchment's that a retry would not change. If other code has
    // damaged an entry, the request is no JSON (400), and the other events of it are good.
    const { type, results = /^40([123].*|0),+urn:c/.test(/** @type {any} */ ([status, names[1], type])) && names.map(() => answer) } = answer;
    // Other servers may answer 200 with other `results`.
    if (results.length == names.length) {
      results.map((/** @type {any} */ { code, reason = code, detail }) => {
        if (reason) (status > 400 ? lose : say)(reason, detail);
      });
      names.map(remove);
      if (answer.losses || status == 400) remove(losses);
      pause = failures = 0;
      most = 50;
    } else {
      say(status, address);
      // One event may be the reason. Halves find it, and others are sent before it.
      most = names.length >> 1;
      if (most) pause = after;
    }
  } catch (error) {
    // No answer, or none that scripts may read: the events stay. The batch may be too large for the connection.
    say("no_answer", error);
    most = names.length >> 1 || 1;
  }
  failures += /** @type {any} */ (pause && failures < 6);
  // A single event that was not accepted is held for longer than the page's pause and its look: others go first.
  names.map(lease(/** @type {any} */ (!most) * 3 * pause));
  // A random time, so that browsers do not come back at the same moment.
  if (pause) resting = setTimeout(() => (resting = 0), pause + pause * Math.random());
  sweep();
});

export function startSender() {
  listen("online", () => (resting = 0));
  sweep();
}
