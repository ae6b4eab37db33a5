/**
 * Draws docs/images/similar.png: a slice of the demo beside one of its similar cases.
 *
 *     node tests/browser/picture.mjs http://localhost:8042 SOPInstanceUID [--case N]
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { contrast, openBrowser, until } from './browser.mjs';

const FOLDER = fileURLToPath(new URL('../../docs/images/', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { case: { type: 'string', default: '1' } },
});
const [base, slice] = positionals;

const response = await fetch(`${base}/cbmir/similar/${slice}`);
assert.equal(response.status, 200, 'the slice can be searched with');
const { query } = await response.json();
const { browser, page, shot } = await openBrowser({ url: base, artefacts: FOLDER });
const isShown = async (/** @type {number} */ n) => ((await contrast(page, n)) ?? 0) > 5;
try {
  await page.setViewportSize({ width: 1440, height: 810 });
  await page.goto(`${base}${query.viewerUrl}#find-similar`);
  await page
    .locator('[data-cy="cbmir-hit"]')
    .nth(Number(values.case) - 1)
    .click();
  await until('both pictures', async () => (await isShown(0)) && (await isShown(1)));
  await page.locator('.cbmir-viewport-caption').nth(1).waitFor();
  await page.mouse.move(0, 0);
  await page.waitForTimeout(1000);
  await shot('similar');
} finally {
  await browser.close();
}
