/**
 * A reader asks about a whole series, scrolls both volumes together, saves the search, opens the report, and downloads
 * the contact sheet: in a real browser, against an Orthanc that holds the demo.
 *
 *     node tests/browser/keeping_flow.mjs http://localhost:8042 [--artefacts FOLDER]
 *
 * Prints what was saved and seen as JSON; exit code 1 with the reason when a step fails. Screenshots, and the sheet, go
 * to the artefacts.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs } from 'node:util';

import { openBrowser, until } from './browser.mjs';
import { assertClean, reader, restOf, steps } from './reader.mjs';

const ARTEFACTS = fileURLToPath(new URL('../../ohif-extension/artefacts/keeping/', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { artefacts: { type: 'string', default: ARTEFACTS } },
});
const base = (positionals[0] ?? 'http://localhost:8042').replace(/\/$/, '');
const { browser, page, seen, shot } = await openBrowser({
  url: base,
  ...values,
});
const { step } = steps(shot);
const { cy, hasPicture, scroll } = reader(page);
const rest = restOf(base);

/** A slice in the middle of a series of several. */
async function chooseSlice() {
  for (const series of await rest('/series?expand')) {
    if (series.Instances.length < 5) continue;
    const { SlicesShort } = await rest(`/series/${series.ID}/ordered-slices`);
    return (await rest(`/cbmir/similar/${SlicesShort[Math.floor(SlicesShort.length / 2)][0]}?k=1`)).query;
  }
  throw new Error('the archive needs a series of at least five slices');
}

/** @type {any} */
let saved = null;
/** @type {any} */
let volume = null;
page.on('response', async (response) => {
  const { pathname, search } = new URL(response.url());
  if (pathname.endsWith('/cbmir/save')) saved = await response.json();
  if (pathname.includes('/cbmir/similar/') && search.includes('samePatient=exclude')) {
    const answer = await response.json().catch(() => null);
    if (answer?.volume) volume = answer;
  }
});

const query = await chooseSlice();
try {
  await step('find', async () => {
    await page.goto(`${base}${query.viewerUrl}#find-similar`);
    await cy('cbmir-hit').first().waitFor();
    await hasPicture(0);
    await cy('cbmir-statistics').waitFor();
  });
  await step('whole-series', async () => {
    await cy('cbmir-scope-series').click();
    await until('the answer about the series', async () => volume !== null);
    await cy('cbmir-volume').waitFor();
    assert.match(await cy('cbmir-volume').innerText(), /slices? compared/);
  });
  await step('aligned', async () => {
    await cy('cbmir-hit').first().click();
    await hasPicture(1);
    await cy('cbmir-back').waitFor();
    await until('the slice that was found', async () => isDeepStrictEqual(await shownPair(), await matchedPair()));
    await scroll(0, 2);
    await until('the right side at what the left side found', async () => {
      const [shown, matched] = [await shownPair(), await matchedPair()];
      return matched !== null && shown.right === matched.right;
    });
  });
  await step('back-to-the-slice', async () => {
    await cy('cbmir-back').click();
    await cy('cbmir-scope-slice').click();
    await cy('cbmir-hit').first().waitFor();
  });
  await step('save', async () => {
    await cy('cbmir-choose').first().click();
    await cy('cbmir-choose').nth(1).click();
    await page.getByText('2 cases chosen').waitFor();
    await cy('cbmir-save').click();
    await cy('cbmir-open-report').waitFor();
    await until('the answer about what is saved', async () => saved !== null);
    assert.equal(saved.hits.length, 2);
  });
  await step('sheet', async () => {
    const [download] = await Promise.all([page.waitForEvent('download'), cy('cbmir-sheet').click()]);
    assert.equal(download.suggestedFilename(), 'similar-cases.png');
    await download.saveAs(path.join(values.artefacts, 'similar-cases.png'));
  });
  assertClean(seen);
  await step('scroll-to-the-figures', async () => {
    await cy('cbmir-statistics').scrollIntoViewIfNeeded();
    await page.waitForTimeout(300);
  });
  await openReport();
} finally {
  console.log(JSON.stringify({ saved, ...seen }));
  await browser.close();
}

/** In the window that the link opens, the report is shown as text, and nothing fails. */
async function openReport() {
  saved = null;
  await cy('cbmir-save').click();
  await until('the second search to be saved', async () => saved !== null);
  const [opened] = await Promise.all([page.context().waitForEvent('page'), cy('cbmir-open-report').click()]);
  /** @type {string[]} */
  const errors = [];
  opened.on('pageerror', (error) => errors.push(error.message));
  try {
    await opened.getByText('Similar case 1').first().waitFor();
    await opened.getByText('Not for diagnosis').first().waitFor();
    await opened.getByText('Cosine similarity to the query').first().waitFor();
  } finally {
    await opened.screenshot({
      path: path.join(values.artefacts, 'report.png'),
    });
  }
  assert.deepEqual(errors, [], 'errors in the page of the report');
}

/** The SOPInstanceUIDs on screen, from the places in both stacks. */
async function shownPair() {
  const [left, right] = await page.evaluate(() =>
    ['cbmir-query', 'cbmir-hit'].map((id) => {
      const viewport = window.services.cornerstoneViewportService.getCornerstoneViewport(id);
      return /instances\/([\d.]+)/.exec(viewport.getCurrentImageId())?.[1] ?? null;
    }),
  );
  return { left, right };
}

/** What the answer says belongs beside the slice on the left. */
async function matchedPair() {
  const { left } = await shownPair();
  const [match] = volume.cases[0].match;
  const at = volume.volume.series[match.query].slices.findIndex(
    (/** @type {any} */ one) => one.SOPInstanceUID === left,
  );
  return at < 0 ? null : { left, right: match.slices[at].SOPInstanceUID };
}
