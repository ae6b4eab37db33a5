/** What is measured once a day: whether new studies drift away, and whether hits merely share the scanner. */
import { by, element, plot, say } from './elements.js';
import { DRIFT_ADVICE, MUCH_DRIFT, MUCH_SCANNER, SCANNERS_ADVICE, percent, plural, tenth } from './words.js';

/** @param {any[]} days */
export function showDrift(days) {
  const last = begin('drift', days);
  if (!last) return;
  const ratios = days.map((day) => day.distance / Math.max(day.threshold, 1e-4));
  const ratio = ratios[ratios.length - 1];
  say('drift-figure', tenth(ratio));
  say('drift-advice', ratio > MUCH_DRIFT ? DRIFT_ADVICE : null);
  const dates = days.map((day) => day.date);
  const most = Math.max(2, ...ratios.map(Math.ceil));
  const lines = [
    { ink: 'p1', name: 'Distance', shares: ratios },
    { ink: 'chance', name: 'Chance', shares: days.map(() => 1) },
  ];
  plot(by('drift-plot'), dates, lines, { most, tell: tenth });
  legend('drift-caption', [
    ['p1', 'Distance'],
    ['chance', 'What chance exceeds once in a hundred times'],
  ]);
  const scanners = last.newScannerShare
    ? ` ${percent(last.newScannerShare)} of the recent patients have slices of a scanner that was not there before.`
    : '';
  say(
    'drift-basis',
    `${last.date}: ${plural(last.patients, 'patient')} of the last 28 days against ${last.referencePatients} of the 365 days before.${scanners}`,
  );
}

/** @param {any[]} days */
export function showScanners(days) {
  const last = begin('scanners', days);
  if (!last) return;
  const ratio = last.share / Math.max(last.chance, 1e-4);
  say('scanners-figure', tenth(ratio));
  say('scanners-advice', ratio > MUCH_SCANNER ? SCANNERS_ADVICE : null);
  const lines = [
    { ink: 'p1', name: 'Own scanner', shares: days.map((day) => day.share) },
    { ink: 'chance', name: 'Chance', shares: days.map((day) => day.chance) },
  ];
  const dates = days.map((day) => day.date);
  plot(by('scanners-plot'), dates, lines);
  legend('scanners-caption', [
    ['p1', 'First 10 of the own scanner'],
    ['chance', 'Chance'],
  ]);
  say(
    'scanners-basis',
    `${last.date}: ${percent(last.share)} against ${percent(last.chance)}; ${plural(last.sample, 'slice')} searched with, of ${plural(last.patients, 'patient')} and ${plural(last.scanners, 'kind')} of scanner.`,
  );
}

/** Show a part, measured or not; return its last day. @param {string} part @param {any[]} days */
function begin(part, days) {
  by(part).hidden = false;
  by(`${part}-none`).hidden = days.length > 0;
  by(`${part}-measured`).hidden = !days.length;
  return days[days.length - 1];
}

/** @param {string} id @param {string[][]} names ink and name */
function legend(id, names) {
  by(id).replaceChildren(...names.map(([ink, name]) => element('span', { class: ink }, name)));
}
