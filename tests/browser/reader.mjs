/** What a reader does and sees in the viewer, for the flows. */
import assert from 'node:assert/strict';

import { contrast, until } from './browser.mjs';

/** @typedef {ReturnType<typeof reader>} Reader */

/** @param {import('playwright-core').Page} page */
export function reader(page) {
  const cy = (/** @type {string} */ name) => page.locator(`[data-cy="${name}"]`);
  const canvases = page.locator('canvas.cornerstone-canvas');
  const corner = async (/** @type {string} */ where) =>
    (await cy(`viewport-overlay-${where}`).allInnerTexts()).map((text) => text.replace(/\s+/g, ' ').trim());

  return {
    cy,
    viewports: () => canvases.count(),
    hasPicture: (/** @type {number} */ n) =>
      until(`a picture in viewport ${n}`, async () => ((await contrast(page, n)) ?? 0) > 5),

    /** Which slice each viewport shows, such as "I: 5 (5/9)". */
    slices: () => corner('bottom-right'),

    /** Date and series of each viewport. */
    series: () => corner('top-left'),

    /** @param {number} n @param {number} notches */
    async scroll(n, notches) {
      const box = await canvases.nth(n).boundingBox();
      assert.ok(box);
      await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
      for (let i = 0; i < Math.abs(notches); i++) {
        await page.mouse.wheel(0, 100 * Math.sign(notches));
        await page.waitForTimeout(80);
      }
    },

    /** Go to a viewport, or enlarge it. @param {number} n */
    select: (n) => canvases.nth(n).click(),
    /** @param {number} n */
    enlarge: (n) => canvases.nth(n).dblclick(),
  };
}

/**
 * Runs steps one after the other, each with a screenshot and its time.
 *
 * @param {(name: string) => Promise<unknown>} shot
 */
export function steps(shot) {
  /** @type {Record<string, number>} */
  const seconds = {};
  /** @param {string} name @param {() => Promise<unknown>} action */
  async function step(name, action) {
    const start = Date.now();
    try {
      await action();
      await shot(`${String(Object.keys(seconds).length + 1).padStart(2, '0')}-${name}`);
    } catch (error) {
      await shot(`failed-${name}`);
      throw new Error(`step "${name}": ${error instanceof Error ? error.message : error}`);
    }
    seconds[name] = (Date.now() - start) / 1000;
  }
  return { step, seconds };
}

/** @param {import('./browser.mjs').Seen} seen */
export function assertClean({ pageErrors, foreignRequests, failedRequests, consoleErrors }) {
  assert.deepEqual(pageErrors, [], 'errors in the page');
  assert.deepEqual(foreignRequests, [], 'requests to other origins');
  assert.deepEqual(failedRequests, [], 'failed requests');
  assert.deepEqual(consoleErrors, [], 'errors in the console');
}

/** A function that asks Orthanc's REST API. @param {string} base @param {string} [user] */
export function restOf(base, user) {
  const headers = user ? { Authorization: `Basic ${Buffer.from(user).toString('base64')}` } : undefined;
  return async (/** @type {string} */ address) => {
    const response = await fetch(`${base}${address}`, { headers });
    assert.equal(response.status, 200, address);
    return response.json();
  };
}
