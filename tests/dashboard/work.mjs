// The work of an operator in the dashboard while traffic runs: figures, a trace, a redrive, a pause, and pictures.
// Arguments: the relay's admin URL, the id of a message, a folder for the pictures.

import assert from 'node:assert/strict';
import { assertAccessible, eventually, inBrowser, press, reads, text } from './browser.mjs';

const [origin, message, pictures] = process.argv.slice(2);
const ask = async (path) => (await fetch(`${origin}${path}`)).json();
const number = (words) => Number(words.replaceAll(',', ''));
const row = (peer) => `tr[data-peer="${peer}"]`;
const cell = (page, peer, column) => text(page, `${row(peer)} td:nth-child(${column})`);
const figure = (page, index) => text(page, `#figures > div:nth-child(${index}) dd span`);

await inBrowser(origin, async (page) => {
  const answer = await page.goto(origin);
  const policy = answer.headers()['content-security-policy'];
  assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
  await page.waitForSelector('#ready[data-state="ready"]');
  await trueFigures(page);
  await theTrace(page);
  await assertAccessible(page, 'on the page with a trace');
  await byKeyboard(page);
  await theWorkbench(page);
  await thePause(page);
  await thePictures(page);
});

/** The figures of the page are those of the API, while they change. */
async function trueFigures(page) {
  await reads(page, '#relay', 'relay-here');
  await reads(page, '#guarantee', 'A confirmed message survives a killed process, a crashed machine and a power cut.');
  for (const [peer, state] of [['billing', 'up'], ['away', 'down']]) await reads(page, `${row(peer)} td:first-child`, state);
  // What `away` is owed only grows: the page shows no less than the API has told before, and no more than it tells after.
  await eventually('the backlog that the API tells', async () => {
    const before = (await ask('/api/v1/peers/away')).backlog;
    const shown = number(await cell(page, 'away', 4));
    const after = (await ask('/api/v1/peers/away')).backlog;
    return (before > 0 && shown >= before && shown <= after) || [before, shown, after];
  });
  // The rates are those at which the counts grow.
  const look = async () => ({ at: performance.now(), ...await ask('/api/v1/status') });
  await eventually('the rate at which messages come in', async () => {
    const before = await look();
    await eventually('some messages', async () => (await look()).received >= before.received + 100);
    const [shown, after] = [number(await figure(page, 1)), await look()];
    const rate = (1000 * (after.received - before.received)) / (after.at - before.at);
    return (shown > rate / 2 && shown < rate * 2) || [shown, rate];
  });
  await eventually('the rate of a sender', async () => number(await cell(page, 'shop', 7)) > 0);
  await eventually('the rate of a recipient', async () => number(await cell(page, 'billing', 8)) > 0);
  await eventually('the chart', async () => (await page.$$('#throughput .curve')).length === 2 && (await page.$$('#latency .curve')).length >= 2);
  assert.equal(await figure(page, 5), '3', 'dead letters');
  const mesh = await page.$eval('#mesh svg', (svg) => svg.getAttribute('aria-label'));
  assert.match(mesh, /away down/);
  assert.match(mesh, /billing up/);
}

async function theTrace(page) {
  await page.type('#message-id', 'no-such-message');
  await page.keyboard.press('Enter');
  await eventually('the words of the API', async () => (await text(page, '#trace')).includes('nothing is known of a message no-such-message'));
  await page.$eval('#message-id', (input) => { input.value = ''; });
  await page.type('#message-id', message);
  await press(page, '#search', 'Trace');
  const state = (peer) => page.$$eval('#trace tbody tr', (rows, id) => rows.find((each) => each.children[0].textContent === id)?.children[1].textContent, peer);
  await eventually('the acknowledged delivery', async () => await state('billing') === 'acknowledged');
  assert.equal(await state('away'), 'pending');
  assert.equal(new URL(page.url()).hash, `#message=${message}`, 'a trace has an address');
  await page.reload();
  await eventually('the same trace after a reload', async () => await state('away') === 'pending');
}

/** From the top of the page, with nothing but keys. */
async function byKeyboard(page) {
  await press(page, '#trace', 'Close');
  await page.evaluate(() => { document.activeElement.blur(); });
  const focused = () => page.evaluate(() => document.activeElement?.textContent.trim() || document.activeElement?.id);
  const tabTo = async (words) => {
    for (let tabs = 0; await focused() !== words; tabs += 1) {
      assert.ok(tabs < 60, `Tab never comes to ${words}; the last was ${await focused()}`);
      await page.keyboard.press('Tab');
    }
  };
  await tabTo('message-id');
  await tabTo('Backlog');
  await page.keyboard.press('Enter');
  assert.equal(await page.$eval('th[aria-sort="descending"]', (head) => head.textContent), 'Backlog');
  await eventually('the most owed first', async () => await text(page, '#peers tbody tr:first-child td:nth-child(2)') === 'away');
  await tabTo('billing');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open]');
  await assertAccessible(page, 'in the dialog of a peer');
  await page.keyboard.press('Escape');
  await eventually('the dialog to be gone', async () => await page.$('dialog') === null);
  assert.equal(await focused(), 'billing', 'whoever works by keyboard is where they were');
}

async function theWorkbench(page) {
  const group = '[data-group="warehouse rejected"]';
  await press(page, group, 'warehouse');
  await page.waitForSelector(`${group} + tr.inner table`);
  await press(page, `${group} + tr.inner tbody tr`, 'Message');
  await page.waitForSelector('tr.inner pre');
  const shown = await text(page, 'tr.inner pre');
  assert.match(shown, /"value": 12345678901234567890\.10/, 'digit by digit');
  assert.match(shown, /"reason": "rejected: not today"/);
  await assertAccessible(page, 'with dead letters');
  await press(page, `${group} + tr.inner tbody tr`, 'Redrive');
  await press(page, 'dialog[open]', 'Cancel');
  await press(page, `${group} + tr.inner tbody tr`, 'Redrive');
  await press(page, 'dialog[open]', 'Redrive');
  await reads(page, `${group} td:nth-child(3)`, '2');
  // The page has had several pictures with two.
  const since = (await ask('/api/v1/status')).uptimeSeconds;
  await eventually('some pictures', async () => (await ask('/api/v1/status')).uptimeSeconds > since + 5);
  await press(page, group, 'Redrive');
  await press(page, 'dialog[open]', 'Redrive');
  // The warehouse refuses both again once it is told that the page shows none, so soon that their count seems the same.
  await eventually('the word that nothing was given up', async () => (await text(page, '#dead')).startsWith('Nothing was given up.'));
  await fetch(`${origin}/api/v1/peers/refuse-them`, { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: '{"tags":["none"]}' });
  await reads(page, `${group} td:nth-child(3)`, '2');
  await press(page, group, 'Redrive');
  await press(page, 'dialog[open]', 'Redrive');
  await eventually('the word that nothing was given up', async () => (await text(page, '#dead')).startsWith('Nothing was given up.'));
  await reads(page, '#figures > div:nth-child(5) dd span', '0');
}

async function thePause(page) {
  await press(page, row('billing'), 'billing');
  await press(page, 'dialog[open]', 'Pause');
  await press(page, 'dialog[open]', 'Pause');
  await reads(page, `${row('billing')} td:first-child`, 'paused, up');
  assert.equal((await ask('/api/v1/peers/billing')).paused, true);
  await press(page, row('billing'), 'billing');
  await press(page, 'dialog[open]', 'Resume');
  await reads(page, `${row('billing')} td:first-child`, 'up');
}

async function thePictures(page) {
  for (const [name, width, height, scheme] of [['light', 1280, 900, 'light'], ['dark', 1280, 900, 'dark'], ['phone', 390, 844, 'light']]) {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    await page.setViewport({ width, height, deviceScaleFactor: 2, isMobile: name === 'phone', hasTouch: name === 'phone' });
    await page.waitForSelector('#ready[data-state="ready"]');
    await eventually('a rate', async () => number(await figure(page, 1)) > 0);
    await assertAccessible(page, `as it looks ${name}`);
    const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(tooWide, 0, `nothing scrolls the page sideways as it looks ${name}`);
    await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
  }
  await press(page, 'body', '◐');
  assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), 'dark', 'the button switches');
}
