/** Sends what is in the outbox, and sends it again until it has the server's final answer. */

import { contentOf, held, hold } from "./held.js";
import { lose, nextReport } from "./losses.js";
import { entries } from "./outbox.js";
import { listen, say } from "./say.js";
import { address, settings } from "./settings.js";
import { optedOut, remove, store } from "./store.js";
import { waiting } from "./track.js";

/** Milliseconds that an answer may take; the server takes five seconds at most. */
const LEASE = 15e3;
/** While it is held nobody asks the server, which has said so. */
export const PAUSE = "catchment Retry-After";

/** Events in one request, at most; 0, as good as 1, after one alone that was not taken. */
let most = 50;
/**
 * How often in a row there was no final answer, other than for a part that gets halved, up to 6; and the moment before
 * which this page does not ask again.
 */
let failures = 0;
let until = 0;
/** @type {ReturnType<typeof setTimeout>} */
let timer;
/** @type {((batch: string, answer: any) => void) | undefined} */
let watch;

/** Shows every batch and its answer. @param {typeof watch} work */
export function watchAnswers(work) {
  watch = work;
}

/** Nobody else sends an event for so long. One that was answered meanwhile stays away. @param {number} milliseconds */
const lease = (milliseconds) => (/** @type {string} */ name) => store[name] && hold(name, milliseconds);

/** Sends what nobody is sending, all of this moment together, and looks about every second while something is left. */
export async function sweep() {
  await 0;
  if (optedOut()) return;
  const left = entries();
  clearTimeout(timer);
  // Tabs do not look at the same moment: they see each other's storage late.
  if (left[0]) timer = setTimeout(sweep, 1e3 * Math.random());
  const names = left.filter((name) => !held(name)).slice(0, most || 1);
  if (!names[0] || held(PAUSE) || waiting || until > Date.now()) return;
  names.map(lease(LEASE));
  const losses = nextReport();
  /** Milliseconds; 0 where there is nothing to wait for. */
  let pause = 1e3 << failures;
  try {
    // The entries are JSON and are not read again: one that something else has spoiled can't stop the sender.
    const body =
      `{"projectKey":"${settings.key}","sentAt":"${new Date().toISOString()}",` +
      `"events":[${names.map(contentOf)}],"losses":${store[losses] || null}}`;
    // Browsers allow 64 KiB to all requests together that outlive their page, and refuse what is over; it is halved then.
    // A text is sent as text/plain, with mode cors: no preflight, and an Origin header under any Referrer-Policy.
    const response = await fetch(address, {
      method: "POST",
      body,
      keepalive: true,
      credentials: "omit",
      signal: AbortSignal.timeout?.(LEASE),
    });
    const status = response.status;
    const after = Math.min(/** @type {any} */ (response.headers.get("Retry-After")) * 1e3 || 0, 18e5);
    if (after) hold(PAUSE, (pause = after), "");
    const answer = await response.json().catch(() => status);
    if (watch) watch(body, answer);
    // Final is an answer for every event, or a problem of Catchment's that will be the same next time.
    const { type, results = !after && !/40[45]|413/.test(/** @type {any} */ (status)) && /:catchment:/.test(type) && names.map(() => answer) } = answer;
    if (results) {
      results.map((/** @type {any} */ { code, reason = code, detail }) => {
        if (reason) (status > 400 ? lose : say)(reason, detail);
      });
      names.map(remove);
      if (answer.losses || status == 400) remove(losses);
      pause = failures = 0;
      most = 50;
    } else {
      say(status, address);
      // It may be for one of them alone: that is looked for by halves, and others come before it.
      most = names.length >> 1;
      if (most) pause = after;
    }
  } catch (error) {
    // No answer, or none that can be read: the events stay. It may have been too much for the line.
    say("no_answer", error);
    most = names.length >> 1 || 1;
  }
  failures += /** @type {any} */ (pause && failures < 6);
  // One that was not taken alone stays away for longer than the page waits, a second of looking included: first the others.
  names.map(lease(/** @type {any} */ (!most) * 3 * pause));
  // Not at the same moment as other browsers.
  until = Date.now() + pause + pause * Math.random();
  sweep();
}

export function startSender() {
  listen("online", () => (until = 0));
  sweep();
}
