// Dialogs: asking before something is done, and asking for a token.

import { h } from './dom.js';

/** Shows a dialog and resolves with what `close` was called with, or null. `content(close)` makes what is in it. */
export function show(title, content) {
  return new Promise((done) => {
    const before = document.activeElement;
    const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' });
    let answer = null;
    const close = (given) => {
      answer = given;
      dialog.close();
    };
    dialog.append(h('h2', { id: 'dialog-title' }, title), ...[content(close)].flat());
    dialog.addEventListener('close', () => {
      dialog.remove();
      before?.focus?.();
      done(answer);
    });
    // A click beside it is one on its backdrop.
    dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Asks whether something is meant. Resolves with true or false. */
export async function confirm(title, text, verb, danger = false) {
  const answer = await show(title, (close) => [
    h('p', {}, text),
    h('div', { class: 'buttons' },
      h('button', { type: 'button', onclick: () => close(null), autofocus: danger }, 'Cancel'),
      h('button', { type: 'button', class: danger ? 'danger' : 'first', onclick: () => close(true), autofocus: !danger }, verb)),
  ]);
  return answer === true;
}

/** Asks for an admin token. Resolves with it, or with null. */
export function token(wrong) {
  return show('This relay asks for an admin token', (close) => {
    const input = h('input', { type: 'password', autocomplete: 'off', required: true, spellcheck: 'false' });
    const submit = (event) => {
      event.preventDefault();
      const given = input.value.trim();
      // Nothing else can be sent in a header, and no token has anything else.
      input.setCustomValidity(/^[!-~]+$/.test(given) ? '' : 'A token has letters, digits and signs, without spaces.');
      if (input.reportValidity()) close(given);
    };
    input.addEventListener('input', () => input.setCustomValidity(''));
    return h('form', { onsubmit: submit },
      h('p', {}, wrong ? 'The one that was given is not one of its tokens.'
        : 'It is the value of SLIPSTREAM_ADMIN_TOKEN, or, to look only, of SLIPSTREAM_ADMIN_READ_TOKEN.'),
      h('label', {}, 'Token', input),
      h('p', { class: 'muted' }, 'It is kept until this tab is closed.'),
      h('div', { class: 'buttons' },
        h('button', { type: 'button', onclick: () => close(null) }, 'Cancel'),
        h('button', { class: 'first' }, 'Continue')));
  });
}
