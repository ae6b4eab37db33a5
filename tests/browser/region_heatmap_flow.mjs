/**
 * A reader asks about a part of a slice, why a case is similar, and says which cases are: in a real browser, against an
 * Orthanc that holds the demo and a model that can tell the places of a picture apart.
 *
 *     node tests/browser/region_heatmap_flow.mjs http://localhost:8042 [--user NAME:PASSWORD] [--artefacts FOLDER]
 *
 * Prints what was asked as JSON; exit code 1 with the reason when a step fails. Screenshots go to the artefacts.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { contrast, openBrowser, until } from './browser.mjs';

const ARTEFACTS = fileURLToPath(new URL('../../ohif-extension/artefacts/region-heatmap/', import.meta.url));

/** Of the picture's side; other machines round the mouse's way differently. */
const TOLERANCE = 0.02;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    user: { type: 'string' },
    artefacts: { type: 'string', default: ARTEFACTS },
  },
});
const base = (positionals[0] ?? 'http://localhost:8042').replace(/\/$/, '');
const { browser, page, seen, shot } = await openBrowser({
  url: base,
  ...values,
});
const cy = (/** @type {string} */ name) => page.locator(`[data-cy="${name}"]`);

/** @type {string[]} */
const asked = [];
/** @type {any[]} */
const said = [];
page.on('request', (request) => {
  const { pathname, search } = new URL(request.url());
  if (/\/cbmir\/(similar|heatmap)\//.test(pathname) && !search.includes('samePatient=only')) {
    asked.push(`${pathname.split('/')[2]}${search}`);
  }
  if (pathname.endsWith('/cbmir/feedback')) said.push(request.postDataJSON());
});

let steps = 0;

/** @param {string} name @param {() => Promise<void>} action */
async function step(name, action) {
  try {
    await action();
    await shot(`${String(++steps).padStart(2, '0')}-${name}`);
  } catch (error) {
    await shot(`failed-${name}`);
    throw new Error(`step "${name}": ${error instanceof Error ? error.stack : error}`);
  }
}

/** @param {string} address */
async function rest(address) {
  const headers = values.user ? { Authorization: `Basic ${Buffer.from(values.user).toString('base64')}` } : undefined;
  const response = await fetch(`${base}${address}`, { headers });
  assert.equal(response.status, 200, address);
  return response.json();
}

/** The middle slice of a study with a meningioma, which no other patient's study has in the same place. */
async function chooseSlice() {
  for (const series of await rest('/series?expand')) {
    const ordered = await rest(`/series/${series.ID}/ordered-slices`);
    const id = ordered.SlicesShort[Math.floor(0.6 * ordered.SlicesShort.length)][0];
    const { query, cases } = await rest(`/cbmir/similar/${id}?k=5`);
    if (query.labels.some((/** @type {any} */ one) => one.label === 'meningioma') && cases.length > 3) return query;
  }
  throw new Error('the archive needs a patient with a meningioma, and four others');
}

const hasPicture = (/** @type {number} */ n) =>
  until(`a picture in viewport ${n}`, async () => ((await contrast(page, n)) ?? 0) > 5);
const cards = () =>
  until('cards with their pictures', () =>
    page.evaluate(() => {
      const pictures = [...document.querySelectorAll('[data-cy="cbmir-card"] img')];
      return pictures.length > 0 && pictures.every((one) => one instanceof HTMLImageElement && one.naturalWidth > 0);
    }),
  );
const heatIs = (/** @type {string} */ state) => page.locator(`[data-cy="cbmir-heat"][data-state="${state}"]`).waitFor();

/** The last question to the plugin that is of this kind. */
const lastAsked = (/** @type {string} */ kind) => asked.filter((one) => one.startsWith(kind)).at(-1) ?? '';

/** Where a viewport's canvas is on the page. @param {number} n */
async function canvas(n) {
  const box = await page.locator('canvas.cornerstone-canvas').nth(n).boundingBox();
  assert.ok(box);
  return {
    ...box,
    side: Math.min(box.width, box.height),
    cx: box.x + box.width / 2,
    cy: box.y + box.height / 2,
  };
}

/** From the middle of viewport n, in sides of the picture. @param {number} n @param {number[]} from @param {number[]} to @param {'left' | 'right'} button */
async function drag(n, [x, y], [u, v], button = 'left') {
  const { cx, cy: middle, side } = await canvas(n);
  await page.mouse.move(cx + x * side, middle + y * side);
  await page.mouse.down({ button });
  for (const share of [0.3, 0.6, 1]) {
    await page.mouse.move(cx + (x + share * (u - x)) * side, middle + (y + share * (v - y)) * side);
  }
  await page.mouse.up({ button });
}

/** Where the heat maps are: middle and size of each one that is seen. */
function overlays() {
  return page.evaluate(() =>
    [...document.querySelectorAll('.cbmir-heat-overlay')]
      .filter((one) => one instanceof HTMLElement && !one.hidden)
      .map((one) => {
        const { x, y, width, height } = one.getBoundingClientRect();
        return { cx: x + width / 2, cy: y + height / 2, width, height };
      }),
  );
}

const overlaid = (/** @type {number} */ n) =>
  until(`${n} heat maps`, async () => {
    const found = await overlays();
    return found.length === n && found;
  });

/** @param {number} actual @param {number} expected @param {number} side @param {string} what */
function near(actual, expected, side, what) {
  assert.ok(Math.abs(actual - expected) <= TOLERANCE * side, `${what}: ${actual} instead of ${expected}`);
}

const chosen = await chooseSlice();
const { Rows, Columns } = await rest(`/instances/${chosen.orthancId}/simplified-tags`);
const FROM = [0.1, -0.22];
const TO = [0.27, -0.03];

try {
  await step('slice', async () => {
    await page.goto(`${base}${chosen.viewerUrl}`);
    await hasPicture(0);
    await cy('SimilarToRegion').waitFor();
    assert.equal(await cy('SimilarToRegion').count(), 1, 'one button');
  });
  await step('asked-to-draw', async () => {
    await cy('SimilarToRegion').click();
    await cy('cbmir-notice').waitFor();
    assert.deepEqual(asked, []);
  });
  await step('region', async () => {
    await drag(0, FROM, TO);
    await cards();
    const [x, y, width, height] = /roi=([\d.,]+)/.exec(lastAsked('similar'))?.[1]?.split(',').map(Number) ?? [];
    near(x, (0.5 + FROM[0]) * Columns, Columns, 'left');
    near(y, (0.5 + FROM[1]) * Rows, Rows, 'top');
    near(width, (TO[0] - FROM[0]) * Columns, Columns, 'width');
    near(height, (TO[1] - FROM[1]) * Rows, Rows, 'height');
    assert.equal(await cy('cbmir-notice').count(), 0);
    const [picture, outline] = await Promise.all([
      page.locator('[data-cy="cbmir-query"] img').boundingBox(),
      page.locator('[data-cy="cbmir-region"] polygon').boundingBox(),
    ]);
    assert.ok(picture && outline);
    near(outline.x - picture.x, (0.5 + FROM[0]) * picture.width, picture.width, 'left of the outline');
    near(outline.y - picture.y, (0.5 + FROM[1]) * picture.height, picture.height, 'top of the outline');
  });
  await step('tool-given-back', async () => {
    const before = await page.locator('svg.svg-layer rect').count();
    await drag(0, [-0.3, 0.1], [-0.2, 0.2]);
    assert.equal(await page.locator('svg.svg-layer rect').count(), before, 'no second rectangle');
  });
  await step('whole-slice', async () => {
    await cy('cbmir-whole').click();
    await until('a question without region', async () => !lastAsked('similar').includes('roi='));
    await cards();
    assert.equal(await cy('cbmir-region').count(), 0);
  });
  await step('region-again', async () => {
    await cy('cbmir-region-button').click();
    await until('a question with region', async () => lastAsked('similar').includes('roi='));
    await cards();
  });
  await step('region-by-key', async () => {
    await cy('cbmir-whole').click();
    await until('a question without region', async () => !lastAsked('similar').includes('roi='));
    await cards();
    const number = asked.length;
    await page.locator('canvas.cornerstone-canvas').first().hover();
    await page.keyboard.press('Shift+F');
    await until('a question with region', async () => lastAsked('similar').includes('roi='));
    await cards();
    assert.equal(asked.length, number + 1, 'one question a key');
  });
  await step('compared', async () => {
    await cy('cbmir-hit').first().click();
    await hasPicture(1);
    await heatIs('off');
    assert.deepEqual(await overlays(), []);
    assert.equal(lastAsked('heatmap'), '', 'no heat map before it is asked for');
  });
  await step('heat', async () => {
    await cy('cbmir-heat-switch').click();
    await heatIs('shown');
    assert.match(lastAsked('heatmap'), /roi=[\d.,]+&against=[0-9a-f-]{44}&againstFrame=1/);
    const found = await overlaid(2);
    for (const [n, one] of found.entries()) {
      const { cx, cy: middle, side } = await canvas(n);
      near(one.cx, cx, side, 'middle');
      near(one.cy, middle, side, 'middle');
      near(Math.max(one.width, one.height), side, side, 'size');
    }
  });
  await step('heat-zoomed', async () => {
    const [before] = await overlays();
    await drag(0, [0, 0], [0, 0.2], 'right');
    await until('a larger heat map', async () => Math.abs((await overlays())[0].height - before.height) > 20);
  });
  await step('heat-faint', async () => {
    await cy('cbmir-heat-opacity').focus();
    await page.keyboard.press('Home');
    await until('a clear picture', () =>
      page.evaluate(() =>
        [...document.querySelectorAll('.cbmir-heat-overlay')].every((one) => one.style.opacity === '0'),
      ),
    );
    for (let i = 0; i < 12; i++) await page.keyboard.press('ArrowRight');
    // Keys typed into a field are none of the viewer's.
    await cy('cbmir-heat-switch').focus();
  });
  await step('heat-on-its-slice-only', async () => {
    const { cx, cy: middle } = await canvas(0);
    await page.mouse.move(cx, middle);
    await page.mouse.wheel(0, 100);
    await until('no heat map on another slice', async () => (await overlays()).length < 2);
    await page.mouse.wheel(0, -100);
    await overlaid(2);
  });
  await step('heat-of-the-next-case', async () => {
    const before = lastAsked('heatmap');
    await page.keyboard.press('.');
    await until('another heat map', async () => lastAsked('heatmap') !== before);
    await heatIs('shown');
    await hasPicture(1);
    await overlaid(2);
    assert.equal(await page.locator('.cbmir-heat-overlay').count(), 2, 'none left over');
    const number = asked.length;
    await page.keyboard.press(',');
    await cy('cbmir-position').filter({ hasText: '1 of' }).waitFor();
    await overlaid(2);
    assert.equal(asked.length, number, 'a heat map known already is not asked for again');
  });
  await step('heat-enlarged', async () => {
    const { cx, cy: middle, width } = await canvas(1);
    await page.mouse.dblclick(cx, middle);
    await until('one viewport', async () => (await page.locator('canvas.cornerstone-canvas').count()) === 1);
    await until('a wider viewport', async () => (await canvas(0)).width > width);
    await overlaid(1);
    const large = await canvas(0);
    await page.mouse.dblclick(large.cx, large.cy);
    await until('two viewports', async () => (await page.locator('canvas.cornerstone-canvas').count()) === 2);
    await overlaid(2);
  });
  await step('heat-taken-away', async () => {
    await cy('cbmir-back').click();
    await until('one viewport', async () => (await page.locator('canvas.cornerstone-canvas').count()) === 1);
    assert.equal(await page.locator('.cbmir-heat-overlay').count(), 0);
  });
  await step('marked', async () => {
    await cy('cbmir-similar').nth(1).click();
    await cy('cbmir-different').nth(0).focus();
    await page.keyboard.press('Space');
    await until('two opinions', async () => said.length === 2);
    assert.deepEqual(
      said.map(({ verdict }) => verdict),
      ['similar', 'different'],
    );
    assert.deepEqual(Object.keys(said[0]).sort(), ['hit', 'hitFrame', 'query', 'queryFrame', 'verdict']);
    assert.equal(await cy('cbmir-similar').nth(1).getAttribute('aria-pressed'), 'true');
    assert.equal(await cy('cbmir-different').nth(0).getAttribute('aria-pressed'), 'true');
    await until('both kept', async () => {
      const { feedback } = await rest('/cbmir/feedback');
      return said.every((one) => feedback.some((/** @type {any} */ kept) => kept.hit === one.hit));
    });
  });
  await step('taken-back', async () => {
    await cy('cbmir-similar').nth(2).click();
    await until('a third opinion', async () => said.length === 3);
    const { hit } = said[2];
    const isKept = async () =>
      (await rest('/cbmir/feedback')).feedback.some((/** @type {any} */ kept) => kept.hit === hit);
    await until('the third one kept', isKept);
    await cy('cbmir-similar').nth(2).click();
    await until('it to be taken back', async () => !(await isKept()));
    assert.deepEqual({ ...said[3] }, { ...said[2], verdict: null });
    assert.equal(await cy('cbmir-similar').nth(2).getAttribute('aria-pressed'), 'false');
    said.splice(2);
  });
  await step('refined', async () => {
    await cy('cbmir-refine').click();
    await until('a refined question', async () =>
      /more=[0-9a-f-]{44}:1&less=[0-9a-f-]{44}:1/.test(lastAsked('similar')),
    );
    await cards();
    await cy('cbmir-unrefine').waitFor();
    assert.equal(await cy('cbmir-refine').count(), 0, 'nothing new to refine by');
  });
  await step('plain-again', async () => {
    await cy('cbmir-unrefine').click();
    await until('a plain question', async () => !lastAsked('similar').includes('more='));
    await cards();
    await page.locator('[data-cy="cbmir-similar"][aria-pressed="true"]').waitFor();
  });
  await step('left-while-comparing', async () => {
    await cy('cbmir-hit').first().click();
    await hasPicture(1);
    await cy('cbmir-heat-switch').click();
    await overlaid(2);
    await cy('return-to-work-list').click();
    await cy('cbmir-panel').waitFor({ state: 'detached' });
    assert.equal(await page.locator('.cbmir-heat-overlay').count(), 0);
  });
  assert.deepEqual(seen.pageErrors, [], 'errors in the page');
  assert.deepEqual(seen.foreignRequests, [], 'requests to other origins');
  assert.deepEqual(seen.failedRequests, [], 'failed requests');
  assert.deepEqual(seen.consoleErrors, [], 'errors in the console');
} finally {
  const report = { base, asked, said, ...seen };
  fs.writeFileSync(path.join(values.artefacts, 'region-heatmap.json'), `${JSON.stringify(report, null, 2)}\n`);
  console.log(JSON.stringify(report));
  await browser.close();
}
