/**
 * Put a finished viewer into viewer/: OHIF as published on npm, moved to /ohif/, with our app-config.js and extension.
 *
 *     npm run build && npm run assemble                          # OHIF 3.13.2 -> viewer/
 *     npm run assemble -- --version 3.12.10 --out viewer-3.12    # another pinned release
 *     npm run assemble -- --base /pacs/ohif/                     # behind a reverse proxy that adds /pacs
 *
 * The tarball is checked against a hash written here and kept in ../.cache/ohif, so that only the first run needs the
 * network. While nothing but our own files has changed, only these are copied (an instant).
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { rebase } from './rebase.mjs';

const PACKAGE = fileURLToPath(new URL('../', import.meta.url));
const CACHE = path.join(PACKAGE, '..', '.cache', 'ohif');
const STAMP = '.assembled.json';

/** sha512 of the npm tarballs of @ohif/app, base64 as npm writes it. @type {Record<string, string>} */
const PINS = {
  '3.13.2': 'WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==',
  '3.12.10': '0kuF66Mq9c9dMD++bUsTjMrJpXJwaZhz9B4uS244DawAjSkTwIYFU93pxPuRUQixaRi7QAHlF3Fe1qudBlZrmA==',
};

/** Parts no radiology workstation here needs: 155 of OHIF's 204 MB. */
const LEFT_OUT = [
  '*.map', // for debugging OHIF itself
  'package/dist/ort', // ONNX runtime of the segmentation assistant
  'package/dist/sw.js', // service worker, see rebase.mjs
  'package/dist/dicom-microscopy-viewer', // whole slide images
];

/** Our files: from -> where they appear below /ohif/. @type {Record<string, string>} */
const OWN_FILES = {
  'config/app-config.js': 'app-config.js',
  'dist/extension.js': 'cbmir/extension.js',
};

/** The checked tarball's path; fetched unless it is in the cache. @param {string} version */
function tarball(version) {
  const pin = PINS[version];
  if (!pin) throw new Error(`no pinned hash for @ohif/app ${version}; known: ${Object.keys(PINS).join(', ')}`);
  const file = path.join(CACHE, `ohif-app-${version}.tgz`);
  if (fs.existsSync(file) && sha512(file) === pin) return file;
  fs.mkdirSync(CACHE, { recursive: true });
  const folder = fs.mkdtempSync(path.join(CACHE, 'fetch-'));
  try {
    // `npm pack` and not `npm install`: the dependencies that the package names are bundled, and not all published.
    execFileSync(
      'npm',
      ['pack', '--silent', '--prefer-offline', '--pack-destination', folder, `@ohif/app@${version}`],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    const fetched = path.join(folder, path.basename(file));
    const sum = sha512(fetched);
    if (sum !== pin) throw new Error(`@ohif/app ${version} is not what was pinned: sha512-${sum}`);
    fs.renameSync(fetched, file);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
  return file;
}

/** @param {string} file */
function sha512(file) {
  return createHash('sha512').update(fs.readFileSync(file)).digest('base64');
}

/** @param {string} archive @param {string} out */
function unpack(archive, out) {
  fs.mkdirSync(out, { recursive: true });
  const excluded = LEFT_OUT.map((pattern) => `--exclude=${pattern}`);
  execFileSync('tar', [
    'xzf',
    archive,
    '-C',
    out,
    '--strip-components=2',
    '--no-same-owner',
    ...excluded,
    'package/dist',
  ]);
  execFileSync('tar', ['xzf', archive, '-C', out, '--strip-components=1', '--no-same-owner', 'package/LICENSE']);
}

/** @param {string} folder @param {string} base */
function rebaseFolder(folder, base) {
  const names = fs.readdirSync(folder).filter((name) => /\.(js|css|html|json)$/.test(name));
  const files = new Map(names.map((name) => [name, fs.readFileSync(path.join(folder, name), 'utf8')]));
  for (const [name, text] of rebase(files, base)) fs.writeFileSync(path.join(folder, name), text);
}

/** What OHIF's part of the folder was made from; another text means that it must be made anew. @param {string} version @param {string} base */
function recipe(version, base) {
  const scripts = ['assemble.mjs', 'rebase.mjs'].map((name) => sha512(path.join(PACKAGE, 'scripts', name)));
  return JSON.stringify({ version, base, scripts });
}

/** @param {string} out */
function copyOwnFiles(out) {
  for (const [from, to] of Object.entries(OWN_FILES)) {
    const source = path.join(PACKAGE, from);
    if (!fs.existsSync(source)) throw new Error(`${from} is missing: run "npm run build" first`);
    fs.mkdirSync(path.dirname(path.join(out, to)), { recursive: true });
    fs.copyFileSync(source, path.join(out, to));
  }
}

/** @param {{ version: string, out: string, base: string }} options */
export function assemble({ version, out, base }) {
  const wanted = recipe(version, base);
  const stamp = path.join(out, STAMP);
  const fresh = !fs.existsSync(stamp) || fs.readFileSync(stamp, 'utf8') !== wanted;
  if (fresh) {
    // Made beside and renamed: a viewer half unpacked is never served.
    const beside = `${out}.new`;
    fs.rmSync(beside, { recursive: true, force: true });
    unpack(tarball(version), beside);
    rebaseFolder(beside, base);
    fs.writeFileSync(path.join(beside, STAMP), wanted);
    fs.rmSync(out, { recursive: true, force: true });
    fs.renameSync(beside, out);
  }
  copyOwnFiles(out);
  return fresh;
}

function main() {
  const { values } = parseArgs({
    options: {
      version: { type: 'string', default: '3.13.2' },
      out: { type: 'string', default: 'viewer' },
      base: { type: 'string', default: '/ohif/' },
    },
  });
  const out = path.resolve(PACKAGE, values.out);
  const fresh = assemble({ ...values, out });
  console.log(`${fresh ? 'assembled' : 'up to date'}: OHIF ${values.version} for ${values.base} in ${out}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main();
