/** The slice in the active viewport: what "find similar" means by "this". */
import type { Instance, Managers } from '../ohif';
import { cornerstoneOf, stackViewport, type StackViewport } from './host';
import { frameOf, type SliceName } from './imageId';
import type { Region } from './region';
import { snapshot } from './snapshot';

export interface CurrentImage extends SliceName {
  SeriesInstanceUID: string;
  StudyInstanceUID: string;
  Modality: string | null;
  SeriesDescription: string | null;
  InstanceNumber: number | null;
  NumberOfFrames: number;
  displaySetInstanceUIDs: string[];
  /** The slice as the reader sees it, windowed and zoomed, as a data URL. */
  picture: string | null;
  /** The part that is asked about; the whole slice where there is none. */
  region?: Region;
  /** All of its series or study is asked about, and not the slice alone. */
  scope?: 'series' | 'study';
}

/** Null where the viewport shows no slice: empty, a document, a video, a reformatted or rendered volume. */
export function currentImage(managers: Managers): CurrentImage | null {
  const { viewportGridService } = managers.servicesManager.services;
  const viewportId = viewportGridService.getActiveViewportId();
  const viewport = viewportId === null ? null : stackViewport(managers, viewportId);
  const imageId = viewport?.getCurrentImageId();
  if (!viewportId || !viewport || !imageId) return null;
  const instance = cornerstoneOf(managers).metaData.get('instance', imageId);
  const cell = viewportGridService.getState().viewports.get(viewportId);
  return describe(instance, imageId, cell?.displaySetInstanceUIDs ?? [], viewport);
}

function describe(
  instance: Instance | undefined,
  imageId: string,
  displaySetInstanceUIDs: string[],
  viewport: StackViewport,
): CurrentImage | null {
  if (!instance?.SOPInstanceUID || !instance.SeriesInstanceUID || !instance.StudyInstanceUID) return null;
  return {
    SOPInstanceUID: instance.SOPInstanceUID,
    SeriesInstanceUID: instance.SeriesInstanceUID,
    StudyInstanceUID: instance.StudyInstanceUID,
    frame: frameOf(imageId),
    Modality: instance.Modality ?? null,
    SeriesDescription: instance.SeriesDescription ?? null,
    InstanceNumber: Number(instance.InstanceNumber) || null,
    NumberOfFrames: Number(instance.NumberOfFrames) || 1,
    displaySetInstanceUIDs,
    picture: snapshot(viewport.element),
  };
}
