/** A line of text in the corner of a viewport, so that nobody takes the other patient for their own. */
import type { Managers } from '../ohif';
import { stackViewport } from './host';

const CLASS = 'cbmir-viewport-caption';

/** Replaces an earlier caption. It goes when the viewport does. */
export function setCaption(managers: Managers, viewportId: string, words: string): void {
  const element = stackViewport(managers, viewportId)?.element;
  if (!element) return;
  let caption = element.querySelector(`.${CLASS}`);
  if (!caption) {
    caption = document.createElement('div');
    caption.className = CLASS;
    element.append(caption);
  }
  caption.textContent = words;
}
