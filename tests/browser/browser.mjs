/** Chromium with a watchful eye: what goes wrong in the page or leaves the origin is written down. */
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const EXTENSION = fileURLToPath(new URL('../../ohif-extension/', import.meta.url));
const { chromium } = createRequire(path.join(EXTENSION, 'package.json'))('playwright-core');

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** WebGL on the processor, as machines that run tests have no graphics card. */
const ARGUMENTS = ['--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'];
/** Chromium's own calls home would look like requests of the page. */
const QUIET = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];

/**
 * @param {{ url: string, user?: string, artefacts: string }} options  `user` as name:password
 */
export async function openBrowser({ url, user, artefacts }) {
  fs.mkdirSync(artefacts, { recursive: true });
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: [...ARGUMENTS, ...QUIET] });
  const [username, password] = user?.split(':') ?? [];
  const context = await browser.newContext({
    viewport: { width: 1600, height: 900 },
    ...(username ? { httpCredentials: { username, password: password ?? '' } } : {}),
  });
  const page = await context.newPage();
  // OHIF is 17 MB of script, and other tests may keep the machine busy.
  page.setDefaultTimeout(120_000);
  page.setDefaultNavigationTimeout(120_000);
  const seen = watch(page, new URL(url).origin);
  const shot = (/** @type {string} */ name) => page.screenshot({ path: path.join(artefacts, `${name}.png`) });
  return { browser, page, seen, shot };
}

/** @typedef {ReturnType<typeof watch>} Seen */

/** @param {import('playwright-core').Page} page @param {string} origin */
function watch(page, origin) {
  const seen = {
    /** @type {string[]} */ pageErrors: [],
    /** @type {string[]} */ consoleErrors: [],
    /** @type {string[]} */ foreignRequests: [],
    /** @type {string[]} */ failedRequests: [],
    /** @type {string[]} */ similarRequests: [],
  };
  page.on('pageerror', (error) => seen.pageErrors.push(error.message));
  page.on('console', (message) => {
    // Chromium's line about a failed request; those are counted by their status below.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      seen.consoleErrors.push(message.text());
    }
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http') && url.origin !== origin) seen.foreignRequests.push(request.url());
    if (url.pathname.includes('/cbmir/similar/')) seen.similarRequests.push(url.search);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) seen.failedRequests.push(`${response.status()} ${response.url()}`);
  });
  return seen;
}

/**
 * Spread of the grey values in the n-th viewport, null while there is none. A picture has one well above zero, an empty
 * viewport has none.
 *
 * @param {import('playwright-core').Page} page @param {number} n @returns {Promise<number | null>}
 */
export function contrast(page, n) {
  return page.evaluate((index) => {
    const source = document.querySelectorAll('canvas.cornerstone-canvas')[index];
    if (!(source instanceof HTMLCanvasElement) || !source.width) return null;
    const copy = document.createElement('canvas');
    copy.width = source.width;
    copy.height = source.height;
    const context = copy.getContext('2d');
    if (!context) return null;
    context.drawImage(source, 0, 0);
    const { data } = context.getImageData(0, 0, copy.width, copy.height);
    let [sum, squares] = [0, 0];
    for (let i = 0; i < data.length; i += 4) {
      sum += data[i];
      squares += data[i] ** 2;
    }
    const mean = sum / (data.length / 4);
    return Math.sqrt(squares / (data.length / 4) - mean ** 2);
  }, n);
}

/**
 * @template T @param {string} what @param {() => Promise<T | null | undefined | false>} look @param {number} [limit] ms
 * @returns {Promise<T>}
 */
export async function until(what, look, limit = 120_000) {
  for (const end = Date.now() + limit; Date.now() < end;) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`did not happen in ${limit / 1000} s: ${what}`);
}
