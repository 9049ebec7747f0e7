// Where is message X: what the relay knows of it, until all its deliveries are settled.

import { call } from './api.js';
import { byId, facts, h, state } from './dom.js';
import { clock, count, DASH } from './format.js';

/** How often a message is asked for again that is not settled, in milliseconds. */
const AGAIN = 2000;

let asked = 0;
let again;

/** Shows where a message stands. */
export async function trace(id, group) {
  byId('message-id').value = id;
  const hash = `#message=${encodeURIComponent(id)}${group === undefined ? '' : `&group=${encodeURIComponent(group)}`}`;
  if (location.hash !== hash) history.pushState(null, '', hash);
  await look(id, group, true);
  byId('trace').focus({ preventScroll: true });
  byId('trace').scrollIntoView({ block: 'nearest' });
}

async function look(id, group, first) {
  clearTimeout(again);
  asked += 1;
  const mine = asked;
  const query = group === undefined ? '' : `?${new URLSearchParams({ clusterGroupId: group })}`;
  const found = await call('GET', `/api/v1/messages/${encodeURIComponent(id)}${query}`).catch((error) => error);
  // Another message may have been asked for meanwhile.
  if (mine !== asked) return;
  if (found instanceof Error) {
    if (first || found.status !== 0) fill(id, h('p', { class: 'muted' }, found.message), ...(found.status === 0 ? [] : [inGroup(id)]));
  } else {
    fill(id, ...shown(found));
    if (!found.deliveries.some(({ state: each }) => each === 'pending' || each === 'in_flight')) return;
  }
  if (!(found instanceof Error) || found.status === 0) again = setTimeout(() => look(id, group, false), AGAIN);
}

function fill(id, ...content) {
  const section = byId('trace');
  const focused = section.contains(document.activeElement) && document.activeElement !== section;
  const close = h('button', { type: 'button', onclick: hide }, 'Close');
  section.replaceChildren(h('div', { class: 'head' }, h('h2', { id: 'trace-title' }, 'Message ', h('code', {}, id)), close), ...content);
  section.hidden = false;
  if (focused) close.focus();
}

/** Asks for a cluster group, where a message is not found or found several times. */
function inGroup(id) {
  const group = h('input', { 'aria-label': 'Cluster group', placeholder: 'Cluster group', required: true, maxlength: '128', spellcheck: 'false' });
  const submit = (event) => {
    event.preventDefault();
    trace(id, group.value.trim());
  };
  return h('form', { class: 'inline', onsubmit: submit }, group, h('button', {}, 'Look there'));
}

function hide() {
  if (byId('trace').hidden) return;
  clearTimeout(again);
  asked += 1;
  byId('trace').hidden = true;
  byId('message-id').value = '';
  if (location.hash !== '') history.pushState(null, '', location.pathname);
  byId('message-id').focus();
}

function shown(message) {
  const head = [['Peer', ''], ['State', ''], ['Republished', 'number less-important'], ['Settled or tried', ''], ['Reason', '']];
  const rows = message.deliveries.map((delivery) => h('tr', {},
    h('td', { class: 'id' }, delivery.peer),
    h('td', {}, state(delivery.state)),
    h('td', { class: 'number less-important' }, count(delivery.attempts)),
    h('td', {}, delivery.settledAt !== null ? clock(delivery.settledAt) : delivery.lastAttemptAt !== null ? clock(delivery.lastAttemptAt) : DASH),
    h('td', {}, delivery.reason ?? DASH)));
  return [
    h('dl', { class: 'facts' }, ...facts([
      ['Type', message.type],
      ['Key', message.key],
      ['Group', message.clusterGroupId],
      ['Received', `${clock(message.receivedAt)} from ${message.receivedFrom}`],
      ['Path', message.messagePath.join(' → ')],
    ])),
    message.deliveries.length === 0
      ? h('p', { class: 'muted' }, 'It matched no peer: nobody is owed it.')
      : h('div', { class: 'scroll' }, h('table', { 'aria-labelledby': 'trace-title' },
        h('thead', {}, h('tr', {}, ...head.map(([name, look]) => h('th', { scope: 'col', class: look || null }, name)))),
        h('tbody', {}, ...rows))),
  ];
}

/** Traces what the address names, and what is searched for. */
export function startTracing() {
  byId('search').addEventListener('submit', (event) => {
    event.preventDefault();
    const id = byId('message-id').value.trim();
    if (id !== '') trace(id);
  });
  const fromAddress = () => {
    const named = new URLSearchParams(location.hash.slice(1));
    const id = named.get('message');
    if (id) trace(id, named.get('group') ?? undefined);
    else hide();
  };
  addEventListener('popstate', fromAddress);
  fromAddress();
}
