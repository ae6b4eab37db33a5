/** Draws the contact sheet: one page in A4's proportions, pictures first. */
import { resolve, rootOf } from '../orthanc';
import type { Sheet, Tile } from './sheet';

const ROOT = rootOf(import.meta.url);

/** A4 upright at 150 dots an inch. */
const PAGE = { width: 1240, height: 1754, margin: 60 };
const QUERY_SIDE = 300;
const GAP = 24;
const LINE = 22;
const LINES = 3;
const HEAD = 110;
const FOOT = 40;

const INK = '#111';
const SOFT = '#555';

interface Box {
  x: number;
  y: number;
  side: number;
}

/** @throws Error where the browser draws no pictures */
export async function drawSheet(sheet: Sheet): Promise<Blob> {
  const canvas = document.createElement('canvas');
  canvas.width = PAGE.width;
  canvas.height = PAGE.height;
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no canvas');
  const tiles = [sheet.query, ...sheet.hits];
  const pictures = await Promise.all(tiles.map(({ picture }) => load(picture)));
  context.fillStyle = '#fff';
  context.fillRect(0, 0, PAGE.width, PAGE.height);
  const { margin } = PAGE;
  write(context, sheet.title, { x: margin, y: margin, width: PAGE.width - 2 * margin, font: 'bold 34px sans-serif' });
  write(context, sheet.subtitle, { x: margin, y: margin + 46, width: PAGE.width - 2 * margin, colour: SOFT });
  const boxes = [{ x: margin, y: margin + HEAD, side: QUERY_SIDE }, ...boxesOf(sheet.hits.length)];
  tiles.forEach((tile, at) => {
    const box = boxes[at];
    if (box) drawTile(context, tile, pictures[at] ?? null, box);
  });
  const foot = PAGE.height - margin - FOOT + LINE;
  write(context, sheet.footer, { x: margin, y: foot, width: PAGE.width - 2 * margin, font: 'bold 18px sans-serif' });
  return new Promise((done, fail) =>
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error('no picture'))), 'image/png'),
  );
}

/** Places of the hits below the query: as few columns as all of them need, so that pictures are as large as can be. */
export function boxesOf(count: number): Box[] {
  const width = PAGE.width - 2 * PAGE.margin;
  const top = PAGE.margin + HEAD + QUERY_SIDE + (LINES + 1) * LINE + 2 * GAP;
  const height = PAGE.height - PAGE.margin - FOOT - top;
  for (let columns = 2; ; columns++) {
    const rows = Math.ceil(count / columns);
    const side = Math.floor((width - (columns - 1) * GAP) / columns);
    const tall = side + (LINES + 1) * LINE + GAP;
    if (rows * tall > height && columns < count) continue;
    return Array.from({ length: count }, (_, at) => ({
      x: PAGE.margin + (at % columns) * (side + GAP),
      y: top + Math.floor(at / columns) * tall,
      side,
    }));
  }
}

function drawTile(
  context: CanvasRenderingContext2D,
  { caption, outline, lines }: Tile,
  picture: HTMLImageElement | null,
  { x, y, side }: Box,
): void {
  context.fillStyle = '#000';
  context.fillRect(x, y, side, side);
  if (picture) {
    const scale = side / Math.max(picture.naturalWidth, picture.naturalHeight);
    const [width, height] = [picture.naturalWidth * scale, picture.naturalHeight * scale];
    context.drawImage(picture, x + (side - width) / 2, y + (side - height) / 2, width, height);
  }
  if (outline.length > 0) {
    context.strokeStyle = '#ff0';
    context.lineWidth = 3;
    context.beginPath();
    for (const [across, down] of outline) context.lineTo(x + across * side, y + down * side);
    context.closePath();
    context.stroke();
  }
  write(context, caption, { x, y: y + side + LINE, width: side, font: 'bold 17px sans-serif' });
  lines.slice(0, LINES).forEach((line, at) => {
    write(context, line, { x, y: y + side + (at + 2) * LINE, width: side, colour: at === 0 ? SOFT : INK });
  });
}

interface Style {
  x: number;
  y: number;
  width: number;
  font?: string;
  colour?: string;
}

/** One line, cut off where its width ends. */
function write(
  context: CanvasRenderingContext2D,
  words: string,
  { x, y, width, font = '17px sans-serif', colour = INK }: Style,
): void {
  context.font = font;
  context.fillStyle = colour;
  let shown = words;
  while (shown.length > 1 && context.measureText(shown).width > width) shown = shown.slice(0, -2).trimEnd() + '…';
  context.fillText(shown, x, y);
}

/** Null where there is none: the tile stays black. */
async function load(url: string | null): Promise<HTMLImageElement | null> {
  const address = url?.startsWith('data:') ? url : url && resolve(url, ROOT);
  if (!address) return null;
  const picture = new Image();
  picture.src = address;
  try {
    await picture.decode();
    return picture;
  } catch {
    return null;
  }
}
