// Asking the admin API. Where it wants a token, that is asked for once, and kept for as long as the tab is open.

const KEPT = 'slipstream-admin-token';

/** What the API answered instead of what was asked for. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

let askForToken = async () => null;
let declined = false;

/** Asks for a token again, although none was given when it was asked for. */
export function askAgain() {
  declined = false;
}

/** Says who asks for a token. `ask(wrong)` resolves with one, or with null if there is none. */
export function tokensFrom(ask) {
  let asking = null;
  // Whoever needs one at the same time waits for the same answer.
  askForToken = (wrong) => {
    asking ??= ask(wrong).finally(() => { asking = null; });
    return asking;
  };
}

async function ask(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(KEPT);
    const headers = { ...options.headers, ...(token === null ? {} : { Authorization: `Bearer ${token}` }) };
    const answer = await fetch(path, { ...options, headers });
    if (answer.status !== 401) return answer;
    if (sessionStorage.getItem(KEPT) !== token) continue;
    const given = declined ? null : await askForToken(token !== null);
    declined = given === null;
    if (declined) return answer;
    sessionStorage.setItem(KEPT, given);
  }
}

async function refusal(answer) {
  const body = await answer.json().catch(() => null);
  const { code = 'unknown', message = `the relay answered ${answer.status}` } = body?.error ?? {};
  return new Refused(answer.status, code, message);
}

/** Asks for JSON. Throws `Refused` with the API's own words. */
export async function call(method, path, body) {
  return JSON.parse(await callText(method, path, body));
}

/** The same as a text. A number in a message may have more digits than a number has here. */
export async function callText(method, path, body) {
  const json = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
  let answer;
  try {
    answer = await ask(path, { method, ...json });
  } catch {
    throw new Refused(0, 'unreachable', 'the relay does not answer');
  }
  if (!answer.ok) throw await refusal(answer);
  return answer.text();
}

/** For how long a tab that nobody sees goes on watching, in milliseconds: each takes one of a browser's few connections. */
const UNSEEN = 5000;

/** Resolves once the tab can be seen. */
function seen() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => { document.addEventListener('visibilitychange', done, { once: true }); });
}

const pause = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });

/** How long nothing may come before the connection is given up: a picture comes every second. */
const SILENCE = 10_000;

/** Calls `onPicture` with each picture of the relay, for ever, and `onTrouble` with why there are none, or null. */
export async function watch(onPicture, onTrouble) {
  for (let failures = 0; ; failures += 1) {
    await seen();
    const giveUp = new AbortController();
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => giveUp.abort(), SILENCE);
    };
    let unseen;
    const look = () => {
      clearTimeout(unseen);
      if (document.hidden) unseen = setTimeout(() => giveUp.abort(), UNSEEN);
    };
    document.addEventListener('visibilitychange', look);
    try {
      heard();
      const answer = await ask('/api/v1/events', { signal: giveUp.signal });
      if (!answer.ok) throw await refusal(answer);
      for await (const picture of events(answer.body, heard)) {
        failures = 0;
        onTrouble(null);
        onPicture(picture);
      }
    } catch (error) {
      if (!document.hidden) onTrouble(error instanceof Refused ? error : new Refused(0, 'unreachable', 'the relay does not answer'));
    } finally {
      clearTimeout(silence);
      clearTimeout(unseen);
      document.removeEventListener('visibilitychange', look);
    }
    // A stream that ended in order is asked for again at once; 1 to 10 seconds after what failed.
    await pause(Math.min(1000 * failures, 10_000));
  }
}

/** The data of server-sent events, one line each. */
async function* events(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard();
    rest += value;
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      const event = rest.slice(0, end);
      rest = rest.slice(end + 2);
      if (event.startsWith('data:')) yield JSON.parse(event.slice(5));
    }
  }
}
