// A relay that asks for a token, and that goes away and comes back. Arguments: its admin URL, the token that may only
// look, the one that may act. It prints `gone?` when the relay is to be stopped, and `back?` when it is to be started.

import assert from 'node:assert/strict';
import { eventually, inBrowser, press, reads, text } from './browser.mjs';

const [origin, look, act] = process.argv.slice(2);

await inBrowser(origin, async (page, wrong) => {
  await page.goto(origin);
  await page.waitForSelector('dialog input');
  await page.keyboard.press('Escape');
  await reads(page, '#ready .text', 'Needs a token');
  await press(page, '#troubles', 'Enter a token');
  await page.waitForSelector('dialog input');
  await page.type('dialog input', 'no tökén');
  await page.keyboard.press('Enter');
  await eventually('the word that it cannot be one', async () => (await page.$eval('dialog input', (input) => input.validationMessage)).startsWith('A token has'));
  await page.$eval('dialog input', (input) => { input.value = ''; });
  await give(page, 'mistyped');
  await eventually('the word that it is wrong', async () => (await text(page, 'dialog')).includes('not one of its tokens'));
  await give(page, look);
  await page.waitForSelector('#ready[data-state="ready"]');

  // Whoever may only look is told so.
  await press(page, 'tr[data-peer="app"]', 'app');
  await press(page, 'dialog[open]', 'Pause');
  await press(page, 'dialog[open]', 'Pause');
  await eventually('the refusal', async () => (await text(page, '#said')).includes('this token lets read, not act'));

  await page.evaluate(() => sessionStorage.clear());
  await page.reload();
  await give(page, act);
  await page.waitForSelector('#ready[data-state="ready"]');
  assert.ok(!(await page.content()).includes(act), 'the token is not on the page');

  console.log('gone?');
  await reads(page, '#ready .text', 'No answer');
  await eventually('the word that it is old', async () => (await text(page, '#troubles')).startsWith('What is shown is old'));
  console.log('back?');
  await reads(page, '#ready .text', 'Ready');
  await eventually('no trouble', async () => await text(page, '#troubles') === '');
  // The browser says itself what it could not load while the relay was away.
  wrong.splice(0, wrong.length, ...wrong.filter((what) => !what.includes('net::ERR_')));
});

async function give(page, token) {
  await page.waitForSelector('dialog input');
  await page.type('dialog input', token);
  await page.keyboard.press('Enter');
  await eventually('the dialog to be gone or another', async () => (await page.$$eval('dialog input', (inputs) => inputs.every(({ value }) => value === ''))));
}
