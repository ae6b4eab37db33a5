/**
 * A reader's way through the viewer, in a real browser, against an Orthanc that holds a patient with two studies.
 *
 *     node tests/browser/flow.mjs http://localhost:8042 [--user NAME:PASSWORD] [--artefacts FOLDER] [--anonymous] [--reports]
 *
 * Prints what was seen as JSON; exit code 1 with the reason when a step fails. Screenshots go to the artefacts.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { openBrowser, until } from './browser.mjs';
import { assertClean, greyDifference, reader, restOf, steps } from './reader.mjs';

const ARTEFACTS = fileURLToPath(new URL('../../ohif-extension/artefacts/', import.meta.url));

/** Shades of 256 between a card's picture and the viewer's, in the mean: both make the slice smaller by ways of their own. */
const MOST_APART = 8;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    user: { type: 'string' },
    anonymous: { type: 'boolean', default: false },
    reports: { type: 'boolean', default: false },
    artefacts: { type: 'string', default: ARTEFACTS },
  },
});
const base = (positionals[0] ?? 'http://localhost:8042').replace(/\/$/, '');
const { browser, page, seen, shot } = await openBrowser({ url: base, ...values });
const { step, seconds } = steps(shot);
const { cy, hasPicture, scroll, slices, viewports } = reader(page);
const rest = restOf(base, values.user);
const slice = async (/** @type {number} */ n) => (await slices())[n] ?? '';

/** A study whose patient has another one, so that there are priors to find. */
async function chooseStudy() {
  const studies = await rest('/studies?expand');
  const ofPatient = (/** @type {any} */ study) =>
    studies.filter((/** @type {any} */ other) => other.ParentPatient === study.ParentPatient);
  const study = studies.find((/** @type {any} */ one) => ofPatient(one).length > 1);
  assert.ok(study, 'the archive needs a patient with two studies');
  return study;
}

/** In anonymous mode neither the panel nor its requests may say who somebody is, or when. */
async function assertAnonymous() {
  const shown = `${await cy('cbmir-panel').innerHTML()}\n${seen.similarRequests.join('\n')}`;
  for (const one of await rest('/studies?expand')) {
    const { PatientName: name, PatientID } = one.PatientMainDicomTags;
    const { StudyDate: date, AccessionNumber } = one.MainDicomTags;
    const dashed = `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}`;
    for (const secret of [name, name.replace('^', ', '), PatientID, AccessionNumber, date, dashed]) {
      assert.ok(!secret || !shown.includes(secret), `the panel shows ${secret}`);
    }
  }
}

async function openStudy() {
  await page.getByText(PatientName.replace('^', ', ')).first().click();
  await page
    .getByRole('button', { name: /Basic Viewer/ })
    .or(page.getByRole('link', { name: /Basic Viewer/ }))
    .first()
    .click();
}

const cardsPainted = () =>
  until('cards with their pictures', () =>
    page.evaluate(() => {
      const pictures = [...document.querySelectorAll('[data-cy="cbmir-card"] img')];
      return pictures.length > 0 && pictures.every((one) => one instanceof HTMLImageElement && one.naturalWidth > 0);
    }),
  );

const study = await chooseStudy();
const { PatientName } = study.PatientMainDicomTags;
const { StudyInstanceUID, StudyDate } = study.MainDicomTags;
let before = '';

try {
  await step('list', async () => {
    await page.goto(`${base}/ohif/`);
    await page.getByText(PatientName.replace('^', ', ')).first().waitFor();
  });
  await step('image', async () => {
    await openStudy();
    await hasPicture(0);
    await cy('FindSimilar').first().waitFor();
    await scroll(0, 3);
    await until('the slice number', async () => (await slice(0)) !== '');
  });
  await step('find', async () => {
    before = await slice(0);
    await cy('FindSimilar').first().click();
    await cy('cbmir-hit').first().waitFor();
    await cardsPainted();
    await page.getByText('Not for diagnosis').waitFor();
    await page.locator('[data-cy="cbmir-priors"][data-state="found"]').waitFor();
    assert.match(await cy('cbmir-looks').innerText(), /^Looks (most )?like/);
    if (values.anonymous) await assertAnonymous();
  });
  await step('reports', async () => {
    const places = await cy('cbmir-report').count();
    assert.equal(places > 0, values.reports && !values.anonymous, 'cards with reports');
    const begun = async () => (await cy('cbmir-report').allInnerTexts()).every((text) => /^Report \S/.test(text));
    await until('the beginning of every report', begun);
  });
  await step('options', async () => {
    await cy('cbmir-options-button').click();
    await cy('cbmir-options').waitFor();
    await page.getByLabel('Same sequence description').check();
    await cardsPainted();
    assert.match(seen.similarRequests.join('\n'), /SeriesDescription=/);
    await page.getByLabel('looks like the same class').check();
    await cardsPainted();
    assert.match(seen.similarRequests.at(-1) ?? '', /class=predicted|samePatient=only/);
    assert.match(seen.similarRequests.join('\n'), /class=predicted/);
  });
  await cy('cbmir-reset').click();
  await cy('cbmir-options-button').click();
  await cardsPainted();
  await step('compare', async () => {
    await cy('cbmir-hit').nth(1).click();
    await hasPicture(1);
    await cy('cbmir-back').waitFor();
    await until('the query slice on the left', async () => (await slice(0)) === before);
    await page.waitForTimeout(700);
  });
  await step('same-greys', async () => {
    const apart = () => greyDifference(page, '.cbmir-card-open .cbmir-card-picture img', 1);
    await until('a thumbnail with the greys of the viewer', async () => ((await apart()) ?? 255) < MOST_APART);
  });
  await step('next-by-key', async () => {
    await page.keyboard.press('.');
    await cy('cbmir-position').filter({ hasText: '3 of' }).waitFor();
    await page.waitForTimeout(1500);
    await hasPicture(1);
    await page.keyboard.press(',');
    await cy('cbmir-position').filter({ hasText: '2 of' }).waitFor();
    await page.waitForTimeout(1500);
  });
  await step('linked-scrolling', async () => {
    const right = await slice(1);
    // One of the two ways is open, even where the hit is the first or last slice of its series.
    await scroll(0, 2);
    const followed = await until('', async () => (await slice(1)) !== right, 10_000).catch(() => false);
    await scroll(0, -4);
    if (!followed) await until('the right side to follow', async () => (await slice(1)) !== right);
  });
  await step('more-slices', async () => {
    if ((await cy('cbmir-more').count()) === 0) return;
    await cy('cbmir-more').first().click();
    await cy('cbmir-slice').first().click();
    await page.waitForTimeout(1500);
    await hasPicture(1);
  });
  await step('other-tab-and-back', async () => {
    await page
      .locator(
        '[data-cy$="-btn"][data-cy^="panelSegmentation"], [data-cy^="trackedMeasurements"], [data-cy="measurements-btn"]',
      )
      .first()
      .click();
    await cy('cbmir-panel').waitFor({ state: 'detached' });
    await cy('similarCases-btn').click();
    await cy('cbmir-hit').first().waitFor();
  });
  await step('back', async () => {
    await cy('cbmir-back').click();
    await until('one viewport', async () => (await viewports()) === 1);
    await hasPicture(0);
    await until('the slice from before', async () => (await slice(0)) === before);
  });
  await step('priors', async () => {
    await cy('cbmir-prior').first().click();
    await hasPicture(1);
    await cy('cbmir-back').waitFor();
    await page.waitForTimeout(700);
  });
  await step('keyboard-only', async () => {
    await cy('cbmir-back').click();
    await until('one viewport', async () => (await viewports()) === 1);
    await hasPicture(0);
    await page.locator('canvas.cornerstone-canvas').first().click();
    await page.keyboard.press('f');
    await cy('cbmir-hit').first().waitFor();
    await cy('cbmir-hit').first().focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await cy('cbmir-back').waitFor();
    await cy('cbmir-position').filter({ hasText: '2 of' }).waitFor();
    await hasPicture(1);
    await cy('cbmir-back').click();
    await until('one viewport', async () => (await viewports()) === 1);
    await hasPicture(0);
  });
  await step('left-and-entered-again', async () => {
    await cy('return-to-work-list').click();
    await page.getByText(PatientName.replace('^', ', ')).first().waitFor();
    await openStudy();
    await hasPicture(0);
    await cy('FindSimilar').first().waitFor();
    assert.equal(await cy('FindSimilar').count(), 1, 'one button');
    assert.equal(await cy('similarCases-btn').count(), 1, 'one tab');
    await cy('FindSimilar').first().click();
    await cy('cbmir-hit').first().waitFor();
  });
  assertClean(seen);
} finally {
  const report = { base, study: { StudyInstanceUID, StudyDate }, seconds, ...seen };
  fs.writeFileSync(path.join(values.artefacts, 'flow.json'), `${JSON.stringify(report, null, 2)}\n`);
  console.log(JSON.stringify(report));
  await browser.close();
}
