/**
 * How long a reader waits from the click on "Find similar" to the cards, each time for another slice.
 *
 *     node tests/browser/click.mjs http://localhost:8042 --clicks 21 [--artefacts FOLDER]
 *
 * Prints milliseconds as JSON. The first click is made for nothing: it loads what every later one finds loaded.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { contrast, openBrowser, until } from './browser.mjs';
import { assertClean, clickToCards, reader, restOf } from './reader.mjs';

const ARTEFACTS = fileURLToPath(new URL('../../ohif-extension/artefacts/click/', import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { clicks: { type: 'string', default: '21' }, artefacts: { type: 'string', default: ARTEFACTS } },
});
const base = (positionals[0] ?? 'http://localhost:8042').replace(/\/$/, '');
const rest = restOf(base);
const { browser, page, seen, shot } = await openBrowser({ url: base, artefacts: values.artefacts });
const { cy, scroll, slices } = reader(page);

/** The series with the most slices, so that each click can be for another one. */
async function chooseStudy() {
  const series = await rest('/series?expand');
  const [longest] = series.sort((/** @type {any} */ a, /** @type {any} */ b) => b.Instances.length - a.Instances.length);
  const study = await rest(`/series/${longest.ID}/study`);
  return { study: study.MainDicomTags.StudyInstanceUID, series: longest.MainDicomTags.SeriesInstanceUID };
}

/** How long the plugin took to answer the newest search, as the browser saw it. */
const answered = () =>
  page.evaluate(
    () =>
      performance
        .getEntriesByType('resource')
        .filter(({ name }) => name.includes('/cbmir/similar/') && name.includes('samePatient=exclude'))
        .at(-1)?.duration ?? 0,
  );

/** @type {{ answer: number, cards: number, pictures: number }[]} */
const milliseconds = [];
try {
  const { study, series } = await chooseStudy();
  await page.goto(`${base}/ohif/viewer?StudyInstanceUIDs=${study}&initialSeriesInstanceUID=${series}`);
  await until('a picture', async () => ((await contrast(page, 0)) ?? 0) > 5);
  await cy('FindSimilar').first().click();
  await cy('cbmir-hit').first().waitFor();
  let direction = 1;
  for (let click = 0; click < Number(values.clicks); click++) {
    const [before] = await slices();
    await scroll(0, direction);
    const moved = await until('another slice', async () => (await slices())[0] !== before, 2000).catch(() => false);
    if (!moved) {
      direction = -direction;
      await scroll(0, direction);
      await until('another slice', async () => (await slices())[0] !== before, 5000);
    }
    // What the click before began - priors, pictures - is over.
    await page.waitForLoadState('networkidle');
    await page.evaluate(() => performance.clearResourceTimings());
    const { cards, pictures } = await clickToCards(page);
    milliseconds.push({ answer: await answered(), cards, pictures });
  }
  assertClean(seen);
  assert.ok(milliseconds.every(({ answer, cards }) => answer > 0 && cards > answer));
  await shot('last');
} finally {
  await browser.close();
}
console.log(JSON.stringify({ chromium: browser.version(), milliseconds }));
