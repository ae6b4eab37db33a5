/** Build the extension as one ES module, dist/extension.js, which OHIF imports at run time. */
import fs from 'node:fs';

import { build, transform } from 'esbuild';

/** More would be felt when the viewer starts. */
const LARGEST_BUNDLE = 120 * 1024;

/** Styles are inserted by the bundle itself, so they are imported as minified text. @type {import('esbuild').Plugin} */
const cssAsText = {
  name: 'css-as-text',
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(fs.readFileSync(path, 'utf8'), {
        loader: 'css',
        minify: true,
        target: 'chrome100',
      });
      return { contents: code.trim(), loader: 'text' };
    });
  },
};

const { dependencies } = JSON.parse(fs.readFileSync('package.json', 'utf8'));
const NOTICE = `Contains Preact ${dependencies.preact}, (c) Jason Miller, MIT license: https://preactjs.com`;

const OUT = 'dist/extension.js';

await build({
  entryPoints: ['src/index.tsx'],
  outfile: OUT,
  bundle: true,
  format: 'esm',
  minify: true,
  jsx: 'automatic',
  jsxImportSource: 'preact',
  target: 'es2020',
  plugins: [cssAsText],
  banner: { js: `/*! ${NOTICE} */` },
  charset: 'utf8',
});

const size = fs.statSync(OUT).size;
console.log(`${OUT}: ${size} bytes`);
if (size > LARGEST_BUNDLE) throw new Error(`the bundle is larger than ${LARGEST_BUNDLE} bytes`);
