import { cleanup, screen, within } from '@testing-library/preact';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Prediction, SimilarAnswer } from '../answer';
import { anonymousAnswer, answerWith, goldenAnswer } from '../testing/answers';
import { PanelDouble } from '../testing/panel';
import { text } from '../text';

// Here the module's own address is that of a file.
vi.mock('../orthanc', async (original) => ({
  ...(await original<typeof import('../orthanc')>()),
  rootOf: () => 'https://pacs.example/',
}));

let panel: PanelDouble;

async function find(found: SimilarAnswer) {
  await panel.user.click(screen.getByRole('button', { name: text.find }));
  await panel.answer(found);
}

const looks = () => document.querySelector('[data-cy="cbmir-looks"]');
const places = () => [...document.querySelectorAll('[data-cy="cbmir-report"]')];
const predicted = (prediction: Prediction | null) => ({ ...answerWith({}), prediction });

beforeEach(() => {
  localStorage.clear();
  vi.spyOn(console, 'error');
  panel = new PanelDouble();
});
afterEach(() => {
  expect(console.error).not.toHaveBeenCalled();
  cleanup();
});

describe('a report', () => {
  it('begins on its card, and can be read on when pointed at', async () => {
    panel.client.reports = { '/r': ['Finding: mass at the falx.', 'No midline shift.'] };
    await find(answerWith({ reportUrl: '/r' }, {}));
    expect(places().map((one) => one.textContent)).toEqual(['Report Finding: mass at the falx. No midline shift.', '']);
    expect(places()[0]?.getAttribute('title')).toBe('Finding: mass at the falx.\nNo midline shift.');
  });

  it('has its place on the card before it comes, so that nothing moves', async () => {
    await find(answerWith({ reportUrl: '/slow' }, { reportUrl: null }));
    expect(places().map((one) => one.textContent)).toEqual(['']);
  });

  it('is shown as text, whatever is in it', async () => {
    panel.client.reports = { '/r': ['<img src=x onerror="alert(1)">'] };
    await find(answerWith({ reportUrl: '/r' }));
    expect(document.querySelector('[onerror], img[src="x"]')).toBeNull();
    expect(places()[0]?.textContent).toContain('<img');
  });

  it('is not asked for in anonymous mode', async () => {
    await find(anonymousAnswer());
    expect(panel.client.reportCalls).toEqual([]);
    expect(places()).toEqual([]);
  });
});

describe('what a slice looks most like', () => {
  it('is said of pictures, with a share, and explained in full', async () => {
    await find(goldenAnswer());
    expect(looks()?.textContent).toBe('Looks most like: meningioma pictures (91 %)');
    expect(looks()?.getAttribute('title')).toContain('meningioma 91 %, glioma 8 %, pituitary 1 %');
    expect(looks()?.getAttribute('title')).toContain('no finding');
  });

  it('is never certain', async () => {
    await find(predicted({ looksMostLike: 'glioma', classes: [{ label: 'glioma', probability: 0.9999 }] }));
    expect(looks()?.textContent).toBe(text.looksMostLike('glioma', 99));
  });

  it('is none of the classes where it is far from all', async () => {
    await find(predicted({ looksMostLike: null, classes: [{ label: 'glioma', probability: 0.9 }] }));
    expect(looks()?.textContent).toBe(text.looksLikeNone);
  });

  it('is not spoken of where the model tells no classes apart', async () => {
    await find(predicted(null));
    expect(looks()).toBeNull();
  });

  it('can be what the cases are kept to', async () => {
    await find(goldenAnswer());
    await panel.user.click(screen.getByRole('button', { name: text.options }));
    await panel.user.click(screen.getByLabelText(text.sameClass));
    expect(panel.client.last().request.class).toBe('predicted');
    expect(screen.getByRole('button', { name: `${text.options}, ${text.optionsActive(1)}` })).toBeDefined();
    await panel.answer();
    await panel.user.click(screen.getByRole('button', { name: text.reset }));
    expect(panel.client.last().request.class).toBeUndefined();
  });

  it('is no choice where the model tells no classes apart, unless it was chosen before', async () => {
    await find(predicted(null));
    await panel.user.click(screen.getByRole('button', { name: text.options }));
    const options = within(screen.getByRole('group', { name: text.options }));
    expect(options.queryByLabelText(text.sameClass)).toBeNull();
    await panel.settle(() => panel.service.setOptions({ sameClass: true }));
    await panel.answer(predicted(null));
    expect(options.getByLabelText(text.sameClass)).toBeDefined();
  });
});
