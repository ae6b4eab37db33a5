/** Show a certain slice in a viewport. */
import type { Managers } from '../ohif';
import { cornerstoneOf, stackViewport } from './host';
import { indexOfSlice, type SliceName } from './imageId';

/** A series of some hundred slices over a slow line still mounts within this time. */
const MOUNTED_WITHIN_MS = 20_000;

/** The series is on screen already: no event will come, so that only the frames being drawn are waited for. */
const SHOWN_WITHIN_MS = 500;

/**
 * Resolves to whether the slice is shown.
 *
 * The grid restores the slice that was last seen of a series, whatever a viewport's options ask for, and does so when
 * the viewport is mounted. So the jump waits for that event; a jump before it would be overwritten.
 */
export function jump(managers: Managers, viewportId: string, slice: SliceName, alreadyShown: boolean): Promise<boolean> {
  const { cornerstoneViewportService } = managers.servicesManager.services;
  const go = () => goTo(managers, viewportId, slice);
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      subscription.unsubscribe();
      resolve(go());
    };
    const timer = setTimeout(finish, alreadyShown ? SHOWN_WITHIN_MS : MOUNTED_WITHIN_MS);
    const subscription = cornerstoneViewportService.subscribe(
      cornerstoneViewportService.EVENTS.VIEWPORT_DATA_CHANGED,
      (event) => {
        if (event.viewportId === viewportId) finish();
      },
    );
    if (alreadyShown) go();
  });
}

function goTo(managers: Managers, viewportId: string, slice: SliceName): boolean {
  const viewport = stackViewport(managers, viewportId);
  if (!viewport) return false;
  const index = indexOfSlice(cornerstoneOf(managers), viewport.getImageIds(), slice);
  if (index < 0) return false;
  if (index !== viewport.getCurrentImageIdIndex()) void viewport.setImageIdIndex(index);
  return true;
}
