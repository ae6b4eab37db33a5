/** Every word that depends on what the plugin says: what a state means, and what to do about it. */

const NUMBER = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const TENTH = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const AGO = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const UNITS = /** @type {const} */ ([
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
]);

export const number = (/** @type {number} */ value) => NUMBER.format(value);
export const tenth = (/** @type {number} */ value) => TENTH.format(value);
export const percent = (/** @type {number} */ share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
/** 99.96 % must not read as all of them. */
export const cautious = (/** @type {number} */ share) => percent(Math.floor(1000 * share) / 1000, share === 1 ? 0 : 1);
export const plural = (/** @type {number} */ n, /** @type {string} */ one, several = `${one}s`) =>
  `${number(n)} ${n === 1 ? one : several}`;

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 60) return plural(Math.max(1, Math.round(seconds)), 'second');
  if (seconds < 5400) return plural(Math.round(seconds / 60), 'minute');
  return plural(Math.round(seconds / 3600), 'hour');
}

/** @param {string} time ISO 8601 @param {number} [now] ms */
export function ago(time, now = Date.now()) {
  const seconds = (now - Date.parse(time)) / 1000;
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? ['second', 1];
  return unit === 'second' ? 'just now' : AGO.format(-Math.floor(seconds / length), unit);
}

/**
 * @typedef {{ tone: 'good' | 'busy' | 'warn' | 'bad', name: string, advice: string }} State
 * @type {Record<string, State>}
 */
export const STATES = {
  ready: { tone: 'good', name: 'Running', advice: 'Everything that the archive holds has been looked at.' },
  limited: {
    tone: 'good',
    name: 'Running',
    advice: "How much of the archive is indexed is shown to those who may see Orthanc's own statistics.",
  },
  indexing: {
    tone: 'busy',
    name: 'Indexing',
    advice: 'New images are being read, the newest first. Searching already works with what is indexed.',
  },
  comparing: {
    tone: 'busy',
    name: 'Comparing with the archive',
    advice: 'The index is brought in line with what the archive holds. Searching already works.',
  },
  starting: {
    tone: 'busy',
    name: 'Starting',
    advice: 'The model and the index are being loaded. There is nothing to do.',
  },
  stopped: { tone: 'warn', name: 'Stopping', advice: 'Orthanc is shutting down.' },
  degraded: {
    tone: 'warn',
    name: 'Running with a problem',
    advice:
      'Searching works with what is indexed, and what failed is tried again by itself. If this lasts, see whether the disk is full or read-only; the log of Orthanc says more.',
  },
  stalled: {
    tone: 'bad',
    name: 'Indexing hangs',
    advice:
      'There has been no sign of life for more than a minute. Searching works with what is indexed. If this does not pass, restart Orthanc.',
  },
  disabled: {
    tone: 'bad',
    name: 'Switched off',
    advice:
      'The archive works as ever, but similar cases cannot be found. Remove the cause below, then restart Orthanc.',
  },
  signedOut: { tone: 'bad', name: 'Not signed in', advice: 'Reload this page to sign in again.' },
  forbidden: { tone: 'bad', name: 'Not permitted', advice: 'Your account may not see the status.' },
  unreachable: { tone: 'bad', name: 'No answer', advice: 'Orthanc cannot be reached. This page goes on asking.' },
};

/** Which of STATES an answer of /cbmir/status stands for. @param {any} status */
export function stateOf(status) {
  if (status.worker === 'stalled') return 'stalled';
  if (status.state !== 'running') return status.state in STATES ? status.state : 'unreachable';
  if (!('queued' in status)) return 'limited';
  if (status.queued) return 'indexing';
  return status.reconciled ? 'ready' : 'comparing';
}

/** Which of STATES an error stands for. @param {number} httpStatus */
export function stateOfFailure(httpStatus) {
  return { 401: 'signedOut', 403: 'forbidden' }[httpStatus] ?? 'unreachable';
}

/** While another model embeds everything. */
export const CHANGE_ADVICE = 'until it has embedded all, the model below answers';

/** Recall below which the index ought to be built anew. */
export const GOOD_RECALL = 0.95;
export const RECALL_ADVICE =
  'The index passes over slices that it should find. To build it anew, stop Orthanc, delete the files index* in the data directory (not the catalogue), and start it again.';

/** With fewer patients than this, the figures say little. */
export const FEW_PATIENTS = 50;
export const FEW_ADVICE =
  'With so few patients, the first 5 and the first 10 take in many of them, whatever they have: that alone brings the figures near chance.';

/** Distance, in thresholds, beyond which new studies differ by more than chance. */
export const MUCH_DRIFT = 1;
export const DRIFT_ADVICE =
  'Recent studies look different to the model than those before, by more than chance. If this lasts for days, ask what has changed: a scanner, a protocol, a clinic. Look whether answers to new studies are still good.';

/** Share of the own scanner, in shares by chance, that is worth a look. */
export const MUCH_SCANNER = 2;
export const SCANNERS_ADVICE =
  'Cases found come from the scanner of the query far more often than by chance. Scanners differ in what they are used for, so some of it is right; the model may have learnt scanners as well.';
