/**
 * What must change in a built OHIF so that it runs under another path than "/".
 *
 * OHIF's build bakes its public path into the bundles, the workers, the styles and the page. Each rule counts its
 * replacements: a release that spells one of them differently must fail here, not as a black page in a hospital.
 */

/**
 * @typedef {object} Rule
 * @property {string} what       named in the error when the rule finds too little
 * @property {RegExp} files      names of the files it looks into
 * @property {RegExp} pattern    global
 * @property {(base: string) => string} replacement  may refer to groups by $1
 * @property {number} atLeast    replacements over all files
 */

/** @type {readonly Rule[]} */
export const RULES = [
  {
    what: 'public path of the app bundle and of the six decoding and geometry workers',
    files: /\.js$/,
    pattern: /__webpack_require__\.p = "\/"/g,
    replacement: (base) => `__webpack_require__.p = "${base}"`,
    atLeast: 7,
  },
  {
    what: 'path of the microscopy viewer',
    files: /^app\.bundle\..*\.js$/,
    pattern: /'\/dicom-microscopy-viewer\//g,
    replacement: (base) => `'${base}dicom-microscopy-viewer/`,
    atLeast: 1,
  },
  {
    what: 'url() of the styles',
    files: /\.css$/,
    pattern: /url\(\/(?!\/)/g,
    replacement: (base) => `url(${base}`,
    atLeast: 1,
  },
  {
    what: 'src, href and content of the page',
    files: /^index\.html$/,
    pattern: /(src|href|content)="\/(?!\/)/g,
    replacement: (base) => `$1="${base}`,
    atLeast: 10,
  },
  {
    what: 'both PUBLIC_URL of the page',
    files: /^index\.html$/,
    pattern: /window\.PUBLIC_URL\s*=\s*(['"])\/\1/g,
    replacement: (base) => `window.PUBLIC_URL="${base}"`,
    atLeast: 2,
  },
  {
    // A service worker would keep an old viewer alive after an update of the plugin.
    what: 'script of the service worker',
    files: /^index\.html$/,
    pattern: /<script[^>]*init-service-worker\.js[^>]*><\/script>/g,
    replacement: () => '',
    atLeast: 1,
  },
  {
    what: 'icons of the manifest',
    files: /^manifest\.json$/,
    pattern: /"src": "\/assets/g,
    replacement: (base) => `"src": "${base}assets`,
    atLeast: 1,
  },
];

/**
 * The files that change, with their new text.
 *
 * @param {ReadonlyMap<string, string>} files  name -> text, all of one folder
 * @param {string} base  such as "/ohif/"
 * @param {readonly Rule[]} rules
 * @returns {Map<string, string>}
 * @throws {Error} naming the rule that found less than it must
 */
export function rebase(files, base, rules = RULES) {
  if (!/^\/([\w.-]+\/)+$/.test(base)) throw new Error(`the base path must look like /ohif/ or /a/b/: ${base}`);
  const changed = new Map();
  for (const rule of rules) {
    let found = 0;
    for (const [name, text] of files) {
      if (!rule.files.test(name)) continue;
      const before = changed.get(name) ?? text;
      found += before.match(rule.pattern)?.length ?? 0;
      const after = before.replace(rule.pattern, rule.replacement(base));
      if (after !== before) changed.set(name, after);
    }
    if (found < rule.atLeast)
      throw new Error(`rebase: ${rule.what}: found ${found}, expected at least ${rule.atLeast}`);
  }
  return changed;
}
