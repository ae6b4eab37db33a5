import { expect, it } from 'vitest';

import { golden, goldenAnswer } from '../testing/answers';
import { text } from '../text';
import type { CurrentImage } from '../viewer/currentImage';
import { boxesOf } from './drawing';
import { PICTURE_SIDE, sheetOf } from './sheet';

const query: CurrentImage = {
  ...{ SOPInstanceUID: '1.2.3.1.1.1', SeriesInstanceUID: '1.2.3.1.1', StudyInstanceUID: '1.2.3.1', frame: 1 },
  ...{ Modality: 'MR', SeriesDescription: 'T1 SE TRA +C', InstanceNumber: 1, NumberOfFrames: 1 },
  ...{ displaySetInstanceUIDs: [], picture: 'data:image/jpeg;base64,seen' },
};

it('shows query and cases with similarity, label and sequence', () => {
  const answer = goldenAnswer();
  const sheet = sheetOf(answer, query, answer.cases);
  expect(sheet.query).toMatchObject({ caption: text.query, lines: ['MR · T1 SE TRA +C', 'meningioma'] });
  expect(sheet.hits).toHaveLength(1);
  expect(sheet.hits[0]).toMatchObject({
    caption: '1 · similarity P 38',
    lines: ['MR · T1 SE TRA +C', 'meningioma · histology'],
  });
  expect(sheet.footer).toBe(text.disclaimer);
});

it('says nothing of whose the pictures are, or when they were made', () => {
  const answer = goldenAnswer();
  const { query: asked, hits, ...rest } = sheetOf(answer, query, answer.cases);
  const words = JSON.stringify([rest, ...[asked, ...hits].map(({ caption, lines }) => [caption, lines])]);
  const { patient, StudyDate, StudyInstanceUID } = golden.cases[0]!;
  for (const secret of [patient.PatientName, 'Demo', patient.PatientID, StudyDate, '2023', StudyInstanceUID]) {
    expect(words).not.toContain(secret);
  }
});

it('asks for larger pictures than those of the cards', () => {
  const answer = goldenAnswer();
  const sheet = sheetOf(answer, query, answer.cases);
  for (const { picture } of [sheet.query, ...sheet.hits]) {
    expect(picture).toContain(`width=${PICTURE_SIDE}&height=${PICTURE_SIDE}&`);
    expect(picture).toMatch(/window-width=1[23]00\.0/);
  }
});

it('shows a region on the picture that it was drawn on', () => {
  const region = { ...{ x: 1, y: 2, width: 3, height: 4 }, outline: [[0.1, 0.2]] as [number, number][] };
  const { query: asked } = sheetOf(goldenAnswer(), { ...query, region }, []);
  expect(asked).toMatchObject({ caption: text.regionQuery, picture: query.picture, outline: [[0.1, 0.2]] });
});

it.each([1, 2, 3, 5, 10, 20, 50])('has room for %i cases, side by side on one page', (count) => {
  const boxes = boxesOf(count);
  expect(boxes).toHaveLength(count);
  for (const [at, { x, y, side }] of boxes.entries()) {
    expect(x + side).toBeLessThanOrEqual(1240 - 60);
    expect(y + side).toBeLessThan(1754 - 60);
    expect(side).toBeGreaterThan(60);
    const overlapping = boxes.filter((other) => Math.abs(other.x - x) < side && Math.abs(other.y - y) < side);
    expect(overlapping).toEqual([boxes[at]]);
  }
});
