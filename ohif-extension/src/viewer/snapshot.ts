/** Twice the size in the panel, for sharp displays. */
const SIZE = 192;

/** The middle of what a viewport shows, as a small picture (data URL); null where the browser does not give it. */
export function snapshot(element: HTMLElement): string | null {
  const source = element.querySelector<HTMLCanvasElement>('canvas.cornerstone-canvas');
  if (!source?.width || !source.height) return null;
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SIZE;
  try {
    const context = canvas.getContext('2d');
    if (!context) return null;
    const side = Math.min(source.width, source.height);
    const [x, y] = [(source.width - side) / 2, (source.height - side) / 2];
    context.drawImage(source, x, y, side, side, 0, 0, SIZE, SIZE);
    return canvas.toDataURL('image/jpeg', 0.85);
  } catch {
    return null;
  }
}
