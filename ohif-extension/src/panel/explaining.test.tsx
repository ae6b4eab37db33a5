import { cleanup, screen, within } from '@testing-library/preact';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Failure } from '../failure';
import { answerWith, heatAnswer } from '../testing/answers';
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
const isPressed = (name: string) => button(name).getAttribute('aria-pressed') === 'true';

beforeEach(() => {
  localStorage.clear();
  vi.spyOn(console, 'error');
  const createImageData = (width: number, height: number) => ({ data: new Uint8ClampedArray(4 * width * height) });
  const context = { createImageData, putImageData: vi.fn() };
  vi.spyOn(HTMLCanvasElement.prototype, 'getContext').mockReturnValue(context as never);
  panel = new PanelDouble();
});
afterEach(() => {
  expect(console.error).not.toHaveBeenCalled();
  cleanup();
});

describe('a region', () => {
  it('is shown on the query, with the way back to the whole slice', async () => {
    panel.viewer.draw('default', [10, 20], [20, 40]);
    await press(text.region);
    await panel.answer();
    const query = screen.getByRole('region', { name: text.query });
    expect(query.textContent).toContain(text.regionQuery);
    expect(query.textContent).toContain(text.regionSize(20, 10));
    expect(query.querySelector('polygon')?.getAttribute('points')?.split(' ')).toHaveLength(4);
    await press(text.wholeSlice);
    await panel.answer();
    expect(query.querySelector('polygon')).toBeNull();
    expect(panel.client.last().request.roi).toBeUndefined();
  });

  it('can be drawn when there is none, which the panel says', async () => {
    await press(text.region);
    expect(screen.getByRole('alert').textContent).toBe(text.drawRegion);
    await panel.settle(() => panel.viewer.draw('default', [10, 20], [20, 40]));
    expect(screen.queryByRole('alert')).toBeNull();
    expect(screen.getByRole('region', { name: text.query }).textContent).toContain(text.regionQuery);
  });

  it('need not be drawn after all', async () => {
    await press(text.region);
    await press(text.dismiss);
    expect(screen.queryByRole('alert')).toBeNull();
    expect(panel.viewer.tool).toBe('WindowLevel');
  });
});

describe('why similar', () => {
  const heatSwitch = () => screen.getByRole('switch', { name: text.heat });

  async function compare() {
    await press(text.find);
    await panel.answer();
    await panel.user.click(screen.getByTitle(text.openCase(1)));
    await screen.findByRole('switch', { name: text.heat });
  }

  it('is offered for a compared pair alone', async () => {
    await press(text.find);
    await panel.answer();
    expect(screen.queryByRole('switch', { name: text.heat })).toBeNull();
    await panel.user.click(screen.getByTitle(text.openCase(1)));
    await screen.findByRole('switch', { name: text.heat });
    expect(heatSwitch().getAttribute('aria-checked')).toBe('false');
    expect(screen.queryByRole('slider')).toBeNull();
  });

  it('is switched on and off, explained in words, and made fainter', async () => {
    await compare();
    await panel.user.click(heatSwitch());
    expect(screen.getByRole('region', { name: text.heat }).textContent).toContain(text.searching);
    await panel.settle(() => panel.client.heatCalls[0]?.answer(heatAnswer(0.87)));
    expect(screen.getByText(text.heatExplained('0.87'))).toBeDefined();
    for (const end of [text.heatLowers, text.heatAverage, text.heatMost]) expect(screen.getByText(end)).toBeDefined();
    expect(screen.getByRole('slider', { name: text.heatOpacity })).toBeDefined();
    await panel.user.click(heatSwitch());
    expect(screen.queryByText(text.heatExplained('0.87'))).toBeNull();
    expect(heatSwitch().getAttribute('aria-checked')).toBe('false');
  });

  it('says calmly that it cannot be computed, in the plugin’s words, and can be tried again', async () => {
    await compare();
    await panel.user.click(heatSwitch());
    await panel.settle(() => panel.client.heatCalls[0]?.fail(new Failure('unavailable', 'the model cannot say')));
    const region = screen.getByRole('region', { name: text.heat });
    expect(region.textContent).toContain(text.heatFailed);
    expect(region.textContent).toContain('the model cannot say');
    await press(text.retry);
    await panel.settle(() => panel.client.heatCalls[1]?.answer(heatAnswer()));
    expect(screen.getByText(text.heatExplained('0.93'))).toBeDefined();
  });
});

describe('a verdict', () => {
  beforeEach(async () => {
    await press(text.find);
    const found = answerWith({}, {});
    found.cases[1]!.slices[0]!.orthancId = 'second';
    await panel.answer(found);
  });

  it('is given by mouse or keyboard, and seen to be given', async () => {
    await press(text.markSimilar(1));
    expect([isPressed(text.markSimilar(1)), isPressed(text.markDifferent(1))]).toEqual([true, false]);
    button(text.markDifferent(1)).focus();
    await panel.user.keyboard(' ');
    expect([isPressed(text.markSimilar(1)), isPressed(text.markDifferent(1))]).toEqual([false, true]);
    expect(panel.client.said.map(({ verdict }) => verdict)).toEqual(['similar', 'different']);
    expect(isPressed(text.markSimilar(2))).toBe(false);
  });

  it('is taken back by the same button', async () => {
    await press(text.markSimilar(1));
    await press(text.markSimilar(1));
    expect(isPressed(text.markSimilar(1))).toBe(false);
    expect(panel.client.said.map(({ verdict }) => verdict)).toEqual(['similar', null]);
    expect(screen.queryByRole('button', { name: text.refine })).toBeNull();
  });

  it('does not open the case', async () => {
    await press(text.markSimilar(1));
    expect(panel.service.getState().opened).toBeNull();
  });

  it('makes it possible to refine, and to undo that', async () => {
    expect(screen.queryByRole('button', { name: text.refine })).toBeNull();
    await press(text.markSimilar(1));
    await press(text.markDifferent(2));
    expect(screen.getByText(text.marks(2))).toBeDefined();
    await press(text.refine);
    expect(panel.client.last().request.more).toMatch(/^[0-9a-f-]{44}:1$/);
    expect(panel.client.last().request.less).toBe('second:1');
    await panel.answer();
    expect(screen.getByText(text.refined)).toBeDefined();
    expect(screen.queryByRole('button', { name: text.refine })).toBeNull();
    await press(text.unrefine);
    await panel.answer();
    expect(screen.getByText(text.marks(2))).toBeDefined();
    expect(isPressed(text.markSimilar(1))).toBe(true);
  });

  it('can be added to a refined ranking', async () => {
    await press(text.markSimilar(1));
    await press(text.refine);
    await panel.answer();
    await press(text.markDifferent(1));
    await press(text.refine);
    expect(panel.client.last().request.more).toBeUndefined();
    expect(panel.client.last().request.less).toBeDefined();
  });

  it('that cannot be kept is said calmly', async () => {
    panel.client.keepsFeedback = false;
    await press(text.markSimilar(1));
    expect((await screen.findByRole('alert')).textContent).toBe(text.notKept);
  });

  it('stands beside each case, but not beside the patient’s own studies', async () => {
    await panel.settle(() => panel.client.last('only').answer(answerWith({ StudyInstanceUID: '1.2.3.9' })));
    const row = screen.getByRole('region', { name: text.priors });
    expect(within(row).queryByRole('button', { name: text.markSimilar(1) })).toBeNull();
    expect(screen.getAllByRole('button', { name: /is similar$/ })).toHaveLength(2);
  });
});
