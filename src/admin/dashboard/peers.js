// The table of peers, and what can be done with each.

import { call } from './api.js';
import { confirm, show } from './dialog.js';
import { byId, empty, facts, h, say, setAttribute, setText, state } from './dom.js';
import { ago, clock, count, DASH, plural, rate } from './format.js';
import { Rates } from './rates.js';

/** From how many peers on there is a filter. */
const MANY = 8;

/** How a peer stands, in one word. */
export function statusOf(peer) {
  return peer.paused ? 'paused' : peer.link;
}

/** What the word means beside it. */
function wordOf(peer) {
  const link = peer.link.replaceAll('_', ' ');
  return peer.paused ? `paused, ${link}` : link;
}

const received = new Rates();
const delivered = new Rates();

const COLUMNS = [
  { name: 'State', by: (peer) => statusOf(peer) },
  { name: 'Peer', by: (peer) => peer.id },
  { name: 'Kind', by: (peer) => peer.kind, less: true },
  { name: 'Backlog', by: (peer) => peer.backlog, number: true, text: (peer) => count(peer.backlog) },
  { name: 'Oldest', by: (peer) => peer.oldestAgeSeconds ?? -1, number: true, text: (peer) => ago(peer.oldestAgeSeconds) },
  { name: 'In flight', by: (peer) => peer.inFlight, number: true, less: true, text: (peer) => count(peer.inFlight) },
  { name: 'Sends /s', by: (peer) => received.of(peer.id) ?? -1, number: true, less: true, text: (peer) => rate(received.of(peer.id)) },
  { name: 'Gets /s', by: (peer) => delivered.of(peer.id) ?? -1, number: true, less: true, text: (peer) => rate(delivered.of(peer.id)) },
  { name: 'Dead', by: (peer) => peer.deadLetters ?? 0, number: true, text: (peer) => count(peer.deadLetters) },
  { name: 'Tags', by: (peer) => peer.tags.join(' '), less: true },
];

let [sortedBy, ascending] = [1, true];
let table = null;
const rows = new Map();
let newest = { peers: [], total: 0, listen: null };

/** Shows the peers of a picture. `at` is the relay's own time in seconds. */
export function showPeers({ status, peers }) {
  const at = status.uptimeSeconds;
  received.look(at, new Map(peers.map((peer) => [peer.id, peer.received])));
  delivered.look(at, new Map(peers.map((peer) => [peer.id, peer.delivered])));
  newest = { peers, total: status.peers.up + status.peers.down, listen: status.listen };
  render();
}

function render() {
  const { total, listen } = newest;
  const peers = withWanted(newest.peers, total);
  const place = byId('peers');
  setText(byId('peers-count'), total > peers.length
    ? `${count(newest.peers.length)} of ${count(total)}: all relays, and those that are owed most` : plural(total, 'peer'));
  const filter = byId('peers-filter');
  filter.hidden = peers.length < MANY && filter.value === '';
  if (peers.length === 0) {
    table = null;
    rows.clear();
    if (place.querySelector('.empty') === null) {
      const url = listen ?? 'URL';
      place.replaceChildren(empty('No peer has linked yet.', 'In a terminal: ', h('code', {}, `slipstream listen --to ${url} --id app-1`)));
    }
    return;
  }
  table ??= makeTable(place);
  const wanted = filter.value.trim().toLowerCase();
  const fits = (peer) => wanted === '' || [peer.id, ...peer.tags].some((text) => text.toLowerCase().includes(wanted));
  const shown = peers.filter(fits).sort(inOrder);
  const ids = new Set(shown.map((peer) => peer.id));
  for (const [id, row] of rows) {
    if (!ids.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  shown.forEach((peer, index) => {
    const row = rows.get(peer.id) ?? makeRow(peer.id);
    fill(row, peer);
    if (table.body.children[index] !== row) table.body.insertBefore(row, table.body.children[index] ?? null);
  });
  setText(table.nothing, total > peers.length ? 'None of these fits. The whole id finds any other.' : 'No peer fits the filter.');
  table.nothing.hidden = shown.length > 0;
}

/** A peer that was looked for by its id, and is not among those that are shown. */
let outside = { id: '', at: 0, peer: null };

/** The peers, and the one whose whole id stands in the filter, where there are more than are shown. */
function withWanted(peers, total) {
  const id = byId('peers-filter').value.trim();
  if (total <= peers.length || id === '' || peers.some((peer) => peer.id === id)) return peers;
  const now = performance.now();
  if (outside.id !== id || now - outside.at > 1000) {
    const mine = { id, at: now, peer: outside.id === id ? outside.peer : null };
    outside = mine;
    call('GET', `/api/v1/peers/${encodeURIComponent(id)}`).then((peer) => { mine.peer = peer; }, () => { mine.peer = null; }).then(() => { if (outside === mine) render(); });
  }
  return outside.peer === null ? peers : [...peers, outside.peer];
}

function inOrder(one, other) {
  const { by } = COLUMNS[sortedBy];
  const [a, b] = [by(one), by(other)];
  const order = a < b ? -1 : a > b ? 1 : 0;
  // Those that are equal stand in the order of their ids.
  return (ascending ? order : -order) || (one.id < other.id ? -1 : 1);
}

function classes({ number, less }) {
  return [number && 'number', less && 'less-important'].filter(Boolean).join(' ') || null;
}

function makeTable(place) {
  const heads = COLUMNS.map((column, index) => h('th', { scope: 'col', class: classes(column) },
    h('button', { type: 'button', onclick: () => sortBy(index) }, column.name)));
  const body = h('tbody');
  const nothing = h('p', { class: 'muted', hidden: true }, 'No peer fits the filter.');
  place.replaceChildren(h('div', { class: 'scroll' }, h('table', { 'aria-labelledby': 'peers-title' }, h('thead', {}, h('tr', {}, ...heads)), body), nothing));
  const made = { body, heads, nothing };
  markSorted(made);
  return made;
}

function sortBy(index) {
  ascending = sortedBy === index ? !ascending : !COLUMNS[index].number;
  sortedBy = index;
  markSorted(table);
  render();
}

function markSorted({ heads }) {
  heads.forEach((head, index) => setAttribute(head, 'aria-sort', index !== sortedBy ? 'none' : ascending ? 'ascending' : 'descending'));
}

function makeRow(id) {
  const cells = COLUMNS.map((column) => h('td', { class: classes(column) }));
  cells[1].append(h('button', { type: 'button', class: 'link id', onclick: () => open(id), 'aria-haspopup': 'dialog' }, id));
  const row = h('tr', { 'data-peer': id }, ...cells);
  rows.set(id, row);
  return row;
}

function fill(row, peer) {
  const drawn = `${statusOf(peer)} ${wordOf(peer)}`;
  const [stateCell, , kind] = row.children;
  if (stateCell.dataset.drawn !== drawn) {
    stateCell.dataset.drawn = drawn;
    stateCell.replaceChildren(state(statusOf(peer), wordOf(peer)));
  }
  setText(kind, peer.kind);
  COLUMNS.forEach(({ text }, index) => {
    if (text === undefined) return;
    const cell = row.children[index];
    const words = text(peer);
    setText(cell, words);
    cell.classList.toggle('zero', words === '0' || words === DASH);
  });
  const tags = row.lastElementChild;
  if (tags.dataset.drawn !== peer.tags.join(' ')) {
    tags.dataset.drawn = peer.tags.join(' ');
    tags.replaceChildren(...peer.tags.map((tag) => h('span', { class: 'tag' }, tag)));
  }
}

/** All that is known of one peer, and what can be done. */
async function open(id) {
  const peer = [...newest.peers, outside.peer].find((each) => each?.id === id);
  if (peer === undefined) return;
  const chosen = await show(id, (close) => [
    state(statusOf(peer), wordOf(peer)),
    h('dl', { class: 'facts' }, ...facts([
      ['Kind', `${peer.kind}${peer.configured ? ', configured' : ''}${peer.durable ? '' : ', not remembered while it is away'}`],
      ['Dialled as', peer.alias],
      ['Address', peer.address],
      ['Group', peer.clusterGroupId],
      ['Tags', peer.tags.length === 0 ? 'none' : peer.tags.join(', ')],
      ['Backlog', count(peer.backlog)],
      ['Oldest', ago(peer.oldestAgeSeconds)],
      ['In flight', count(peer.inFlight)],
      ['Republished', count(peer.republishes)],
      ['Dead letters', count(peer.deadLetters)],
      ['Last seen', clock(peer.lastSeenAt)],
      ['Last dial failed', peer.lastError],
    ])),
    h('div', { class: 'buttons' },
      h('button', { type: 'button', class: 'danger apart', disabled: peer.link === 'up' || peer.configured, onclick: () => close('forget') }, 'Forget'),
      h('button', { type: 'button', disabled: peer.link !== 'up', onclick: () => close('disconnect') }, 'Disconnect'),
      h('button', { type: 'button', onclick: () => close(peer.paused ? 'resume' : 'pause') }, peer.paused ? 'Resume' : 'Pause'),
      h('button', { type: 'button', class: 'first', onclick: () => close(null), autofocus: true }, 'Close')),
  ]);
  if (chosen !== null) await act(chosen, id);
}

async function act(action, id) {
  const path = `/api/v1/peers/${encodeURIComponent(id)}`;
  try {
    if (action === 'forget') {
      const { backlog } = await call('GET', path);
      const loses = backlog === 0 ? 'It is owed nothing.' : `It is owed ${plural(backlog, 'delivery', 'deliveries')}, which would be gone for good.`;
      if (!await confirm(`Forget ${id}?`, `${loses} Its dead letters stay.`, 'Forget', true)) return;
      const { forgotten } = await call('DELETE', path);
      say(`${id} is forgotten, with ${plural(forgotten, 'delivery', 'deliveries')}.`);
      return;
    }
    if (action === 'pause' && !await confirm(`Pause ${id}?`, 'Nothing is delivered to it until it is resumed, also across restarts. What it is owed is held.', 'Pause')) return;
    if (action === 'disconnect' && !await confirm(`Disconnect ${id}?`, 'Its link ends. It may link again at once.', 'Disconnect')) return;
    await call('POST', `${path}/${action}`);
    say({ pause: `${id} is paused.`, resume: `${id} goes on.`, disconnect: `The link of ${id} has ended.` }[action]);
  } catch (error) {
    say(error.message);
  }
}

byId('peers-filter').addEventListener('input', render);
