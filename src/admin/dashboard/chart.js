// A chart of the last hour: one line a series, with what it was where one points.

import { h, setText } from './dom.js';

const [WIDTH_MIN, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [240, 190, 52, 8, 8, 20];
const SPANS = [5, 15, 30, 60];

/** A chart in a figure. Each of `series` has `name`, `of(point)`, a `look` for its colour, and may be `dashed`. */
export class Chart {
  #figure;
  #format;
  #axis;
  #series;
  #points = [];
  #seen = null;
  #svg = h('svg', { role: 'img', tabindex: '0' });
  #when = h('span', { class: 'muted when' });
  #values;

  constructor(figure, { title, format, axis, series }) {
    [this.#figure, this.#format, this.#axis, this.#series] = [figure, format, axis, series];
    this.#values = series.map(() => h('b', {}, ''));
    const keys = series.map(({ name, look, dashed }, index) => h('span', { class: `key ${look}${dashed ? ' dashed' : ''}` },
      h('i', { 'aria-hidden': 'true' }), name, this.#values[index]));
    figure.append(h('figcaption', {}, h('h2', {}, title), ...keys, this.#when), this.#svg);
    this.#svg.addEventListener('pointermove', (event) => this.#point(event.clientX));
    this.#svg.addEventListener('pointerleave', () => this.#see(null));
    this.#svg.addEventListener('blur', () => this.#see(null));
    this.#svg.addEventListener('keydown', (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      this.#see(Math.min(Math.max((this.#seen ?? this.#points.length) + by, 0), this.#points.length - 1));
    });
    new ResizeObserver(() => this.#draw()).observe(this.#svg);
  }

  /** Shows these points, each with `time` in milliseconds, the oldest first. */
  show(points) {
    this.#points = points;
    if (this.#seen !== null && this.#seen >= points.length) this.#seen = null;
    this.#draw();
  }

  #place() {
    const width = Math.max(this.#svg.clientWidth, WIDTH_MIN);
    const last = this.#points.at(-1)?.time ?? 0;
    const minutes = (last - (this.#points[0]?.time ?? last)) / 60_000;
    const span = SPANS.find((each) => minutes <= each) ?? SPANS.at(-1);
    const values = this.#points.flatMap((point) => this.#series.map(({ of }) => of(point) ?? 0));
    const top = ceiling(Math.max(...values, 0));
    return {
      width, span, top,
      x: (time) => width - RIGHT - ((last - time) / (span * 60_000)) * (width - LEFT - RIGHT),
      y: (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM),
    };
  }

  #draw() {
    const place = this.#place();
    const { width, span, top, x, y } = place;
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      const at = y(top * share);
      parts.push(h('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: at, y2: at }));
      parts.push(h('text', { x: LEFT - 8, y: at + 4, 'text-anchor': 'end' }, this.#axis(top * share)));
    }
    parts.push(h('text', { x: LEFT, y: HEIGHT - 4 }, `${span} min ago`));
    parts.push(h('text', { x: width - RIGHT, y: HEIGHT - 4, 'text-anchor': 'end' }, 'now'));
    this.#series.forEach(({ of, look, dashed }, index) => {
      const runs = runsOf(this.#points, of).map((run) => run.map(({ time, value }) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`));
      for (const run of runs) {
        if (index === 0) {
          const [from, to] = [run[0].split(',')[0], run.at(-1).split(',')[0]];
          parts.push(h('path', { class: `area ${look}`, d: `M${from},${y(0)}L${run.join('L')}L${to},${y(0)}Z` }));
        }
        const [cx, cy] = run[0].split(',');
        parts.push(run.length === 1
          ? h('circle', { class: `dot ${look}`, cx, cy, r: 3 })
          : h('path', { class: `curve ${look}${dashed ? ' dashed' : ''}`, d: `M${run.join('L')}` }));
      }
    });
    if (this.#seen !== null) parts.push(...this.#cursor(place));
    this.#svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    this.#svg.replaceChildren(...parts);
    this.#tell();
  }

  #cursor({ x, y }) {
    const point = this.#points[this.#seen];
    const at = x(point.time);
    const dots = this.#series.filter(({ of }) => of(point) !== null)
      .map(({ of, look }) => h('circle', { class: `dot ${look}`, cx: at, cy: y(of(point)), r: 4.5 }));
    return [h('line', { class: 'cursor', x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }), ...dots];
  }

  /** The values in words: those that one points at, or the newest. */
  #tell() {
    const point = this.#points[this.#seen ?? this.#points.length - 1];
    const values = this.#series.map(({ of }) => this.#format(point === undefined ? null : of(point)));
    values.forEach((value, index) => setText(this.#values[index], value));
    const when = point === undefined ? 'waiting for the first 5 seconds' : new Date(point.time).toLocaleTimeString('en-GB');
    setText(this.#when, this.#seen === null && point !== undefined ? '' : when);
    const told = this.#series.map(({ name }, index) => `${name} ${values[index]}`).join(', ');
    this.#svg.setAttribute('aria-label', `${this.#figure.querySelector('h2').textContent}, ${when}: ${told}. Arrow keys go back in time.`);
  }

  #point(clientX) {
    if (this.#points.length === 0) return;
    const { x } = this.#place();
    const at = clientX - this.#svg.getBoundingClientRect().left;
    const distance = (point) => Math.abs(x(point.time) - at);
    this.#see(this.#points.reduce((best, point, index) => (distance(point) < distance(this.#points[best]) ? index : best), 0));
  }

  #see(index) {
    if (this.#points.length === 0 || this.#seen === index) return;
    this.#seen = index;
    this.#draw();
  }
}

/** Neighbouring points that have a value. */
function runsOf(points, of) {
  const runs = [[]];
  for (const point of points) {
    const value = of(point);
    if (value !== null) runs.at(-1).push({ time: point.time, value });
    else if (runs.at(-1).length > 0) runs.push([]);
  }
  return runs.filter((run) => run.length > 0);
}

/** A round number that is not exceeded. */
function ceiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * power).find((round) => round >= value * 1.001) ?? 20 * power;
}
