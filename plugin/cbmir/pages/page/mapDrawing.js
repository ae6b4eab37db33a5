/** The map of the archive on a canvas: groups by one attribute, each with a colour and a shape of its own. */

/**
 * @typedef {{ orthancId: string, x: number, y: number, labels: string[], sequence: string, scanner: string,
 *   thumbnailUrl: string, viewerUrl: string }} Point
 * @typedef {{ name: string, ink: string, mark: number, points: Point[] }} Group
 */

/** Okabe and Ito (2008): told apart with any kind of colour vision. Their black would not be seen here. */
const INKS = ['#e69f00', '#56b4e9', '#009e73', '#f0e442', '#d55e00', '#cc79a7', '#4d9de0'];
const GREY = '#93a1b5';
const RADIUS = 3.6;
const MARGIN = 14;

/** What a point is called by each attribute that it can be coloured by. */
export const NAMES = {
  label: (/** @type {Point} */ point) => point.labels.join(', ') || 'no label',
  sequence: (/** @type {Point} */ point) => point.sequence || 'not known',
  scanner: (/** @type {Point} */ point) => point.scanner || 'not known',
};
const NOTHING = ['no label', 'not known'];

/** The groups, the largest first; the small ones together, and last what nothing is known of. @param {Point[]} points @param {(point: Point) => string} nameOf @returns {Group[]} */
export function grouped(points, nameOf) {
  /** @type {Map<string, Point[]>} */
  const byName = new Map();
  for (const point of points) {
    const name = nameOf(point);
    byName.set(name, [...(byName.get(name) ?? []), point]);
  }
  const unknown = [...byName].filter(([name]) => NOTHING.includes(name));
  const known = [...byName].filter(([name]) => !NOTHING.includes(name));
  known.sort(([a, some], [b, others]) => others.length - some.length || (a < b ? -1 : 1));
  const small = known.slice(INKS.length);
  const rest = small.length ? [[`${small.length} others`, small.flatMap(([, some]) => some)]] : [];
  const grey = /** @type {[string, Point[]][]} */ ([...rest, ...unknown]);
  return [
    ...known.slice(0, INKS.length).map(([name, some], i) => ({ name, ink: INKS[i], mark: i, points: some })),
    ...grey.map(([name, some], i) => ({ name, ink: GREY, mark: i, points: some })),
  ];
}

/** Paths of the marks around (0, 0): a group is known by its shape where it is not by its colour. */
const MARKS = [
  [],
  [-0.85, -0.85, 0.85, -0.85, 0.85, 0.85, -0.85, 0.85],
  [0, -1.15, 1.05, 0.75, -1.05, 0.75],
  [0, -1.2, 1.2, 0, 0, 1.2, -1.2, 0],
  [0, 1.15, 1.05, -0.75, -1.05, -0.75],
  [-1.2, -0.5, 1.2, -0.5, 1.2, 0.5, -1.2, 0.5],
  [-0.5, -1.2, 0.5, -1.2, 0.5, 1.2, -0.5, 1.2],
];

/** @param {CanvasRenderingContext2D} pen @param {number} mark @param {number} x @param {number} y @param {number} radius */
export function drawMark(pen, mark, x, y, radius) {
  const corners = MARKS[mark % MARKS.length];
  pen.beginPath();
  if (!corners.length) pen.arc(x, y, radius, 0, 2 * Math.PI);
  for (let i = 0; i < corners.length; i += 2) pen.lineTo(x + radius * corners[i], y + radius * corners[i + 1]);
  pen.closePath();
  pen.fill();
}

/** A canvas that shows groups, one of them brighter than the others if wished, and a ring around one point. */
export class MapDrawing {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    /** All points as they were last drawn; the ring comes on top, so that moving it costs one copy. */
    this.still = document.createElement('canvas');
    this.side = { width: 1, height: 1 };
  }

  /** @param {Group[]} groups @param {string | null} chosen the name of the group that stands out */
  draw(groups, chosen) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const sharp = window.devicePixelRatio || 1;
    this.side = { width, height };
    for (const one of [this.canvas, this.still]) {
      one.width = Math.max(1, Math.round(width * sharp));
      one.height = Math.max(1, Math.round(height * sharp));
    }
    const pen = /** @type {CanvasRenderingContext2D} */ (this.still.getContext('2d'));
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    // the chosen group last, so that nothing hides it; else the small ones on top of the large
    const order = [...groups].sort((a, b) => Number(a.name === chosen) - Number(b.name === chosen));
    for (const { name, ink, mark, points } of order) {
      pen.fillStyle = ink;
      pen.globalAlpha = chosen === null ? 0.85 : name === chosen ? 1 : 0.12;
      for (const point of points) drawMark(pen, mark, ...this.place(point), RADIUS);
    }
    this.ring(null);
  }

  /** @param {Point | null} point */
  ring(point) {
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'));
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.drawImage(this.still, 0, 0);
    if (!point) return;
    const sharp = this.canvas.width / Math.max(1, this.side.width);
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.strokeStyle = '#fff';
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(...this.place(point), RADIUS + 4, 0, 2 * Math.PI);
    pen.stroke();
  }

  /** Where a point is, in pixels of the page. @param {Point} point @returns {[number, number]} */
  place({ x, y }) {
    const { width, height } = this.side;
    return [MARGIN + x * (width - 2 * MARGIN), MARGIN + y * (height - 2 * MARGIN)];
  }
}

/** The point nearest to a place within `reach` pixels, or null. @param {MapDrawing} drawing @param {Point[]} points @param {number} x @param {number} y */
export function nearest(drawing, points, x, y, reach = 12) {
  let best = null;
  let least = reach ** 2;
  for (const point of points) {
    const [px, py] = drawing.place(point);
    const apart = (px - x) ** 2 + (py - y) ** 2;
    if (apart <= least) [best, least] = [point, apart];
  }
  return best;
}

/** The next point towards a direction, near and straight ahead before far and aside; null if there is none. @param {Point[]} points @param {Point} from @param {[number, number]} direction */
export function towards(points, from, [dx, dy]) {
  let best = null;
  let least = Infinity;
  for (const point of points) {
    const ahead = (point.x - from.x) * dx + (point.y - from.y) * dy;
    const aside = Math.abs((point.x - from.x) * dy) + Math.abs((point.y - from.y) * dx);
    if (ahead > 1e-6 && ahead >= aside && ahead + aside < least) [best, least] = [point, ahead + aside];
  }
  return best;
}
