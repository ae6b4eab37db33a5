import { expect, it } from 'vitest';

import { series, ViewerDouble } from '../testing/viewerDouble';
import { currentImage } from './currentImage';

it('describes the slice in the active viewport', () => {
  const viewer = new ViewerDouble(...series('1.2.1', 5));
  viewer.scroll('default', 3);
  expect(currentImage(viewer.managers)).toEqual({
    SOPInstanceUID: '1.2.1.4',
    SeriesInstanceUID: '1.2.1',
    StudyInstanceUID: '1.2',
    frame: 1,
    Modality: 'MR',
    SeriesDescription: 'T1 SE TRA +C',
    InstanceNumber: 4,
    NumberOfFrames: 1,
    displaySetInstanceUIDs: ['display set of 1.2.1'],
    picture: null,
  });
});

it.each(['orthographic', 'volume3d', 'video', 'wholeSlide'])('finds no slice in a viewport of type %s', (type) => {
  const viewer = new ViewerDouble(...series('1.2.1', 5));
  viewer.viewports.get('default')!.type = type;
  expect(currentImage(viewer.managers)).toBeNull();
});

it('finds no slice where the viewport is not mounted or empty', () => {
  const viewer = new ViewerDouble(...series('1.2.1', 5));
  viewer.viewports.clear();
  expect(currentImage(viewer.managers)).toBeNull();
  expect(currentImage(new ViewerDouble().managers)).toBeNull();
});
