/** The status page: asks the plugin how it is, often while it works, rarely while it rests, never while nobody looks. */
import { ask } from './asking.js';
import { bar, by, element, plot, say } from './elements.js';
import { lookAtMap } from './map.js';
import { modelCard } from './modelCard.js';
import { showDrift, showScanners } from './nightly.js';
import {
  CHANGE_ADVICE,
  FEW_ADVICE,
  FEW_PATIENTS,
  GOOD_RECALL,
  RECALL_ADVICE,
  STATES,
  ago,
  cautious,
  duration,
  number,
  percent,
  plural,
  stateOf,
  stateOfFailure,
  tenth,
} from './words.js';

const WORKING_MS = 2000;
const IDLE_MS = 10_000;
/** What changes rarely is asked for rarely. */
const SELDOM_MS = 60_000;

const LINES = /** @type {const} */ ([
  ['p1', 'precisionAt1', 'First case'],
  ['p5', 'precisionAt5', 'First 5'],
  ['p10', 'precisionAt10', 'First 10'],
  ['chance', 'chance', 'Chance'],
]);

/** What was painted last, by part: what did not change is left alone, and with it focus and selection. */
const painted = new Map();

/** @param {string} name @param {unknown} data @param {() => void} paint */
function onChange(name, data, paint) {
  const now = JSON.stringify(data);
  if (painted.get(name) === now) return;
  painted.set(name, now);
  paint();
}

// ---- state, progress, counts ----

/** @param {string} name @param {string | null} [reason] */
function showState(name, reason) {
  const state = STATES[name];
  by('state').dataset.tone = state.tone;
  say('state-name', state.name);
  say('state-advice', state.advice);
  say('state-reason', reason);
  document.title = `${state.name} – similar cases`;
}

/** @param {any} status */
function showProgress(status) {
  const done = status.indexed + status.skipped + status.failed;
  by('progress').hidden = !status.queued;
  /** @type {HTMLProgressElement} */ (by('progress-bar')).value = done / Math.max(1, done + status.queued);
  say('progress-share', `${number(done)} of ${plural(done + status.queued, 'instance')}`);
  const rate = status.instancesPerSecond ? ` · ${tenth(status.instancesPerSecond)} per second` : '';
  say('progress-rate', `${rate}${status.etaSeconds ? ` · about ${duration(status.etaSeconds)} left` : ''}`);
}

/** @param {{ to: string, slices: number, of: number, refused: number } | null} change */
function showChange(change) {
  by('change').hidden = !change;
  if (!change) return;
  /** @type {HTMLProgressElement} */ (by('change-bar')).value = change.slices / Math.max(1, change.of);
  say('change-share', `${number(change.slices)} of ${plural(change.of, 'slice')} embedded by ${change.to}`);
  const refused = change.refused ? ` · it could not take ${plural(change.refused, 'instance')}` : '';
  say('change-advice', `${refused} · ${CHANGE_ADVICE}`);
}

/** @param {any} status */
function showCounts(status) {
  const counts = {
    'Slices to search': status.slices,
    'Instances indexed': status.indexed,
    Waiting: status.queued,
    Skipped: status.skipped,
    Failed: status.failed,
  };
  onChange('counts', counts, () => {
    const tiles = Object.entries(counts).map(([name, count]) =>
      element('div', {}, element('dt', {}, name), element('dd', {}, number(count))),
    );
    by('counts').replaceChildren(...tiles);
    by('counts').hidden = false;
  });
}

// ---- modalities, and what is not indexed ----

/** @param {Record<string, number>} modalities */
function showModalities(modalities) {
  const total = Object.values(modalities).reduce((sum, count) => sum + count, 0);
  by('modalities').hidden = !total;
  const rows = Object.entries(modalities).map(([modality, count]) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row' }, modality),
      element('td', { class: 'bar' }, bar(count / total)),
      element('td', { class: 'number' }, number(count)),
    ),
  );
  by('modality-rows').replaceChildren(...rows);
}

/** @param {{ state: string, reason: string, instances: number }[]} reasons */
function showReasons(reasons) {
  by('not-indexed').hidden = !reasons.length;
  const rows = reasons.map(({ state, reason, instances }) =>
    element(
      'tr',
      {},
      element('td', {}, reason ?? 'no reason given'),
      element('td', {}, state),
      element('td', { class: 'number' }, number(instances)),
    ),
  );
  by('reasons').replaceChildren(...rows);
}

async function tryAgain() {
  const button = /** @type {HTMLButtonElement} */ (by('again'));
  button.disabled = true;
  try {
    const body = JSON.stringify({ states: ['failed', 'skipped'] });
    const { queued } = await ask('reindex', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
    say('again-result', `${plural(queued, 'instance')} will be tried again.`);
  } catch (error) {
    const { status, message } = /** @type {{ status?: number, message: string }} */ (error);
    say('again-result', status === 403 ? 'Your account may not do this.' : `This did not work: ${message}`);
  }
  button.disabled = false;
  void look();
}

// ---- how good index and answers are ----

/** @param {{ recallAt10: number, sample: number, time: string } | null} health */
function showHealth(health) {
  by('health').hidden = false;
  by('recall-figure').hidden = !health;
  say('recall', health ? cautious(health.recallAt10) : '–');
  say(
    'recall-text',
    health
      ? `of the ten most similar slices are found, measured by comparing every slice for ${plural(health.sample, 'query', 'queries')}.`
      : 'Not measured yet: it needs an indexed slice, and a moment without work.',
  );
  say('recall-advice', health && health.recallAt10 < GOOD_RECALL ? RECALL_ADVICE : null);
  say('recall-when', health && `Measured ${ago(health.time)}, at most once an hour.`);
}

/** @param {any[]} days */
function showQuality(days) {
  by('quality').hidden = false;
  by('quality-none').hidden = days.length > 0;
  by('quality-measured').hidden = !days.length;
  const last = days[days.length - 1];
  if (!last) return;
  const rows = LINES.map(([ink, key, name]) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row' }, name),
      element('td', { class: 'bar' }, bar(last[key], { ink, chance: ink === 'chance' ? NaN : last.chance })),
      element('td', { class: 'number' }, percent(last[key])),
    ),
  );
  by('quality-now').replaceChildren(element('tbody', {}, ...rows));
  const lines = LINES.map(([ink, key, name]) => ({ ink, name, shares: days.map((day) => day[key]) }));
  plot(
    by('quality-plot'),
    days.map((day) => day.date),
    lines,
  );
  const legend = LINES.map(([ink, , name]) => element('span', { class: ink }, name));
  by('quality-caption').replaceChildren(...legend);
  const few = last.patients < FEW_PATIENTS ? ` ${FEW_ADVICE}` : '';
  say(
    'quality-basis',
    `${last.date}: ${plural(last.sample, 'slice')} searched with, of ${plural(last.patients, 'patient')} with a diagnosis.${few}` +
      ' Where the archive holds cases that the model was trained on, this looks better than it is.',
  );
}

/** @param {any} card */
function showModel(card) {
  by('model').hidden = false;
  by('model-card').replaceChildren(...modelCard(card));
}

// ---- asking ----

let seldomAsked = -Infinity;
let measured = false;
let timer = 0;
let looking = false;

/** Ask once, show it, and return for how long to wait. */
async function once() {
  const status = await ask('status');
  const name = stateOf(status);
  showState(name, status.reason);
  say('version', status.version && `plugin ${status.version}`);
  if (status.disclaimer) say('disclaimer', status.disclaimer);
  if ('queued' in status) {
    showProgress(status);
    showChange(status.modelChange);
    showCounts(status);
    onChange('modalities', status.modalities, () => showModalities(status.modalities));
    onChange('reasons', status.notIndexed, () => showReasons(status.notIndexed));
    showHealth(status.indexHealth);
    // the first measurement comes with the first idle moment
    const isAwaited = !measured && name === 'ready';
    if (isAwaited || performance.now() - seldomAsked > SELDOM_MS) await askSeldom();
  }
  return STATES[name].tone === 'busy' || status.queued || status.modelChange ? WORKING_MS : IDLE_MS;
}

async function askSeldom() {
  const [card, { quality, drift, scanners }] = await Promise.all([ask('model'), ask('quality'), lookAtMap()]);
  onChange('model', card, () => showModel(card));
  onChange('quality', quality, () => showQuality(quality));
  onChange('drift', drift, () => showDrift(drift));
  onChange('scanners', scanners, () => showScanners(scanners));
  measured = quality.length > 0;
  seldomAsked = performance.now();
}

async function look() {
  if (looking || document.hidden) return;
  looking = true;
  clearTimeout(timer);
  let pause = IDLE_MS;
  try {
    pause = await once();
    say('asked', `As of ${new Date().toLocaleTimeString()}`);
  } catch (error) {
    showState(stateOfFailure(/** @type {{ status?: number }} */ (error).status ?? 0));
  }
  looking = false;
  if (!document.hidden) timer = window.setTimeout(look, pause);
}

document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : void look()));
by('again').addEventListener('click', tryAgain);
void look();
