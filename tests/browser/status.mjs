/**
 * The status page and the links to it, in a real browser.
 *
 *     node tests/browser/status.mjs SCENARIO http://localhost:8042 [--user NAME:PASSWORD] [--artefacts FOLDER]
 *         [--seen FILE]
 *
 * Scenarios: "archive" for an Orthanc that has indexed the demo, two objects that cannot be and one that is no picture;
 * "changing" for one whose model is being changed to "second", which waits until there is FILE; "disabled" for one whose
 * plugin cannot run; "limited" for one that tells nobody its statistics; "without-viewer" for one without OHIF. Prints
 * what was seen as JSON; exit code 1 with the reason when something is not as it should be.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { openBrowser, until } from './browser.mjs';

const ARTEFACTS = fileURLToPath(new URL('../../ohif-extension/artefacts/status/', import.meta.url));
const MARKUP = '<img src=x onerror="window.broken = true"><b>disk</b>';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { user: { type: 'string' }, artefacts: { type: 'string', default: ARTEFACTS }, seen: { type: 'string' } },
});
const [scenario, address] = positionals;
const base = address.replace(/\/$/, '');
const { user, artefacts } = values;
const { browser, page, seen, shot } = await openBrowser({ url: base, user, artefacts });
/** @type {Record<string, unknown>} */
const report = {};

/** @param {string} route @returns {Promise<any>} */
const rest = async (route) => (await page.request.get(`${base}/${route}`)).json();
const text = async (/** @type {string} */ id) => (await page.locator(`#${id}`).innerText()).trim();
const state = () => text('state-name');
const stateIs = (/** @type {string} */ name) => until(`the page says "${name}"`, async () => (await state()) === name);
const rows = (/** @type {string} */ id) =>
  page.locator(`#${id} tr`).evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent)));

async function openStatusPage() {
  await page.setViewportSize({ width: 1280, height: 1000 });
  const answer = await page.goto(`${base}/cbmir/`);
  assert.ok(answer);
  assert.match(answer.headers()['content-security-policy'], /default-src 'none'/);
  await until('an answer', async () => (await state()) !== 'Asking …');
}

// ---- an archive at rest ----

async function showsWhatTheArchiveHolds() {
  await openStatusPage();
  await stateIs('Running');
  const status = await rest('cbmir/status');
  const tiles = await page.locator('#counts dd').allInnerTexts();
  const counts = [status.slices, status.indexed, status.queued, status.skipped, status.failed];
  assert.deepEqual(tiles, counts.map(String));
  assert.deepEqual(await rows('modality-rows'), [['MR', '', String(status.modalities.MR)]]);
  const reasons = status.notIndexed.map((/** @type {any} */ one) => [one.reason, one.state, String(one.instances)]);
  assert.deepEqual(await rows('reasons'), reasons);
  assert.ok(reasons.length >= 2);
  assert.equal(await page.locator('#progress').isVisible(), false);
}

async function showsHowGoodItIs() {
  const { indexHealth } = await rest('cbmir/status');
  assert.equal(
    await text('recall'),
    `${(100 * indexHealth.recallAt10).toFixed(indexHealth.recallAt10 === 1 ? 0 : 1)} %`,
  );
  const { quality } = await rest('cbmir/quality');
  await page.locator('#quality-measured').waitFor();
  const shown = (await rows('quality-now')).map((row) => row[2]);
  const last = quality.at(-1);
  const figures = [last.precisionAt1, last.precisionAt5, last.precisionAt10, last.chance];
  assert.deepEqual(
    shown,
    figures.map((share) => `${(100 * share).toFixed(0)} %`),
  );
  assert.equal(await page.locator('#quality-plot polyline').count(), 4);
  assert.equal(await page.locator('#quality-plot circle').count(), 3 * quality.length);
  report.quality = quality;
}

async function showsWhatIsMeasuredNightly() {
  const { drift, scanners } = await rest('cbmir/quality');
  const [far, own] = [drift.at(-1), scanners.at(-1)];
  assert.equal(await text('drift-figure'), String(Math.round((10 * far.distance) / far.threshold) / 10));
  assert.match(await text('drift-advice'), /Recent studies look different/);
  assert.match(await text('drift-basis'), /25 % of the recent patients have slices of a scanner/);
  assert.equal(await page.locator('#drift-plot circle').count(), drift.length);
  assert.equal(await text('scanners-figure'), String(Math.round((10 * own.share) / own.chance) / 10));
  assert.equal(await page.locator('#scanners-advice').isVisible(), false);
  assert.equal(await page.locator('#scanners-plot polyline').count(), 2);
}

const groups = async () => (await rows('map-groups')).map(([name, count]) => [name, Number(count)]);

async function showsTheArchiveAtAGlance() {
  await page.locator('#map').scrollIntoViewIfNeeded();
  await page.locator('#map-drawn').waitFor();
  const { points } = await rest('cbmir/map');
  assert.equal(points.length, (await rest('cbmir/status')).slices);
  for (const name of /** @type {const} */ (['label', 'sequence', 'scanner'])) {
    await page.locator(`input[name="map-by"][value="${name}"]`).check();
    const values = points.map((/** @type {any} */ one) => (name === 'label' ? one.labels.join(', ') : one[name]));
    const shown = await groups();
    assert.equal(
      shown.reduce((sum, [, count]) => sum + Number(count), 0),
      points.length,
    );
    const [first, count] = shown[0];
    assert.equal(values.filter((/** @type {string} */ value) => value === first).length, count);
  }
  await page.locator('input[name="map-by"][value="label"]').check();
  report.groups = await groups();
}

/** A point of the map at which nothing else is near, in pixels of its canvas. */
async function alone() {
  const { points } = await rest('cbmir/map');
  const { width, height } = /** @type {{ width: number, height: number }} */ (
    await page
      .locator('#map-canvas')
      .evaluate(({ clientWidth, clientHeight }) => ({ width: clientWidth, height: clientHeight }))
  );
  const placed = points.map((/** @type {any} */ one) => ({
    ...one,
    at: { x: 15 + one.x * (width - 28), y: 15 + one.y * (height - 28) },
  }));
  const space = (/** @type {any} */ one) =>
    Math.min(
      ...placed.map((/** @type {any} */ other) =>
        other === one ? 1e9 : Math.hypot(one.at.x - other.at.x, one.at.y - other.at.y),
      ),
    );
  return placed.reduce((/** @type {any} */ best, /** @type {any} */ one) => (space(one) > space(best) ? one : best));
}

async function leadsFromTheMapToAStudy() {
  const one = await alone();
  await page.locator('#map-canvas').evaluate((canvas) => canvas.scrollIntoView({ block: 'center' }));
  await page.locator('#map-canvas').hover({ position: one.at });
  await page.locator('#map-picture').waitFor();
  const picture = await page.locator('#map-picture').evaluate((img) => {
    const { src, naturalWidth } = /** @type {HTMLImageElement} */ (img);
    return { src, naturalWidth };
  });
  assert.ok(picture.src.endsWith(one.thumbnailUrl) && picture.naturalWidth > 0, picture.src);
  assert.ok((await text('map-words')).includes(one.labels[0]));
  await shot('map');
  const [tab] = await Promise.all([
    page.context().waitForEvent('page'),
    page.locator('#map-canvas').click({ position: one.at }),
  ]);
  await tab.waitForURL('**/ohif/**');
  assert.equal(new URL(tab.url()).searchParams.get('StudyInstanceUIDs'), one.StudyInstanceUID);
  await tab.close();
}

async function theMapCanBeUsedWithKeysAlone() {
  await page.mouse.move(0, 0);
  await page.locator('#map-groups button').first().focus();
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('#map-groups button[aria-pressed="true"]').count(), 1);
  const [chosen] = (await groups())[0];
  await page.locator('#map-canvas').focus();
  const told = [];
  for (const key of ['ArrowRight', 'ArrowRight', 'ArrowDown', 'ArrowLeft', 'ArrowUp']) {
    await page.keyboard.press(key);
    told.push(await text('map-told'));
  }
  assert.ok(
    told.every((words) => words.startsWith(`${chosen},`)),
    `of the group that was chosen: ${told}`,
  );
  const [tab] = await Promise.all([page.context().waitForEvent('page'), page.keyboard.press('Enter')]);
  await tab.waitForURL('**/ohif/**');
  await tab.close();
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#map-point').isVisible(), false);
  await page.locator('#map-groups button[aria-pressed="true"]').click();
}

/** As many points as there may be, of more groups than there are colours, with names that are markup. */
async function drawsAsManyAsThereMayBe() {
  const answer = await rest('cbmir/map');
  const points = Array.from({ length: 2000 }, (_, i) => ({
    ...answer.points[i % answer.points.length],
    x: (i % 50) / 49,
    y: Math.floor(i / 50) / 39,
    labels: [i % 12 ? `kind ${i % 12}` : MARKUP],
  }));
  await page.route('**/cbmir/map', (route) => route.fulfill({ json: { ...answer, slices: 99_999, points } }));
  await page.reload();
  await page.locator('#map').scrollIntoViewIfNeeded();
  await until('2,000 points', async () => (await text('map-basis')).startsWith('2,000 of 99,999 slices'));
  assert.equal((await groups()).length, 8);
  assert.ok((await groups()).some(([name]) => name === '5 others'));
  assert.equal(await page.evaluate(() => 'broken' in window), false);
  const moved = await page.locator('#map-canvas').evaluate(async (canvas) => {
    const begin = performance.now();
    for (let i = 0; i < 300; i++) {
      const place = { clientX: 0, clientY: 0 };
      const event = new PointerEvent('pointermove', place);
      Object.defineProperty(event, 'offsetX', { value: i });
      Object.defineProperty(event, 'offsetY', { value: i });
      canvas.dispatchEvent(event);
    }
    return (performance.now() - begin) / 300;
  });
  report.millisecondsAMove = moved;
  await shot('map-full');
  await page.unrouteAll();
  await page.reload();
}

async function showsTheModelCard() {
  const card = await rest('cbmir/model');
  const shown = await text('model-card');
  for (const words of [card.id, card.licence, card.intendedUse, ...card.limits, card.data[0].name]) {
    assert.ok(shown.includes(words), `the model card says "${words}"`);
  }
}

async function keepsTheDisclaimerInSight() {
  for (const place of [0, 300, 100_000]) {
    await page.evaluate((y) => window.scrollTo(0, y), place);
    const box = await page.locator('#disclaimer').boundingBox();
    assert.ok(box && box.y >= 0 && box.y + box.height <= 1000, `at ${place} pixels the disclaimer is in sight`);
  }
  await page.evaluate(() => window.scrollTo(0, 0));
}

async function canBeUsedWithKeysAlone() {
  await page.evaluate(() => document.querySelector('header')?.scrollIntoView());
  /** @type {string[]} */
  const reached = [];
  for (let i = 0; i < 6; i++) {
    await page.keyboard.press('Tab');
    reached.push(await page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent || ''));
  }
  assert.ok(reached.includes('Orthanc Explorer') && reached.includes('again'), `reached by key: ${reached}`);
  await page.locator('#again').focus();
  const outline = await page.locator('#again').evaluate((button) => getComputedStyle(button).outlineStyle);
  assert.notEqual(outline, 'none');
  await page.keyboard.press('Enter');
  await until('an answer', async () => /^\d+ instances? will be tried again/.test(await text('again-result')));
  await until('all is tried again', async () => !(await rest('cbmir/status')).queued);
  await stateIs('Running');
}

async function fitsAPhone() {
  await page.setViewportSize({ width: 390, height: 844 });
  const [wide, there] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  assert.ok(wide <= there, `nothing sticks out: ${wide} of ${there} pixels`);
  await shot('phone');
}

// ---- states that are rare, as answers of the plugin that are changed on their way ----

/** @param {(status: any) => { status?: number, json?: any } | 'abort'} change */
async function withAnswer(change) {
  const answer = await rest('cbmir/status');
  await page.unrouteAll();
  await page.route('**/cbmir/status', (route) => {
    const changed = change(structuredClone(answer));
    return changed === 'abort' ? route.abort() : route.fulfill(changed);
  });
  await page.reload();
}

async function hasWordsForEveryState() {
  await page.setViewportSize({ width: 1280, height: 1000 });
  await withAnswer((status) => ({ json: { ...status, state: 'degraded', reason: MARKUP } }));
  await stateIs('Running with a problem');
  assert.equal(await text('state-reason'), MARKUP);
  assert.equal(await page.evaluate(() => 'broken' in window), false);
  await shot('degraded');
  const lost = { recallAt10: 0.912, sample: 50, time: new Date(Date.now() - 7.5e6).toISOString() };
  await withAnswer((status) => ({ status: 503, json: { ...status, worker: 'stalled', indexHealth: lost } }));
  await stateIs('Indexing hangs');
  assert.equal(await text('recall'), '91.2 %');
  assert.match(await text('recall-advice'), /build it anew/);
  assert.match(await text('recall-when'), /2 hours ago/);
  const before = { version: '1', disclaimer: 'Not for diagnosis.', state: 'starting', reason: null };
  await withAnswer(() => ({ json: before }));
  await stateIs('Starting');
  assert.equal(await page.locator('#counts').isVisible(), false);
  await withAnswer(() => ({ status: 401, json: {} }));
  await stateIs('Not signed in');
  await withAnswer(() => ({ status: 403, json: {} }));
  await stateIs('Not permitted');
  await withAnswer(() => 'abort');
  await stateIs('No answer');
}

const indexing = (/** @type {any} */ status) => ({
  json: { ...status, queued: 1200, instancesPerSecond: 12.34, etaSeconds: 97, indexed: 780, skipped: 15, failed: 5 },
});

async function showsProgress() {
  await withAnswer(indexing);
  await stateIs('Indexing');
  assert.equal(await text('progress-share'), '800 of 2,000 instances');
  assert.equal(await text('progress-rate'), '· 12.3 per second · about 2 minutes left');
  assert.equal(
    await page.locator('#progress-bar').evaluate((bar) => /** @type {HTMLProgressElement} */ (bar).value),
    0.4,
  );
  await shot('indexing');
  const animation = () => page.locator('.lamp').evaluate((lamp) => getComputedStyle(lamp).animationName);
  assert.equal(await animation(), 'pulse');
  await page.emulateMedia({ reducedMotion: 'reduce' });
  assert.equal(await animation(), 'none');
}

/** How often it asks, by a clock that the test turns. */
async function asksOftenOnlyWhileThereIsWork() {
  let asked = 0;
  /** @type {Set<import('playwright-core').Request>} */
  const open = new Set();
  page.on('request', (request) => {
    asked += Number(request.url().endsWith('/cbmir/status'));
    open.add(request);
  });
  page.on('requestfinished', (request) => open.delete(request));
  page.on('requestfailed', (request) => open.delete(request));
  page.on('framenavigated', () => open.clear());
  /** All that was asked for is answered, in true time, and the page has set its clock again: it may ask for more first. */
  const atRest = async () => {
    do {
      while (open.size > 0) await pause(10);
      await page.evaluate(() => document.title);
      await pause(50);
    } while (open.size > 0);
  };
  const inTwentySeconds = async () => {
    await atRest();
    asked = 0;
    for (let second = 0; second < 20; second++) {
      await page.clock.runFor(1000);
      await atRest();
    }
    return asked;
  };
  await page.clock.install();
  await withAnswer(indexing);
  await stateIs('Indexing');
  report.askedWhileIndexing = await inTwentySeconds();
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { configurable: true, value: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  assert.equal(await inTwentySeconds(), 0, 'it does not ask while nobody looks');
  await withAnswer((status) => ({ json: status }));
  await stateIs('Running');
  report.askedAtRest = await inTwentySeconds();
  assert.ok(Number(report.askedWhileIndexing) >= 7, `asked ${report.askedWhileIndexing} times`);
  assert.ok(Number(report.askedAtRest) <= 2, `asked ${report.askedAtRest} times`);
  await page.unrouteAll();
}

// ---- links ----

/** @param {string} root @param {string} place */
async function explorer(root, place) {
  await page.goto('about:blank');
  await page.goto(`${root}/app/explorer.html${place}`);
}

async function explorerLeadsToTheViewer() {
  const [study] = await rest('studies?expand');
  const [series] = await rest(`studies/${study.ID}/series`);
  const instance = await rest(`instances/${series.Instances[0]}`);
  await explorer(base, `#study?uuid=${study.ID}`);
  const whole = await opened('#cbmir-open-study');
  assert.equal(whole, `${base}/ohif/viewer?StudyInstanceUIDs=${study.MainDicomTags.StudyInstanceUID}`);
  await explorer(base, `#instance?uuid=${instance.ID}`);
  await page.locator('#cbmir-open-slice').waitFor();
  await shot('explorer-instance');
  const slice = new URL(await opened('#cbmir-open-slice'));
  assert.equal(slice.pathname, '/ohif/viewer');
  assert.equal(slice.hash, '#find-similar');
  assert.deepEqual(Object.fromEntries(slice.searchParams), {
    StudyInstanceUIDs: study.MainDicomTags.StudyInstanceUID,
    initialSeriesInstanceUID: series.MainDicomTags.SeriesInstanceUID,
    initialSOPInstanceUID: instance.MainDicomTags.SOPInstanceUID,
  });
}

/** Click, and return the address that another tab opens. @param {string} button */
async function opened(button) {
  const [tab] = await Promise.all([page.context().waitForEvent('page'), page.locator(button).click()]);
  await tab.waitForURL('**/ohif/**');
  const url = tab.url();
  await tab.close();
  return url;
}

async function explorerLeadsToTheStatusPage(root = base) {
  await explorer(root, '');
  await page.locator('#cbmir-status').waitFor();
  await shot('explorer');
  await page.locator('#cbmir-status').click();
  await page.waitForURL(`${root}/cbmir/`);
  await stateIs('Running');
}

/** A reverse proxy on a free port that serves Orthanc below /pacs/. */
async function worksBehindAPrefix() {
  const target = new URL(base);
  const proxy = http.createServer((request, response) => {
    const forwarded = { host: target.hostname, port: target.port, path: request.url?.replace(/^\/pacs/, '') };
    const onward = http.request({ ...forwarded, method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', () => resolve(undefined)));
  const root = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (proxy.address()).port}/pacs`;
  try {
    await explorerLeadsToTheStatusPage(root);
    await page.locator('#model-card h3').first().waitFor();
    assert.deepEqual(
      seen.foreignRequests.filter((url) => !url.startsWith(`${root}/`)),
      [],
    );
    seen.foreignRequests.length = 0;
  } finally {
    proxy.closeAllConnections();
    proxy.close();
  }
}

const SCENARIOS = {
  archive: [
    showsWhatTheArchiveHolds,
    showsHowGoodItIs,
    showsWhatIsMeasuredNightly,
    showsTheArchiveAtAGlance,
    leadsFromTheMapToAStudy,
    theMapCanBeUsedWithKeysAlone,
    showsTheModelCard,
    keepsTheDisclaimerInSight,
    () => shot('status'),
    canBeUsedWithKeysAlone,
    fitsAPhone,
    drawsAsManyAsThereMayBe,
    explorerLeadsToTheViewer,
    () => explorerLeadsToTheStatusPage(),
    worksBehindAPrefix,
    openStatusPage,
    nothingWentWrong,
    hasWordsForEveryState,
    showsProgress,
    asksOftenOnlyWhileThereIsWork,
  ],
  changing: [
    async () => {
      await openStatusPage();
      const change = (await rest('cbmir/status')).modelChange;
      await until('the change is told', async () => (await text('change')).includes(change.to));
      assert.match(await text('change-share'), /^\d+ of \d+ slices embedded by second-[0-9a-f]{12}$/);
      await shot('changing');
      fs.writeFileSync(values.seen ?? '', '');
      await until('the change is over', async () => !(await page.locator('#change').isVisible()));
      report.model = (await rest('cbmir/status')).model.name;
    },
    nothingWentWrong,
  ],
  disabled: [
    async () => {
      await openStatusPage();
      await stateIs('Switched off');
      report.reason = await text('state-reason');
      assert.equal(await page.locator('#model').isVisible(), false);
      await shot('disabled');
    },
  ],
  limited: [
    async () => {
      await openStatusPage();
      await stateIs('Running');
      report.advice = await text('state-advice');
      for (const part of ['counts', 'quality', 'drift', 'scanners', 'map', 'health', 'modalities', 'not-indexed'])
        assert.equal(await page.locator(`#${part}`).isVisible(), false, part);
    },
    nothingWentWrong,
  ],
  'without-viewer': [
    async () => {
      const [study] = await rest('studies?expand');
      await explorer(base, `#study?uuid=${study.ID}`);
      await page.locator('#study-delete').waitFor();
      assert.equal(await page.locator('#cbmir-open-study').count(), 0);
    },
    () => explorerLeadsToTheStatusPage(),
    nothingWentWrong,
  ],
};

async function nothingWentWrong() {
  assert.deepEqual(seen.failedRequests, []);
  assert.deepEqual(seen.foreignRequests, []);
}

try {
  for (const act of SCENARIOS[/** @type {keyof typeof SCENARIOS} */ (scenario)]) {
    try {
      await act();
    } catch (error) {
      await shot(`failed-${act.name || 'shot'}`);
      throw new Error(`${act.name}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }
  assert.deepEqual([seen.pageErrors, seen.consoleErrors, seen.foreignRequests], [[], [], []]);
  console.log(JSON.stringify({ scenario, ...report, artefacts: path.resolve(values.artefacts) }));
} finally {
  await browser.close();
}
