// Elements, made and kept up to date.

const SVG = 'http://www.w3.org/2000/svg';
const DRAWN = new Set(['svg', 'g', 'path', 'line', 'circle', 'rect', 'text', 'title']);

/** Makes an element. `on…` attributes are listeners, `null` and `false` ones are left out; children may be texts. */
export function h(name, attributes = {}, ...children) {
  const element = DRAWN.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Sets a text only where it is another, so that nothing is announced or laid out for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute only where it is another. */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A state as its shape and its word. */
export function state(name, word = name.replaceAll('_', ' ')) {
  return h('span', { class: 'state', 'data-state': name }, h('span', { class: 'mark', 'aria-hidden': 'true' }), word);
}

/** Names and values. */
export function facts(entries) {
  return entries.filter(([, value]) => value !== null && value !== undefined)
    .flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]);
}

/** What is shown where there is nothing: what that means, and what to do next. */
export function empty(title, ...next) {
  return h('div', { class: 'empty' }, h('p', {}, h('strong', {}, title)), h('p', {}, ...next));
}

let hiding;

/** Says something for a moment, also to whoever does not see it. */
export function say(text) {
  const toast = byId('said');
  toast.textContent = text;
  toast.classList.add('shown');
  clearTimeout(hiding);
  hiding = setTimeout(() => toast.classList.remove('shown'), 5000);
}
