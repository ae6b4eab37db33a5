/** Elements and small plots. All text goes through textContent: whatever an answer holds, it is never markup. */

const SVG = 'http://www.w3.org/2000/svg';

export const by = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {string} id @param {string | null | undefined} text */
export function say(id, text) {
  const target = by(id);
  target.hidden = !text;
  if (target.textContent !== (text ?? '')) target.textContent = text ?? '';
}

/**
 * @typedef {Node | string | number} Child
 * @param {string} name @param {Record<string, string | number>} [attributes] @param {Child[]} children
 */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** @param {string} name @param {Record<string, string | number>} [attributes] @param {Child[]} children */
export function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/**
 * @template {Element} T
 * @param {T} made @param {Record<string, string | number>} attributes @param {Child[]} children @returns {T}
 */
function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

/** A share as a bar, with a mark for what chance gives and a line for an interval. */
export function bar(/** @type {number} */ share, { chance = NaN, interval = [NaN, NaN], ink = '' } = {}) {
  const x = (/** @type {number} */ value) => `${100 * Math.min(1, Math.max(0, value))}%`;
  const drawn = shape('svg', { 'aria-hidden': 'true', class: ink });
  drawn.append(
    shape('rect', { class: 'track', x: 0, y: 4, width: '100%', height: 6, rx: 3 }),
    shape('rect', { class: 'fill', x: 0, y: 4, width: x(share), height: 6, rx: 3 }),
  );
  if (interval.every(Number.isFinite)) {
    drawn.append(shape('line', { class: 'interval', x1: x(interval[0]), x2: x(interval[1]), y1: 7, y2: 7 }));
  }
  if (Number.isFinite(chance))
    drawn.append(shape('line', { class: 'tick', x1: x(chance), x2: x(chance), y1: 0, y2: 14 }));
  return drawn;
}

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [520, 190, 50, 14, 10, 26];

const whole = (/** @type {number} */ share) => `${Math.round(100 * share)} %`;

/**
 * Draw shares (0..1), or other numbers up to `most`, over days.
 *
 * @param {Element} svg @param {string[]} days YYYY-MM-DD, ascending @param {{ ink: string, name: string, shares: number[] }[]} lines
 */
export function plot(svg, days, lines, { most = 1, tell = whole } = {}) {
  const times = days.map((day) => Date.parse(day));
  const span = times[times.length - 1] - times[0];
  const x = (/** @type {number} */ i) => LEFT + (WIDTH - LEFT - RIGHT) * (span ? (times[i] - times[0]) / span : 0.5);
  const y = (/** @type {number} */ share) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - share / most);
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.replaceChildren();
  for (const share of [0, 0.25, 0.5, 0.75, 1].map((part) => part * most)) {
    svg.append(
      shape('line', { class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: y(share), y2: y(share) }),
      shape('text', { x: LEFT - 8, y: y(share) + 4, 'text-anchor': 'end' }, tell(share)),
    );
  }
  const ends = span ? [0, days.length - 1] : [0];
  for (const i of ends) {
    const anchor = !span ? 'middle' : i ? 'end' : 'start';
    svg.append(shape('text', { x: x(i), y: HEIGHT - 6, 'text-anchor': anchor }, days[i]));
  }
  for (const { ink, name, shares } of lines) {
    const points = shares.map((share, i) => [x(i), y(share)]);
    // a single day is drawn as a level across, so that it can be seen beside chance
    const drawn = span
      ? points
      : [
          [LEFT, points[0][1]],
          [WIDTH - RIGHT, points[0][1]],
        ];
    svg.append(shape('polyline', { class: `line ${ink}`, points: drawn.map((point) => point.join()).join(' ') }));
    if (ink !== 'chance') {
      const told = (/** @type {number} */ i) => `${days[i]}, ${name}: ${tell(shares[i])}`;
      svg.append(
        ...points.map(([cx, cy], i) =>
          shape('circle', { class: `dot ${ink}`, cx, cy, r: 3.5 }, shape('title', {}, told(i))),
        ),
      );
    }
  }
}
