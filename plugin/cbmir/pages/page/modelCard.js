/** The model card, as its card.json has it. A card may lack any part. */
import { bar, element } from './elements.js';

/** @typedef {import('./elements.js').Child} Child */

/** @param {any} card @returns {HTMLElement[]} */
export function modelCard(card) {
  return [
    part('What it is', text(card.summary), facts(card)),
    part('Intended use', text(card.intendedUse)),
    part('Limits', list(card.limits)),
    part('Data', list(card.data?.map(source))),
    ...Object.entries(card.figures ?? {}).map(([title, figure]) => part(`Figures: ${title}`, ...measured(figure))),
  ].filter((made) => made.children.length > 1);
}

/** @param {string} title @param {(Child | null)[]} children */
function part(title, ...children) {
  return element('section', {}, element('h3', {}, title), ...children.filter((child) => child !== null));
}

/** @param {unknown} words */
const text = (words) => (typeof words === 'string' && words ? element('p', {}, words) : null);

/** @param {Child[] | undefined} items */
const list = (items) => (items?.length ? element('ul', {}, ...items.map((item) => element('li', {}, item))) : null);

/** @param {any} card */
function facts(card) {
  const rows = {
    Name: card.name,
    Id: card.id,
    Licence: card.licence,
    Network: card.network,
    Embedding: card.dim && `${card.dim} numbers, from ${card.size} × ${card.size} pixels`,
    Classes: card.labels?.join(', '),
    Training: card.recipe && `recipe ${card.recipe.name}, seed ${card.recipe.seed}, ${card.recipe.epochsDone} epochs`,
  };
  const shown = Object.entries(rows).filter(([, value]) => value);
  return element(
    'dl',
    { class: 'facts' },
    ...shown.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]),
  );
}

/** @param {any} data */
function source(data) {
  const link = /^https:\/\//.test(data.url ?? '')
    ? element('a', { href: data.url, target: '_blank', rel: 'noopener noreferrer' }, data.name)
    : (data.name ?? '');
  const words = [data.licence && `(${data.licence})`, data.attribution, data.use].filter(Boolean).join(' ');
  return element('span', {}, link, ` ${words}`);
}

/** @param {any} figure @returns {(Child | null)[]} */
function measured(figure) {
  const size = figure.queries && `${figure.queries} queries, ${figure.gallery} pictures in the gallery.`;
  const values = Object.entries(figure.values ?? {});
  const classes = Object.entries(figure.perClass ?? {});
  return [
    text([size, figure.protocol].filter(Boolean).join(' ')),
    values.length ? table(values.map(([name, value]) => measure(name, value, figure.intervals?.[name]))) : null,
    classes.length
      ? table(
          classes.map(([name, row]) => ofClass(name, row)),
          'mAP by class; the mark is chance',
        )
      : null,
  ];
}

/** @param {HTMLElement[]} rows @param {string} [caption] */
function table(rows, caption) {
  const body = element('tbody', {}, ...rows);
  return caption ? element('table', {}, element('caption', {}, caption), body) : element('table', {}, body);
}

/** @param {string} name @param {any} value @param {number[] | undefined} interval */
function measure(name, value, interval) {
  const between = interval ? ` (${interval.map((end) => end.toFixed(3)).join(' to ')})` : '';
  const shown = `${typeof value === 'number' ? value.toFixed(3) : value}${between}`;
  return row(name.replaceAll('_', ' '), value >= 0 && value <= 1 ? bar(value, { interval }) : '', shown);
}

/** @param {string} label @param {any} found */
function ofClass(label, found) {
  const drawn = bar(found.mAP, { chance: found.chance_mAP, ink: 'p5' });
  return row(`${label}, ${found.n_queries} queries`, drawn, found.mAP.toFixed(3));
}

/** @param {string} name @param {Child} drawn @param {string} value */
function row(name, drawn, value) {
  return element(
    'tr',
    {},
    element('th', { scope: 'row' }, name),
    element('td', { class: 'bar' }, drawn),
    element('td', { class: 'number' }, value),
  );
}
