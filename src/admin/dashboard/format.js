// Numbers, times and sizes as texts.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const DASH = '–';

export const count = (number) => (number === null || number === undefined ? DASH : whole.format(number));

/** So many a second. */
export function rate(number) {
  if (number === null || number === undefined) return DASH;
  return number > 0 && number < 9.95 ? tenth.format(number) : whole.format(number);
}

/** A rate as short as an axis wants it. */
export function short(number) {
  if (number >= 1e6) return `${trimmed(number / 1e6)}M`;
  if (number >= 1e3) return `${trimmed(number / 1e3)}k`;
  return trimmed(number);
}

/** A number with so many digits that say something. */
function trimmed(number, digits = 3) {
  return String(Number(number.toPrecision(digits)));
}

/** How long something took: 340 µs, 2.1 ms, 1.4 s. */
export function latency(seconds) {
  if (seconds === null || seconds === undefined) return DASH;
  if (seconds === 0) return '0';
  if (seconds < 0.001) return `${measured(seconds * 1e6)} µs`;
  if (seconds < 1) return `${measured(seconds * 1e3)} ms`;
  return seconds < 100 ? `${measured(seconds)} s` : ago(seconds);
}

const measured = (number) => trimmed(number, number < 10 ? 2 : 3);

/** How old something is: 4 s, 12 min, 3 h 5 min, 2 d. */
export function ago(seconds) {
  if (seconds === null || seconds === undefined) return DASH;
  const all = Math.max(0, Math.floor(seconds));
  if (all < 60) return `${all} s`;
  if (all < 3600) return `${Math.floor(all / 60)} min`;
  const [days, hours, minutes] = [Math.floor(all / 86400), Math.floor(all / 3600) % 24, Math.floor(all / 60) % 60];
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`;
  return minutes > 0 ? `${hours} h ${minutes} min` : `${hours} h`;
}

export function bytes(number) {
  if (number === null || number === undefined) return DASH;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit === 0 || number >= 100 ? whole.format(number) : tenth.format(number)} ${units[unit]}`;
}

/** A time of day here; with the day where that is another. */
export function clock(text) {
  const at = new Date(text);
  const time = at.toLocaleTimeString('en-GB');
  return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString('en-CA')} ${time}`;
}

/** A text of JSON, indented. All that is in it stays as it is. */
export function indented(json) {
  let [text, depth] = ['', 0];
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g)) {
    const closes = token === '}' || token === ']';
    if (closes) depth -= 1;
    if (closes && !/[[{]$/.test(text)) text += `\n${'  '.repeat(depth)}`;
    else if (!closes && (text.endsWith(',') || /[[{]$/.test(text))) text += `\n${'  '.repeat(depth)}`;
    text += token === ':' ? ': ' : token;
    if (token === '{' || token === '[') depth += 1;
  }
  return text;
}

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
