/** Reading cornerstone's image ids, such as wadors:…/instances/1.2.3/frames/1. */
import type { Cornerstone } from '../ohif';

/** A slice as DICOM names it; `frame` counts from 1. */
export interface SliceName {
  SOPInstanceUID: string;
  frame: number;
}

/** The frame, counted from 1; the form …&frame=1 is that of wadouri. */
export function frameOf(imageId: string): number {
  const found = /[/&?]frames?[/=](\d+)/.exec(imageId);
  return found ? Number(found[1]) : 1;
}

/**
 * Where a slice is among the images of a viewport, -1 if it is not there. Viewports sort by position, so an index never
 * follows from InstanceNumber.
 */
export function indexOfSlice(cornerstone: Cornerstone, imageIds: string[], slice: SliceName): number {
  return imageIds.findIndex(
    (imageId) =>
      frameOf(imageId) === slice.frame &&
      cornerstone.metaData.get('instance', imageId)?.SOPInstanceUID === slice.SOPInstanceUID,
  );
}
