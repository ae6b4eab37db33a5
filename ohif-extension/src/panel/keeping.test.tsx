import { cleanup, screen, within } from '@testing-library/preact';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Failure } from '../failure';
import { answerWith, goldenAnswer, slice, volumeAnswer } from '../testing/answers';
import { PanelDouble } from '../testing/panel';
import { text } from '../text';

// Here the module's own address is that of a file.
vi.mock('../orthanc', async (original) => ({
  ...(await original<typeof import('../orthanc')>()),
  rootOf: () => 'https://pacs.example/',
}));

let panel: PanelDouble;

const button = (name: string) => screen.getByRole('button', { name });
const press = (name: string) => panel.user.click(button(name));

const three = () =>
  answerWith(
    { slices: [{ ...slice('1.2.3.2.1.7'), orthancId: 'a', frame: 1 }] },
    { slices: [{ ...slice('1.2.3.3.1.7'), orthancId: 'b', frame: 2 }] },
    { slices: [{ ...slice('1.2.3.4.1.7'), orthancId: 'c', frame: 1 }] },
  );

beforeEach(async () => {
  localStorage.clear();
  panel = new PanelDouble();
  await press(text.find);
});

afterEach(cleanup);

describe('saving', () => {
  it('is not offered before there is something to save', () => {
    expect(screen.queryByText(text.save)).toBeNull();
  });

  it('names the query and all cases shown, where none is chosen', async () => {
    const answer = three();
    await panel.answer(answer);
    expect(button(text.save).title).toMatch(/^All 3 cases\. /);
    await press(text.save);
    expect(panel.client.saves).toEqual([
      {
        query: { instance: answer.query.orthancId, frame: answer.query.frame },
        hits: [
          { instance: 'a', frame: 1 },
          { instance: 'b', frame: 2 },
          { instance: 'c', frame: 1 },
        ],
      },
    ]);
  });

  it('names the cases that were chosen, and no other', async () => {
    await panel.answer(three());
    await press(text.choose(2));
    expect(screen.getByText('1 case chosen')).toBeDefined();
    await press(text.save);
    expect(panel.client.saves[0]?.hits).toEqual([{ instance: 'b', frame: 2 }]);
  });

  it('takes a choice back by the same button', async () => {
    await panel.answer(three());
    await press(text.choose(2));
    await press(text.choose(2));
    expect(screen.queryByText('1 case chosen')).toBeNull();
  });

  it('leads to the report when it is done', async () => {
    await panel.answer(three());
    await press(text.save);
    const link = screen.getByRole('link', { name: text.openReport });
    expect(link.getAttribute('href')).toBe(
      'https://pacs.example/ohif/viewer?StudyInstanceUIDs=1.2.3.1&initialSeriesInstanceUID=1.2.3.1.9800',
    );
    await press(text.dismiss);
    expect(screen.queryByRole('link')).toBeNull();
  });

  it.each([
    ['that the reader may not store', new Failure('forbidden'), text.mayNotStore],
    ['why else it failed', new Failure('unavailable', 'others are saving'), 'Could not be saved. others are saving'],
  ])('says %s', async (_, failure, words) => {
    panel.client.saved = failure;
    await panel.answer(three());
    await press(text.save);
    expect(screen.getByText(words)).toBeDefined();
    expect(button(text.save).hasAttribute('disabled')).toBe(false);
  });

  it('says nothing beside another search', async () => {
    await panel.answer(three());
    panel.client.saved = new Failure('forbidden');
    const saving = panel.service.keeper.save();
    await panel.settle(() => panel.service.retry());
    await panel.settle(() => saving);
    expect(panel.service.getState().keeping.phase).not.toBe('failed');
  });
});

describe('the contact sheet', () => {
  it('says calmly where the browser cannot draw it', async () => {
    vi.spyOn(HTMLCanvasElement.prototype, 'getContext').mockReturnValue(null);
    await panel.answer(three());
    await press(text.sheet);
    await panel.settle();
    expect(screen.getByText(text.keepFailed.drawing)).toBeDefined();
  });
});

describe('figures', () => {
  it('are counts with their uncertainty, beside those of the archive', async () => {
    await panel.answer(goldenAnswer());
    const rows = screen.getAllByText(/^(meningioma|glioma)$/, { selector: '.cbmir-share-label' });
    const [first, second] = rows.map((one) => one.closest('li')?.textContent);
    expect(first).toBe('meningioma6 of 841 to 93 % · archive 35 % · 2.1 × the archive');
    expect(second).toBe('glioma2 of 87 to 59 % · archive 40 % · no more than chance explains');
    expect(screen.getByText('8 of the 10 nearest patients have a label')).toBeDefined();
    expect(screen.getByText(/It is no probability/)).toBeDefined();
  });

  it('leave out the archive for those who may not know it', async () => {
    const answer = goldenAnswer();
    const labels = answer.statistics!.labels.map((one) => ({
      ...one,
      ...{ archiveShare: null, enrichment: null, compared: null },
    }));
    await panel.answer({ ...answer, statistics: { ...answer.statistics!, labels } });
    expect(screen.getByRole('region', { name: text.statistics }).textContent).not.toContain('archive ');
  });

  it('are not shown where the cases were chosen by label', async () => {
    await panel.answer({ ...goldenAnswer(), statistics: null });
    expect(screen.queryByRole('region', { name: text.statistics })).toBeNull();
  });

  it('can be of verified labels alone', async () => {
    await panel.answer(goldenAnswer());
    await press(text.options);
    await panel.user.click(screen.getByLabelText(text.verifiedOnly));
    expect(panel.client.last().request.verified).toBe('true');
  });

  it('come with the nearest case of another label, which opens', async () => {
    const answer = goldenAnswer();
    panel.viewer.loadable.set('1.2.3.3', [
      { ...(await import('../testing/viewerDouble')).series('1.2.3.3.1', 10)[3]! },
    ]);
    await panel.answer(answer);
    const row = screen.getByText(text.counterExample).parentElement!;
    expect(within(row).getByText('glioma')).toBeDefined();
    await panel.settle(() => panel.user.click(within(row).getByRole('button')));
    expect(panel.service.getState().opened).toBe('1.2.3.3.1.4/1');
  });
});

describe('a query unlike all of the archive', () => {
  it('is said to be one, before any card', async () => {
    const message = 'Nothing looks much like this slice.';
    await panel.answer({ ...goldenAnswer(), unusual: { similarity: 0.6, usualFrom: 0.8, message } });
    expect(screen.getByText(text.unusualTitle)).toBeDefined();
    expect(screen.getByText(text.unusualTitle).parentElement?.textContent).toBe(text.unusualTitle + message);
  });

  it('is not said of any other', async () => {
    await panel.answer(goldenAnswer());
    expect(screen.queryByText(text.unusualTitle)).toBeNull();
  });

  it('cannot be told where the archive is not known, which is said', async () => {
    const message = 'Whether a slice is unusual here cannot be told yet.';
    await panel.answer({ ...goldenAnswer(), calibration: { known: false, message } });
    expect(screen.getByText(message)).toBeDefined();
  });
});

describe('a whole series', () => {
  it('is searched with by its UID, and back to the slice', async () => {
    await panel.answer();
    await press(text.scopes.series);
    expect(panel.client.last().request).toEqual({ uid: '1.2.3.1', k: 10, group: 'patient', samePatient: 'exclude' });
    await press(text.scopes.slice);
    expect(panel.client.last().request).toMatchObject({ uid: '1.2.3.1.1', frame: 1 });
  });

  it('says how much of it was compared', async () => {
    await panel.answer();
    await press(text.scopes.series);
    await panel.answer(volumeAnswer());
    expect(screen.getByText(text.volumeQuery.series)).toBeDefined();
    expect(screen.getByText(/^2 slices compared 1 of 3 instances/)).toBeDefined();
  });

  it('takes no verdicts, which are of slices', async () => {
    await panel.answer();
    await press(text.scopes.study);
    await panel.answer(volumeAnswer());
    expect(screen.queryByRole('button', { name: text.markSimilar(1) })).toBeNull();
    expect(button(text.choose(1))).toBeDefined();
  });

  it('saves of each case the slice that the query’s slice found', async () => {
    await panel.answer();
    await press(text.scopes.series);
    const answer = volumeAnswer();
    await panel.answer(answer);
    await press(text.save);
    const [found] = answer.cases[0]!.match![0]!.slices;
    expect(panel.client.saves[0]?.hits).toEqual([{ instance: found!.orthancId, frame: found!.frame }]);
  });
});
