import { expect, it } from 'vitest';

import { rebase } from './rebase.mjs';

const PAGE = `<link href="/app.bundle.css"><script src="/app-config.js"></script>${'<meta content="/assets/x.png">'.repeat(8)}
<a href="//elsewhere.example/x">x</a>
<script>window.PUBLIC_URL = '/';</script><script>window.PUBLIC_URL="/"</script>
<script rel="preload" as="script" type="module" src="/init-service-worker.js"></script>`;

const PUBLIC_PATH = '__webpack_require__.p = "/";';

/** @returns {Map<string, string>} */
function viewer() {
  return new Map(
    Object.entries({
      'app.bundle.1.js': `${PUBLIC_PATH} load('/dicom-microscopy-viewer/x.js'); const separator = "/";`,
      ...Object.fromEntries([1, 2, 3, 4, 5, 6].map((n) => [`worker${n}.bundle.js`, PUBLIC_PATH])),
      'app.bundle.css': '@font-face{src:url(/font.woff2)} a{background:url(//elsewhere.example/x)}',
      'index.html': PAGE,
      'manifest.json': '{"icons": [{"src": "/assets/icon.png"}]}',
      'untouched.js': 'const p = "/";',
    }),
  );
}

it('moves bundle, workers, styles, page and manifest', () => {
  const changed = rebase(viewer(), '/pacs/ohif/');
  expect(changed.get('worker3.bundle.js')).toBe('__webpack_require__.p = "/pacs/ohif/";');
  expect(changed.get('app.bundle.1.js')).toContain("'/pacs/ohif/dicom-microscopy-viewer/x.js'");
  expect(changed.get('app.bundle.1.js')).toContain('separator = "/"');
  expect(changed.get('app.bundle.css')).toContain('url(/pacs/ohif/font.woff2)');
  expect(changed.get('manifest.json')).toContain('"/pacs/ohif/assets/icon.png"');
  const page = changed.get('index.html');
  expect(page?.match(/PUBLIC_URL="\/pacs\/ohif\/"/g)).toHaveLength(2);
  expect(page).toContain('src="/pacs/ohif/app-config.js"');
  expect(page).not.toContain('init-service-worker');
});

it('leaves addresses of other hosts and other files alone', () => {
  const changed = rebase(viewer(), '/ohif/');
  expect(changed.get('index.html')).toContain('href="//elsewhere.example/x"');
  expect(changed.get('app.bundle.css')).toContain('url(//elsewhere.example/x)');
  expect(changed.has('untouched.js')).toBe(false);
});

it.each([...viewer().keys()].filter((name) => name !== 'untouched.js'))(
  'fails when %s spells it differently',
  (name) => {
    expect(() => rebase(viewer().set(name, ''), '/ohif/')).toThrow(/^rebase: .*found \d+, expected at least/);
  },
);

it.each(['ohif', '/ohif', '/', '/a b/', '/"/', '//'])('refuses the base %j', (base) => {
  expect(() => rebase(viewer(), base)).toThrow('must look like');
});
