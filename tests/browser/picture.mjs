/**
 * Draws pictures of the viewer for docs/images, with a slice of the demo: similar.png (beside one of its similar cases),
 * figures.png (labels of the nearest patients), series.png (its series beside another), sheet.png (the contact sheet).
 *
 *     node tests/browser/picture.mjs http://localhost:8042 SOPInstanceUID [--case N]
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { openBrowser } from './browser.mjs';
import { reader } from './reader.mjs';

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
const { cy, hasPicture } = reader(page);

async function compare() {
  await cy('cbmir-hit')
    .nth(Number(values.case) - 1)
    .click();
  await hasPicture(0);
  await hasPicture(1);
  await page.locator('.cbmir-viewport-caption').nth(1).waitFor();
  await page.mouse.move(0, 0);
  await page.waitForTimeout(1000);
}

try {
  await page.setViewportSize({ width: 1440, height: 810 });
  await page.goto(`${base}${query.viewerUrl}#find-similar`);
  await compare();
  await shot('similar');
  // Tall enough for the whole section: what is cut off would be painted over.
  await page.setViewportSize({ width: 1440, height: 2600 });
  await page.waitForTimeout(1000);
  await cy('cbmir-statistics').screenshot({ path: path.join(FOLDER, 'figures.png') });
  await page.setViewportSize({ width: 1440, height: 810 });
  const [download] = await Promise.all([page.waitForEvent('download'), cy('cbmir-sheet').click()]);
  await download.saveAs(path.join(FOLDER, 'sheet.png'));
  await cy('cbmir-back').click();
  await cy('cbmir-scope-series').click();
  await cy('cbmir-volume').waitFor();
  await compare();
  await shot('series');
} finally {
  await browser.close();
}
