import { expect, it } from 'vitest';

import type { Cornerstone } from '../ohif';
import { frameOf, indexOfSlice } from './imageId';

it.each([
  ['wadors:http://x/dicom-web/studies/1/series/2/instances/3/frames/1', 1],
  ['wadors:http://x/dicom-web/studies/1/series/2/instances/3/frames/12', 12],
  ['dicomweb:http://x/wado?requestType=WADO&objectUID=3&frame=4', 4],
  ['dicomweb:http://x/wado?requestType=WADO&objectUID=3', 1],
])('finds the frame in %s', (imageId, frame) => expect(frameOf(imageId)).toBe(frame));

it('finds a slice by instance and frame, wherever it was sorted to', () => {
  const imageIds = ['wadors:/instances/7.2/frames/1', 'wadors:/instances/7.1/frames/1', 'wadors:/instances/7.1/frames/2'];
  const cornerstone = {
    metaData: { get: (_: string, id: string) => ({ SOPInstanceUID: id.split('/')[2] }) },
  } as unknown as Cornerstone;
  expect(indexOfSlice(cornerstone, imageIds, { SOPInstanceUID: '7.1', frame: 1 })).toBe(1);
  expect(indexOfSlice(cornerstone, imageIds, { SOPInstanceUID: '7.1', frame: 2 })).toBe(2);
  expect(indexOfSlice(cornerstone, imageIds, { SOPInstanceUID: '7.2', frame: 2 })).toBe(-1);
});
