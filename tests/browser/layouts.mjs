/**
 * Comparing from other layouts and modes than the first one, and back to each of them.
 *
 *     node tests/browser/layouts.mjs http://localhost:8042 [--artefacts FOLDER]
 *
 * Needs a study of two series. Exit code 1 with the reason when a step fails.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { openBrowser, until } from './browser.mjs';
import { assertClean, reader, restOf, steps } from './reader.mjs';

const ARTEFACTS = fileURLToPath(new URL('../../ohif-extension/artefacts/layouts/', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { artefacts: { type: 'string', default: ARTEFACTS } },
});
const base = (positionals[0] ?? 'http://localhost:8042').replace(/\/$/, '');
const studies = await restOf(base)('/studies?expand');
const study = studies.find((/** @type {any} */ one) => one.Series.length > 1);
assert.ok(study, 'the archive needs a study of two series');
const address = `StudyInstanceUIDs=${study.MainDicomTags.StudyInstanceUID}`;

const { browser, page, seen, shot } = await openBrowser({ url: base, ...values });
const { step } = steps(shot);
const { cy, enlarge, hasPicture, scroll, select, series, slices, viewports } = reader(page);
const captions = () => page.locator('.cbmir-viewport-caption').allInnerTexts();

/** @type {[string[], string[]]} */
let before = [[], []];

async function compare() {
  await page.keyboard.press('f');
  await cy('cbmir-hit').first().click();
  await page.locator('.cbmir-viewport-caption').nth(1).waitFor();
  await hasPicture(1);
}

async function goBack() {
  await cy('cbmir-back').click();
  await page.locator('.cbmir-viewport-caption').first().waitFor({ state: 'detached' });
  await until('the layout from before', async () => (await slices()).join() === before[0].join());
  assert.deepEqual(await series(), before[1]);
}

try {
  await step('two-series', async () => {
    await page.goto(`${base}/ohif/viewer?${address}`);
    await hasPicture(0);
    await cy('Layout').first().click();
    await cy('Layout-1-1').first().click();
    await hasPicture(1);
    await select(1);
    await scroll(1, 2);
    await page.waitForTimeout(500);
    before = [await slices(), await series()];
    assert.notEqual(before[1][0], before[1][1]);
  });
  await step('compare-from-the-second', async () => {
    await compare();
    assert.equal((await slices())[0], before[0][1]);
    assert.equal((await series())[0], before[1][1]);
  });
  await step('enlarge-and-back', async () => {
    const both = await slices();
    await enlarge(1);
    await until('one viewport', async () => (await viewports()) === 1);
    await page.waitForTimeout(500);
    await enlarge(0);
    await until('both viewports', async () => (await slices()).join() === both.join());
    await until('both captions', async () => (await captions()).length === 2);
  });
  await step('back-to-two-series', goBack);
  await step('no-slice-in-a-reformatted-volume', async () => {
    await cy('Layout').first().click();
    await page.getByText('MPR', { exact: true }).first().click();
    await until('three planes', async () => (await viewports()) === 3);
    await hasPicture(0);
    const asked = seen.similarRequests.length;
    await cy('cbmir-find').click();
    await page.locator('[data-cy="cbmir-message"][data-state="unsupported"]').waitFor();
    assert.equal(seen.similarRequests.length, asked);
  });
  await step('another-mode', async () => {
    await page.goto(`${base}/ohif/segmentation?${address}`);
    await hasPicture(0);
    await cy('FindSimilar').first().waitFor();
    before = [await slices(), await series()];
    await compare();
  });
  await step('back-to-another-mode', goBack);
  assertClean(seen);
} finally {
  await browser.close();
}
