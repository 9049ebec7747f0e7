// The dashboard: asks the relay for a picture every second, and hands it to those who show a part of it.

import { askAgain, call, tokensFrom, watch } from './api.js';
import { Chart } from './chart.js';
import { showDeadLetters } from './dead_letters.js';
import { token } from './dialog.js';
import { byId, facts, h, setAttribute, setText } from './dom.js';
import { ago, bytes, count, latency, rate, short } from './format.js';
import { showMesh } from './mesh.js';
import { showPeers } from './peers.js';
import { Rates } from './rates.js';
import { startTracing } from './trace.js';

/** Most points of a chart: an hour of them. */
const MOST_POINTS = 720;

const throughput = new Chart(byId('throughput'), {
  title: 'Messages a second',
  format: rate,
  axis: short,
  series: [
    { name: 'received', look: 'one', of: (point) => point.receivedPerSecond },
    { name: 'delivered', look: 'two-of', of: (point) => point.deliveredPerSecond },
  ],
});

const latencies = new Chart(byId('latency'), {
  title: 'Latency',
  format: latency,
  axis: (seconds) => latency(Number(seconds.toPrecision(3))),
  series: [
    { name: 'confirm p99', look: 'one', of: (point) => point.confirm?.p99 ?? null },
    { name: 'delivery p99', look: 'two-of', of: (point) => point.delivery?.p99 ?? null },
    { name: 'delivery p50', look: 'three-of', dashed: true, of: (point) => point.delivery?.p50 ?? null },
  ],
});

let points = [];

function addPoints(more) {
  const newest = points.at(-1)?.time ?? 0;
  const fresh = more.map((point) => ({ ...point, time: Date.parse(point.at) })).filter((point) => point.time > newest);
  if (fresh.length === 0 && points.length > 0) return;
  points = [...points, ...fresh].slice(-MOST_POINTS);
  throughput.show(points);
  latencies.show(points);
}

const flow = new Rates();

const FIGURES = [
  ['Received', () => [rate(flow.of('received')), '/s']],
  ['Delivered', () => [rate(flow.of('delivered')), '/s']],
  ['Backlog', ({ status }) => [count(status.backlog), '']],
  ['Oldest owed', ({ peers }) => [ago(peers.reduce((most, { oldestAgeSeconds: age }) => (age === null ? most : Math.max(most ?? 0, age)), null)), '']],
  ['Dead letters', ({ status }) => [count(status.deadLetters), '']],
  ['Confirm p99', ({ point }) => [latency(point?.confirm?.p99), '']],
];

const figures = FIGURES.map(([name]) => {
  const [value, unit] = [h('span'), h('small')];
  const box = h('div', {}, h('dt', {}, name), h('dd', {}, value, ' ', unit));
  byId('figures').append(box);
  return { box, value, unit };
});

function showFigures(picture) {
  FIGURES.forEach(([, of], index) => {
    const [value, unit] = of(picture);
    setText(figures[index].value, value);
    setText(figures[index].unit, unit);
  });
  figures[4].box.classList.toggle('worry', picture.status.deadLetters > 0);
}

function showReady(state, text) {
  const pill = byId('ready');
  setAttribute(pill, 'data-state', state);
  setText(pill.querySelector('.text'), text);
}

/** What is wrong now, one line each. They are changed only where they are others, since they are read out. */
function showTroubles(troubles) {
  const place = byId('troubles');
  const drawn = JSON.stringify(troubles);
  if (place.dataset.drawn === drawn) return;
  place.dataset.drawn = drawn;
  place.replaceChildren(...troubles.map(([text, minor]) => h('p', { class: minor ? 'trouble minor' : 'trouble' }, text)));
}

function showRelay({ status }) {
  setText(byId('relay'), status.instanceId);
  setText(byId('version'), `Slipstream ${status.version}, up ${ago(status.uptimeSeconds)}`);
  document.title = `${status.ready ? '' : '⚠ '}${status.instanceId} – Slipstream`;
  if (!status.ready) showReady('not-ready', 'Not ready');
  else if (status.degraded.length > 0) showReady('degraded', 'Ready, degraded');
  else showReady('ready', 'Ready');
  showTroubles([
    ...status.reasons.map((reason) => [`Takes no messages: ${reason}`, false]),
    ...status.degraded.map((reason) => [`Degraded: ${reason}.`, true]),
    ...status.openCircuits.map((peer) => [`${peer} does not answer; it is dialled once a minute until it does. What it is owed is kept.`, true]),
  ]);
  const { store } = status;
  const guarantee = store.guarantee.charAt(0).toUpperCase() + store.guarantee.slice(1);
  setText(byId('guarantee'), guarantee.endsWith('.') ? guarantee : `${guarantee}.`);
  const told = [
    ['Store', store.engine],
    ['Durability', store.durability],
    ['Size', bytes(store.bytes)],
    ['Free', bytes(store.freeBytes)],
    ['Path', store.path],
    ['Links', status.listen ?? 'off: this relay only dials'],
  ];
  const drawn = JSON.stringify(told);
  if (byId('store').dataset.drawn === drawn) return;
  byId('store').dataset.drawn = drawn;
  byId('store').replaceChildren(...facts(told));
}

/** For how long nothing may be shown until the history is asked for anew, in seconds. */
const GAP = 10;

let behind = true;
let shownAt = 0;

function show(picture) {
  const { status, peers, point } = picture;
  behind ||= Math.abs(status.uptimeSeconds - shownAt) > GAP;
  shownAt = status.uptimeSeconds;
  if (behind) {
    behind = false;
    points = [];
    call('GET', '/api/v1/history').then(({ points: hour }) => addPoints(hour)).catch(() => { behind = true; });
  } else if (point !== null) {
    addPoints([point]);
  }
  flow.look(status.uptimeSeconds, new Map([['received', status.received], ['delivered', status.delivered]]));
  showRelay(picture);
  showFigures(picture);
  showMesh(byId('mesh'), status.instanceId, peers, status.peers.up + status.peers.down);
  showPeers(picture);
  showDeadLetters(picture);
}

function trouble(refused) {
  if (refused === null) return;
  behind = true;
  const [state, word, text] = {
    401: ['pending', 'Needs a token', 'This relay asks for an admin token.'],
    503: ['pending', 'Not yet', `Nothing new to show: ${refused.message}.`],
  }[refused.status] ?? ['not-ready', 'No answer', `What is shown is old: ${refused.message}. Trying again.`];
  showReady(state, word);
  showTroubles([[text, state === 'pending']]);
  document.title = `⚠ ${byId('relay').textContent} – ${word}`;
  if (refused.status === 401 && byId('troubles').querySelector('button') === null) {
    byId('troubles').firstElementChild.append(' ', h('button', { type: 'button', onclick: askAgain }, 'Enter a token'));
  }
}

byId('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const dark = root.dataset.theme === undefined ? matchMedia('(prefers-color-scheme: dark)').matches : root.dataset.theme === 'dark';
  root.dataset.theme = dark ? 'light' : 'dark';
  localStorage.setItem('slipstream-theme', root.dataset.theme);
});
const theme = localStorage.getItem('slipstream-theme');
if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;

tokensFrom(token);
startTracing();
watch(show, trouble);
