// A picture of the mesh as this relay sees it: applications on the left, relays on the right, itself between them.

import { h } from './dom.js';
import { count } from './format.js';
import { statusOf } from './peers.js';

/** Most peers on either side. What is more is told as a number. */
const MOST = 8;
const [ROW, TOP] = [46, 34];

/** For how many seconds a delivery is just on its way. */
const ON_ITS_WAY = 2;

/** What was shown last, for when the place is resized. */
let last = null;

/** Shows the picture, if it is another than before. */
export function showMesh(place, own, peers, total) {
  if (last === null) new ResizeObserver(() => showMesh(place, ...last)).observe(place);
  last = [own, peers, total];
  const relays = peers.filter((peer) => peer.kind === 'relay');
  const applications = peers.filter((peer) => peer.kind !== 'relay');
  const left = side(applications, total - peers.length);
  const right = side(relays, 0);
  const all = [...left.shown, ...right.shown];
  const room = roomIn(place.clientWidth);
  const drawn = JSON.stringify([own, room.width, left.more, right.more, all.map((peer) => [peer.id, statusOf(peer), isBehind(peer) && peer.backlog])]);
  if (place.dataset.drawn === drawn) return;
  place.dataset.drawn = drawn;

  const rows = Math.max(left.shown.length + (left.more > 0), right.shown.length + (right.more > 0), 3);
  const middle = { x: room.width / 2, y: TOP + (rows * ROW) / 2 };
  const none = (text, x, anchor) => h('text', { class: 'less', x, y: middle.y + 4, 'text-anchor': anchor }, text);
  const told = all.map((peer) => `${peer.id} ${statusOf(peer).replaceAll('_', ' ')}`).join(', ') || 'no peers';
  place.replaceChildren(h('svg', { viewBox: `0 0 ${room.width} ${TOP + rows * ROW + 6}`, role: 'img', 'aria-label': `The mesh around ${own}: ${told}` },
    h('text', { class: 'less', x: room.words, y: 18, 'text-anchor': 'end' }, 'Applications'),
    h('text', { class: 'less', x: room.width - room.words, y: 18 }, 'Relays'),
    ...column(left, rows, middle, room, false),
    ...column(right, rows, middle, room, true),
    applications.length === 0 ? none('none yet', room.words, 'end') : null,
    relays.length === 0 ? none('none', room.width - room.words, 'start') : null,
    ...here(own, middle, room)));
}

/** This relay, with its name in it or, where there is no room, above it. */
function here(own, { x, y }, { width, half, narrow }) {
  const name = (className, at, room) => h('text', { class: className, x, y: at, 'text-anchor': 'middle' }, cut(own, room), h('title', {}, own));
  const box = h('rect', { class: 'shape', x: x - half, y: y - 24, width: 2 * half, height: 48, rx: 12 });
  return narrow
    ? [h('g', { class: 'here' }, box), name(null, 18, width - 170)]
    : [h('g', { class: 'here' }, box, name(null, y + 5, 2 * half - 16))];
}

/** How wide the parts of the picture are: the words of a side, half of the relay in the middle. */
function roomIn(wide) {
  const width = Math.max(Math.round(wide), 280);
  const narrow = width < 480;
  return narrow ? { width, narrow, words: width * 0.32, half: 20 } : { width, narrow, words: Math.min(width * 0.25, 180), half: Math.min(width * 0.11, 80) };
}

/** Those of one side that are shown: the ones that are owed most if there are too many. */
function side(peers, others) {
  if (peers.length + (others > 0) <= MOST) return { shown: peers, more: others };
  const most = [...peers].sort((one, other) => other.backlog - one.backlog).slice(0, MOST - 1);
  return { shown: most.sort((one, other) => (one.id < other.id ? -1 : 1)), more: peers.length - most.length + others };
}

function column({ shown, more }, rows, middle, { width, words, half, narrow }, toTheRight) {
  const taken = shown.length + (more > 0);
  const y = (index) => TOP + ROW * (index + (rows - taken) / 2) + ROW / 2;
  const out = toTheRight ? 1 : -1;
  const [edge, anchor] = toTheRight ? [width - words, 'start'] : [words, 'end'];
  const [x, from] = [edge - out * 20, middle.x + out * half];
  const parts = shown.map((peer, index) => {
    const status = statusOf(peer);
    const more = below(peer, status, narrow);
    const bend = (from + x) / 2;
    return h('g', { class: status },
      h('path', { class: `line ${status}`, d: `M${from},${middle.y}C${bend},${middle.y} ${bend},${y(index)} ${x - out * 9},${y(index)}` }),
      toTheRight
        ? h('rect', { class: 'shape', x: x - 9, y: y(index) - 9, width: 18, height: 18, rx: 4 })
        : h('circle', { class: 'shape', cx: x, cy: y(index), r: 8 }),
      h('text', { x: edge, y: y(index) + (more === '' ? 5 : -2), 'text-anchor': anchor }, cut(peer.id, words), h('title', {}, peer.id)),
      more === '' ? null : h('text', { class: isBehind(peer) ? 'less owed' : 'less', x: edge, y: y(index) + 13, 'text-anchor': anchor }, more));
  });
  if (more > 0) parts.push(h('text', { class: 'less', x: edge, y: y(shown.length) + 4, 'text-anchor': anchor }, `and ${count(more)} more`));
  return parts;
}

function below(peer, status, narrow) {
  const owed = isBehind(peer) ? `${count(peer.backlog)} owed` : '';
  const word = status === 'up' || (narrow && owed !== '') ? '' : status.replaceAll('_', ' ');
  return [word, owed].filter(Boolean).join(', ');
}

/** Whether a peer is owed more than what is just on its way. */
const isBehind = (peer) => peer.backlog > 0 && (peer.link !== 'up' || peer.paused || peer.oldestAgeSeconds >= ON_ITS_WAY);

/** As much of a text as fits. */
function cut(text, width) {
  const most = Math.floor(width / 8);
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
