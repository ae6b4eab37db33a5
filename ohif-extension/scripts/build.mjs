/** Build the extension as one ES module, dist/extension.js, which OHIF imports at run time. */
import fs from 'node:fs';

import { build, transform } from 'esbuild';

/** More would be felt when the viewer starts. */
const LARGEST_BUNDLE = 200 * 1024;

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
const NOTICE = `Contains React ${dependencies.react}, (c) Facebook, Inc. and its affiliates, MIT license: https://react.dev`;

const OUT = 'dist/extension.js';

await build({
  entryPoints: ['src/index.tsx'],
  outfile: OUT,
  bundle: true,
  format: 'esm',
  minify: true,
  jsx: 'automatic',
  target: 'es2020',
  plugins: [cssAsText],
  define: {
    'process.env.NODE_ENV': '"production"',
    // Tools for developers of the host have nothing to look for in the island; Internet Explorer is none of ours.
    __REACT_DEVTOOLS_GLOBAL_HOOK__: 'undefined',
    MSApp: 'undefined',
  },
  // One line in place of the five banners that React's files have.
  legalComments: 'none',
  banner: { js: `/*! ${NOTICE} */` },
  charset: 'utf8',
});

const size = fs.statSync(OUT).size;
console.log(`${OUT}: ${size} bytes`);
if (size > LARGEST_BUNDLE) throw new Error(`the bundle is larger than ${LARGEST_BUNDLE} bytes`);
