// Dead letters as a workbench: by peer and reason, each with its message, to be delivered again or removed.

import { call, callText } from './api.js';
import { confirm } from './dialog.js';
import { byId, empty, h, say, setText } from './dom.js';
import { clock, count, indented, plural } from './format.js';
import { trace } from './trace.js';

/** Most of a group that are listed. */
const LISTED = 50;

/** How often it is asked how far a sweep is that goes on, in milliseconds. */
const POLL = 1000;

/** How often it is looked whether others have taken their place, in milliseconds. */
const OFTEN = 10_000;

/** How soon the list is shown anew where more and more are given up, in milliseconds. */
const SOONEST = 2000;

/** How many are listed. */
let listed = null;
let refreshed = -SOONEST;
let asked = 0;
/** Which groups are open, and the letters whose messages are shown, both by their keys. */
const open = new Set();
const messages = new Map();

/** Shows the groups, if there are other dead letters than before. */
export function showDeadLetters({ status }) {
  const now = status.deadLetters;
  setText(byId('dead-count'), now === null ? 'the store does not tell' : now === 0 ? '' : count(now));
  const age = performance.now() - refreshed;
  const isDue = now === listed ? now > 0 && age >= OFTEN : age >= SOONEST;
  if (now !== null && isDue) refresh();
}

async function refresh() {
  refreshed = performance.now();
  asked += 1;
  const mine = asked;
  try {
    const { items } = await call('GET', '/api/v1/dead-letters/groups');
    if (mine !== asked) return;
    listed = items.reduce((sum, { count: of }) => sum + of, 0);
    if (items.length === 0) {
      open.clear();
      messages.clear();
      byId('dead').replaceChildren(empty('Nothing was given up.', 'A delivery that a peer refuses, or does not acknowledge again and again, would be kept here.'));
      return;
    }
    const groups = await Promise.all(items.map(group));
    // It may have been asked for again meanwhile.
    if (mine !== asked) return;
    const head = h('tr', {}, h('th', { scope: 'col' }, 'Peer'), h('th', { scope: 'col' }, 'Reason'),
      h('th', { scope: 'col', class: 'number' }, 'Count'), h('th', { scope: 'col' }, h('span', { class: 'hidden' }, 'Actions')));
    const focused = document.activeElement?.dataset?.key;
    byId('dead').replaceChildren(h('div', { class: 'scroll' },
      h('table', { 'aria-labelledby': 'dead-title' }, h('thead', {}, head), h('tbody', {}, ...groups.flat()))));
    // Whoever works by keyboard goes on where they were.
    if (focused !== undefined) byId('dead').querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  } catch (error) {
    listed = null;
    setText(byId('dead-count'), error.message);
  }
}

async function group({ peer, reason, count: number }) {
  const key = `${peer} ${reason}`;
  const isOpen = open.has(key);
  const toggle = () => {
    if (!open.delete(key)) open.add(key);
    refresh();
  };
  const which = { peer, reason };
  const what = `${plural(number, 'dead letter')} of ${peer} (${reason})`;
  const row = h('tr', { 'data-group': key },
    h('td', {}, h('button', { type: 'button', class: 'link id', 'aria-expanded': String(isOpen), onclick: toggle, 'data-key': key }, peer)),
    h('td', {}, reason.replaceAll('_', ' ')),
    h('td', { class: 'number' }, count(number)),
    h('td', { class: 'actions' },
      h('button', { type: 'button', onclick: () => redrive(which, what), 'data-key': `redrive ${key}`, 'aria-label': `Redrive ${what}` }, 'Redrive'),
      h('button', { type: 'button', class: 'danger', onclick: () => purge(which, what), 'data-key': `purge ${key}`, 'aria-label': `Purge ${what}` }, 'Purge')));
  return isOpen ? [row, h('tr', { class: 'inner' }, h('td', { colspan: '4' }, await letters(which, number)))] : [row];
}

async function letters(which, number) {
  const { items } = await call('GET', `/api/v1/dead-letters?${new URLSearchParams({ ...which, limit: String(LISTED) })}`);
  const head = ['Message', 'Type', 'Key', 'Given up', 'Republished'].map((name, index) => h('th', { scope: 'col', class: index > 3 ? 'number less-important' : index > 0 && index < 3 ? 'less-important' : null }, name));
  const rows = items.flatMap((letter) => [h('tr', {},
    h('td', {}, h('button', { type: 'button', class: 'link code', onclick: () => trace(letter.messageId, letter.clusterGroupId) }, letter.messageId)),
    h('td', { class: 'less-important' }, letter.type),
    h('td', { class: 'less-important' }, letter.key ?? ''),
    h('td', {}, clock(letter.deadAt)),
    h('td', { class: 'number less-important' }, count(letter.attempts)),
    h('td', { class: 'actions' },
      h('button', { type: 'button', onclick: () => toggleMessage(letter), 'aria-expanded': String(messages.has(keyOf(letter))), 'data-key': `message ${keyOf(letter)}` }, 'Message'),
      h('button', { type: 'button', onclick: () => redrive({ peer: letter.peer, sequence: letter.sequence }, `message ${letter.messageId} for ${letter.peer}`), 'data-key': `redrive ${keyOf(letter)}`, 'aria-label': `Redrive ${letter.messageId}` }, 'Redrive'))), message(letter)]).filter(Boolean);
  const more = number > items.length ? h('p', { class: 'muted' }, `The first ${count(items.length)} of ${count(number)}. All of them: slipstream dead-letters list --peer ${which.peer} --reason ${which.reason}`) : null;
  return [h('table', { 'aria-label': `Dead letters of ${which.peer}` }, h('thead', {}, h('tr', {}, ...head, h('th', {}, h('span', { class: 'hidden' }, 'Actions')))), h('tbody', {}, ...rows)), more].filter(Boolean);
}

const keyOf = ({ peer, sequence }) => `${peer} ${sequence}`;

/** Shows a letter's message below it, or hides it. */
async function toggleMessage(letter) {
  const key = keyOf(letter);
  if (!messages.delete(key)) {
    try {
      messages.set(key, await callText('GET', `/api/v1/dead-letters/${encodeURIComponent(letter.peer)}/${letter.sequence}`));
    } catch (error) {
      say(error.message);
    }
  }
  refresh();
}

/** All of a letter with its message, as the relay has it, if that is shown. */
function message(letter) {
  const whole = messages.get(keyOf(letter));
  if (whole === undefined) return null;
  return h('tr', { class: 'inner' }, h('td', { colspan: '6' }, h('pre', { tabindex: '0', role: 'region', 'aria-label': `Message ${letter.messageId}` }, indented(whole))));
}

async function redrive(which, what) {
  const sure = await confirm(`Redrive ${what}?`, 'It is delivered to that peer alone, behind what the peer is owed already. If it dies again it is a dead letter again.', 'Redrive');
  if (sure) await sweep('POST', '/api/v1/dead-letters/redrive', which, 'redriven');
}

async function purge(which, what) {
  const sure = await confirm(`Purge ${what}?`, 'They are removed for good, with their messages. Nothing can bring them back.', 'Purge', true);
  if (sure) await sweep('DELETE', '/api/v1/dead-letters', which, 'removed');
}

async function sweep(method, path, which, done) {
  try {
    let now = await call(method, path, which);
    while (now.state === 'running') {
      say(`${count(now.done)} ${done} so far …`);
      await new Promise((over) => { setTimeout(over, POLL); });
      now = await call('GET', '/api/v1/dead-letters/sweep');
    }
    const left = now.skipped > 0 ? ` ${count(now.skipped)} were left as they are: they were gone, or nobody remembers the peer.` : '';
    say(now.error === null ? `${count(now.done)} ${done}.${left}` : `${count(now.done)} ${done}, then: ${now.error}`);
  } catch (error) {
    say(error.message);
  }
  refresh();
}
