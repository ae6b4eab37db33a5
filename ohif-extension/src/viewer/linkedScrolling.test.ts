import { expect, it } from 'vitest';

import type { Instance } from '../ohif';
import { series, ViewerDouble } from '../testing/viewerDouble';
import { linkScrolling } from './linkedScrolling';

/** Two viewports side by side, "left" and "right". */
async function sideBySide(left: Instance[], right: Instance[]): Promise<ViewerDouble> {
  const viewer = new ViewerDouble(...left);
  const StudyInstanceUID = right[0]!.StudyInstanceUID!;
  viewer.loadable.set(StudyInstanceUID, right);
  await viewer.managers.commandsManager.run('loadStudy', { StudyInstanceUID });
  await viewer.managers.servicesManager.services.viewportGridService.setLayout({
    numRows: 1,
    numCols: 2,
    isHangingProtocolLayout: false,
    findOrCreateViewport: (position) => ({
      displaySetInstanceUIDs: [`display set of ${(position === 0 ? left : right)[0]!.SeriesInstanceUID}`],
      displaySetOptions: [{}],
      viewportOptions: { viewportId: position === 0 ? 'left' : 'right' },
    }),
  });
  await new Promise((resolve) => setTimeout(resolve, 1));
  return viewer;
}

const index = (viewer: ViewerDouble, id: string) => viewer.viewports.get(id)?.getCurrentImageIdIndex();

it('keeps the distance in mm between series of different spacing', async () => {
  const viewer = await sideBySide(series('1.1.1', 10, 6), series('2.1.1', 30, 2));
  viewer.scroll('left', 2);
  viewer.scroll('right', 9);
  const unlink = linkScrolling(viewer.managers, 'left', 'right');
  viewer.scroll('left', 4);
  expect(index(viewer, 'right')).toBe(15);
  viewer.scroll('right', 12);
  expect(index(viewer, 'left')).toBe(3);
  unlink();
  viewer.scroll('left', 0);
  expect(index(viewer, 'right')).toBe(12);
});

it('does not answer the follower: moving one slice in the finer series stays there', async () => {
  const viewer = await sideBySide(series('1.1.1', 10, 6), series('2.1.1', 30, 2));
  linkScrolling(viewer.managers, 'left', 'right');
  viewer.scroll('right', 2);
  expect(index(viewer, 'left')).toBe(1);
  expect(index(viewer, 'right')).toBe(2);
});

it('counts slices where there are no positions, and stops at the ends', async () => {
  const bare = series('2.1.1', 4).map((instance) => ({ ...instance, ImagePositionPatient: [] }));
  const viewer = await sideBySide(series('1.1.1', 10), bare);
  linkScrolling(viewer.managers, 'left', 'right');
  viewer.scroll('left', 3);
  expect(index(viewer, 'right')).toBe(3);
  viewer.scroll('left', 9);
  expect(index(viewer, 'right')).toBe(3);
});

it('does nothing where a viewport is missing', () => {
  const viewer = new ViewerDouble(...series('1.1.1', 3));
  expect(() => linkScrolling(viewer.managers, 'default', 'missing')()).not.toThrow();
});

it('goes by pairs where there are some, also against the order of the slices', async () => {
  const viewer = await sideBySide(series('1.1.1', 10), series('2.1.1', 10));
  const name = (SOPInstanceUID: string) => ({ SOPInstanceUID, frame: 1 });
  const pairs = [
    [name('1.1.1.2'), name('2.1.1.9')],
    [name('1.1.1.6'), name('2.1.1.3')],
    [name('1.1.1.7'), name('deleted')],
  ] as const;
  linkScrolling(viewer.managers, 'left', 'right', pairs);
  viewer.scroll('left', 1);
  expect(index(viewer, 'right')).toBe(8);
  viewer.scroll('left', 7);
  expect(index(viewer, 'right')).toBe(2);
  viewer.scroll('right', 9);
  expect(index(viewer, 'left')).toBe(1);
});

it('goes by positions where no pair is left', async () => {
  const viewer = await sideBySide(series('1.1.1', 10), series('2.1.1', 10));
  const gone = { SOPInstanceUID: 'deleted', frame: 1 };
  linkScrolling(viewer.managers, 'left', 'right', [[gone, gone]]);
  viewer.scroll('left', 4);
  expect(index(viewer, 'right')).toBe(4);
});
