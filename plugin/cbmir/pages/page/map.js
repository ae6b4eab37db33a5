/** The map of the archive: what is pointed at shows its picture, a click or Enter opens its study. */
import { API, ask } from './asking.js';
import { by, element, say } from './elements.js';
import { MapDrawing, NAMES, drawMark, grouped, nearest, towards } from './mapDrawing.js';
import { ago, number, percent } from './words.js';

/** @typedef {import('./mapDrawing.js').Point} Point */
/** @typedef {import('./mapDrawing.js').Group} Group */

/** How long a map is as good as new, and how long there may be none. */
const OLD_MS = 600_000;
const SOON_MS = 10_000;
/** So long a pointer rests before a picture is asked for: one that passes over the map loads none. */
const REST_MS = 60;
const ARROWS = /** @type {Record<string, [number, number]>} */ ({
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
});

const canvas = /** @type {HTMLCanvasElement} */ (by('map-canvas'));
const drawing = new MapDrawing(canvas);
/** @type {Point[]} */
let points = [];
/** @type {Group[]} */
let groups = [];
/** @type {string | null} */
let chosen = null;
/** @type {Point | null} */
let pointed = null;
let asked = -Infinity;
let inSight = false;
let rest = 0;

const attribute = () =>
  /** @type {keyof typeof NAMES} */ (
    /** @type {HTMLInputElement} */ (document.querySelector('input[name="map-by"]:checked')).value
  );
/** What can be pointed at: where a group stands out, that one. */
const shown = () => groups.find(({ name }) => name === chosen)?.points ?? points;

/** Ask for the map where somebody sees it and there is none yet, or an old one. */
export async function lookAtMap() {
  by('map').hidden = false;
  if (!inSight || performance.now() - asked < (points.length ? OLD_MS : SOON_MS)) return;
  asked = performance.now();
  // what fails is tried again with a later look at the status
  const found = await ask('map').catch(() => null);
  if (!found) return;
  points = found.points;
  by('map-none').hidden = points.length > 0;
  by('map-drawn').hidden = !points.length;
  if (!points.length) return;
  const part = points.length < found.slices ? ` of ${number(found.slices)}` : '';
  say('map-basis', `${number(points.length)}${part} slices, drawn ${ago(found.time)} by ${found.model}.`);
  regroup();
}

function regroup() {
  groups = grouped(points, NAMES[attribute()]);
  chosen = null;
  const rows = groups.map((group) => {
    const toggle = element(
      'button',
      { type: 'button', class: 'plain', 'aria-pressed': 'false' },
      sign(group),
      group.name,
    );
    toggle.addEventListener('click', () => choose(chosen === group.name ? null : group.name));
    return element(
      'tr',
      {},
      element('td', {}, toggle),
      element('td', { class: 'number' }, number(group.points.length)),
      element('td', { class: 'number soft' }, percent(group.points.length / points.length)),
    );
  });
  by('map-groups').replaceChildren(...rows);
  redraw();
}

/** The mark of a group, for the legend. @param {Group} group */
function sign({ ink, mark }) {
  const small = /** @type {HTMLCanvasElement} */ (element('canvas', { width: 28, height: 28, 'aria-hidden': 'true' }));
  const pen = /** @type {CanvasRenderingContext2D} */ (small.getContext('2d'));
  pen.fillStyle = ink;
  drawMark(pen, mark, 14, 14, 9);
  return small;
}

/** @param {string | null} name */
function choose(name) {
  chosen = name;
  by('map-groups')
    .querySelectorAll('button')
    .forEach((button, i) => button.setAttribute('aria-pressed', String(groups[i].name === chosen)));
  redraw();
}

function redraw() {
  drawing.draw(groups, chosen);
  point(null);
}

/** Show what is known of a point beside it. @param {Point | null} at */
function point(at) {
  if (at === pointed && at) return;
  pointed = at;
  drawing.ring(at);
  canvas.style.cursor = at ? 'pointer' : 'default';
  clearTimeout(rest);
  const card = by('map-point');
  card.hidden = !at;
  if (!at) return say('map-told', null);
  const words = Object.values(NAMES).map((nameOf) => nameOf(at));
  by('map-words').replaceChildren(...words.map((text) => element('span', {}, text)));
  say('map-told', words.join(', '));
  const [x, y] = drawing.place(at);
  // to the side where there is room
  card.style.left = x > drawing.side.width / 2 ? '' : `${x + 14}px`;
  card.style.right = x > drawing.side.width / 2 ? `${drawing.side.width - x + 14}px` : '';
  card.style.top = `${Math.max(0, Math.min(y - 60, drawing.side.height - 200))}px`;
  const picture = /** @type {HTMLImageElement} */ (by('map-picture'));
  picture.hidden = true;
  rest = window.setTimeout(() => (picture.src = String(within(at.thumbnailUrl))), REST_MS);
}

/** An address of this Orthanc, also where it is served below another path. @param {string} path */
const within = (path) => new URL(`..${path}`, API);

function open() {
  if (pointed) window.open(within(pointed.viewerUrl), '_blank', 'noopener');
}

by('map-picture').addEventListener('load', () => (by('map-picture').hidden = false));
canvas.addEventListener('pointermove', ({ offsetX, offsetY }) => point(nearest(drawing, shown(), offsetX, offsetY)));
canvas.addEventListener('pointerleave', () => point(null));
canvas.addEventListener('blur', () => point(null));
canvas.addEventListener('click', open);
canvas.addEventListener('keydown', (event) => {
  if (event.key === 'Enter') open();
  else if (event.key === 'Escape') point(null);
  else if (event.key in ARROWS) {
    point(pointed ? (towards(shown(), pointed, ARROWS[event.key]) ?? pointed) : (shown()[0] ?? null));
    event.preventDefault();
  }
});
for (const input of document.querySelectorAll('input[name="map-by"]')) input.addEventListener('change', regroup);
new ResizeObserver(() => points.length && redraw()).observe(canvas);
new IntersectionObserver(([entry]) => {
  inSight = entry.isIntersecting;
  if (inSight) void lookAtMap();
}).observe(by('map'));
