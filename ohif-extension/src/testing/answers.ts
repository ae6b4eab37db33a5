/** Answers as the plugin gives them, made from the example that both sides are tested against. */
import golden from '../../../tests/contract/similar.json';
import volume from '../../../tests/contract/volume.json';
import { parseSimilar, type CaseAnswer, type SimilarAnswer, type SliceAnswer } from '../answer';
import type { HeatAnswer } from '../heatAnswer';
import type { Saved } from '../saved';

export { golden, volume };

/** A fresh copy of the example. */
export function goldenAnswer(): SimilarAnswer {
  return parseSimilar(structuredClone(golden));
}

/** The example with as many cases as there are changes: 1.2.3.2.1.7, 1.2.3.3.1.7, … */
export function answerWith(...changes: Partial<CaseAnswer>[]): SimilarAnswer {
  const answer = goldenAnswer();
  const cases = changes.map((change, index) => {
    const StudyInstanceUID = `1.2.3.${index + 2}`;
    const best = slice(`${StudyInstanceUID}.1.7`);
    const { SeriesInstanceUID } = best;
    return { ...example(), rank: index + 1, StudyInstanceUID, SeriesInstanceUID, slices: [best], ...change };
  });
  return { ...answer, cases };
}

/** A slice of the series and study that its UID starts with. */
export function slice(SOPInstanceUID: string): SliceAnswer {
  const SeriesInstanceUID = SOPInstanceUID.replace(/\.\d+$/, '');
  const StudyInstanceUID = SeriesInstanceUID.replace(/\.\d+$/, '');
  return { ...(example().slices[0] as SliceAnswer), SOPInstanceUID, SeriesInstanceUID, StudyInstanceUID };
}

function example(): CaseAnswer {
  return goldenAnswer().cases[0] as CaseAnswer;
}

/** The example as it is with "Anonymize": true. */
export function anonymousAnswer(): SimilarAnswer {
  const answer = goldenAnswer();
  for (const one of [answer.query, ...answer.cases]) {
    delete one.patient;
    delete one.StudyDate;
  }
  for (const one of answer.cases) one.reportUrl = null;
  return answer;
}

/** A heat map of four places, of which the first gives half of the similarity. */
export function heatAnswer(similarity = 0.93): HeatAnswer {
  const cells = [
    [similarity / 2, similarity / 4],
    [similarity / 8, similarity / 8],
  ];
  return { similarity, query: { cells, overlay: cells }, against: { cells, overlay: cells } };
}

/** The answer about a series that both sides are tested against. */
export function volumeAnswer(): SimilarAnswer {
  return parseSimilar(structuredClone(volume));
}

export function savedAnswer(): Saved {
  const document = (number: number) => ({
    orthancId: `document ${number}`,
    SOPInstanceUID: `1.2.3.1.980${number}.1`,
    SeriesInstanceUID: `1.2.3.1.980${number}`,
    viewerUrl: `/ohif/viewer?StudyInstanceUIDs=1.2.3.1&initialSeriesInstanceUID=1.2.3.1.980${number}`,
  });
  return { report: document(0), keyObjects: document(1) };
}
