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
 * From a click on "Find similar" to what the reader then sees, in ms, as the page's own clock has it: `cards` once they
 * are painted, `pictures` once each of them has its picture as well.
 *
 * @param {import('playwright-core').Page} page @returns {Promise<{ cards: number, pictures: number }>}
 */
export async function clickToCards(page) {
  await page.evaluate(() => {
    const times = (window.cbmirTimes = { clicked: 0, cards: 0, pictures: 0 });
    const find = document.querySelector('[data-cy="cbmir-find"]');
    find?.addEventListener('click', () => (times.clicked = performance.now()), { once: true, capture: true });
    const painted = (/** @type {'cards' | 'pictures'} */ what) =>
      requestAnimationFrame(() => setTimeout(() => (times[what] = performance.now()), 0));
    const loaded = () => {
      const pictures = [...document.querySelectorAll('[data-cy="cbmir-card"] img')];
      const all = pictures.every((one) => one instanceof HTMLImageElement && one.complete && one.naturalWidth > 0);
      if (all && pictures.length > 0) painted('pictures');
      else requestAnimationFrame(loaded);
    };
    new MutationObserver((_, observer) => {
      if (!times.clicked || !document.querySelector('[data-cy="cbmir-hit"]')) return;
      observer.disconnect();
      painted('cards');
      loaded();
    }).observe(document.querySelector('[data-cy="cbmir-panel"]'), { childList: true, subtree: true });
  });
  await page.locator('[data-cy="cbmir-find"]').click();
  const { clicked, cards, pictures } = await until('cards with their pictures', () =>
    page.evaluate(() => window.cbmirTimes.pictures > 0 && window.cbmirTimes),
  );
  return { cards: cards - clicked, pictures: pictures - clicked };
}

/**
 * How far the greys of a picture and of the n-th viewport lie apart, 0 to 255 in the mean, both as a square around the
 * whole slice; null while either is missing.
 *
 * @param {import('playwright-core').Page} page @param {string} picture  a selector @param {number} n
 */
export function greyDifference(page, picture, n) {
  return page.evaluate(
    ([selector, index]) => {
      const SIDE = 96;
      const image = document.querySelector(selector);
      const viewport = document.querySelectorAll('canvas.cornerstone-canvas')[index];
      if (!(image instanceof HTMLImageElement) || !image.naturalWidth) return null;
      if (!(viewport instanceof HTMLCanvasElement) || !viewport.width) return null;
      /** @param {CanvasImageSource} source @param {number} width @param {number} height @param {number} side */
      const greys = (source, width, height, side) => {
        const canvas = document.createElement('canvas');
        canvas.width = canvas.height = SIDE;
        const context = canvas.getContext('2d');
        if (!context) return [];
        context.fillRect(0, 0, SIDE, SIDE);
        const scale = SIDE / side;
        const [x, y] = [(SIDE - width * scale) / 2, (SIDE - height * scale) / 2];
        context.drawImage(source, x, y, width * scale, height * scale);
        const { data } = context.getImageData(0, 0, SIDE, SIDE);
        return Array.from({ length: SIDE * SIDE }, (_, at) => data[4 * at]);
      };
      const { naturalWidth, naturalHeight } = image;
      const shown = greys(image, naturalWidth, naturalHeight, Math.max(naturalWidth, naturalHeight));
      const viewed = greys(viewport, viewport.width, viewport.height, Math.min(viewport.width, viewport.height));
      return shown.reduce((sum, grey, at) => sum + Math.abs(grey - viewed[at]), 0) / shown.length;
    },
    /** @type {const} */ ([picture, n]),
  );
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
