// A real browser with one page, and what the scenes need of it. What goes wrong in the page ends the scene.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import puppeteer from 'puppeteer-core';

/** How long anything may take that must happen, in milliseconds. */
const LIMIT = 120_000;

/** Runs a scene in a page of a browser. `scene(page)` may throw; so does this if anything was wrong in the page. */
export async function inBrowser(origin, scene) {
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Its sandbox wants rights that a container may not give. What it opens here is ours.
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    protocolTimeout: LIMIT,
  });
  const wrong = [];
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(LIMIT);
    page.on('pageerror', (error) => wrong.push(`it threw ${error.message}`));
    page.on('console', (message) => {
      // The browser tells of every answer that is no success; the scenes provoke some.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) wrong.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(origin)) wrong.push(`it asked ${request.url()}`);
    });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
    await page.setViewport({ width: 1280, height: 900 });
    await scene(page, wrong);
    if (wrong.length > 0) throw new Error(wrong.join('\n'));
  } catch (error) {
    error.message += `\n${wrong.join('\n')}`;
    throw error;
  } finally {
    await browser.close();
  }
}

/** Asks again and again until the answer is true. An element that is not there is one not yet. */
export async function eventually(what, look) {
  const end = Date.now() + LIMIT;
  let last;
  while (Date.now() < end) {
    last = await Promise.resolve().then(look).catch((error) => error.message);
    if (last === true) return;
    await new Promise((done) => { setTimeout(done, 50); });
  }
  throw new Error(`waited in vain for ${what}; the last was ${JSON.stringify(last)}`);
}

export const text = (page, selector) => page.$eval(selector, (element) => element.textContent.trim());

/** Waits until an element has this text. */
export const reads = (page, selector, wanted) => eventually(`${selector} to read ${wanted}`, async () => {
  const has = await text(page, selector);
  return has === wanted || has;
});

/** Clicks the button with this text within an element. */
export async function press(page, within, words) {
  await page.waitForSelector(within);
  const found = await page.$$(`${within} button`);
  for (const button of found) {
    if (await button.evaluate((element) => element.textContent.trim()) === words) return button.click();
  }
  throw new Error(`${within} has no button ${words}`);
}

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Has axe-core look at the page as it is. */
export async function assertAccessible(page, when) {
  // It is put in by the driver, so the page's own policy does not apply to it.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join('\n  ')}`);
  if (told.length > 0) throw new Error(`axe-core finds ${when}: ${told.join('\n')}`);
}
