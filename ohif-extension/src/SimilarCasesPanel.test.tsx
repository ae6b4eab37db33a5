import { act, cleanup, render, screen, within, type RenderResult } from '@testing-library/preact';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { SimilarAnswer } from './answer';
import { Failure, type FailureKind } from './failure';
import { SimilarCasesPanel } from './SimilarCasesPanel';
import { SimilarCasesService } from './SimilarCasesService';
import { anonymousAnswer, answerWith, goldenAnswer, slice } from './testing/answers';
import { ClientDouble, settle } from './testing/clientDouble';
import { series, ViewerDouble } from './testing/viewerDouble';
import { text } from './text';
import { ServiceContext } from './useSimilarCases';

// Here the module's own address is that of a file.
vi.mock('./orthanc', async (original) => ({
  ...(await original<typeof import('./orthanc')>()),
  rootOf: () => 'https://pacs.example/',
}));

let viewer: ViewerDouble;
let client: ClientDouble;
let service: SimilarCasesService;
let panel: RenderResult;
const user = userEvent.setup();

const show = () =>
  render(
    <ServiceContext.Provider value={service}>
      <SimilarCasesPanel />
    </ServiceContext.Provider>,
  );
const find = () => user.click(screen.getByRole('button', { name: text.find }));
const cards = () => within(screen.getByRole('list', { name: text.panelTitle })).getAllByTitle(/^Compare with case/);

async function answer(found: SimilarAnswer, priors?: SimilarAnswer) {
  await find();
  await act(async () => {
    client.last().answer(found);
    await settle();
    if (priors) client.last('only').answer(priors);
    await settle();
  });
}

async function fail(failure: Failure) {
  await find();
  await act(async () => {
    client.last().fail(failure);
    await settle();
  });
}

beforeEach(() => {
  localStorage.clear();
  vi.spyOn(console, 'error');
  viewer = new ViewerDouble(...series('1.2.3.1', 10));
  for (const study of ['1.2.3.2', '1.2.3.3', '1.2.3.4']) viewer.loadable.set(study, series(`${study}.1`, 10));
  client = new ClientDouble();
  service = new SimilarCasesService(viewer.managers, client);
  panel = show();
});
afterEach(() => {
  expect(console.error).not.toHaveBeenCalled();
  expect(screen.queryByText(text.disclaimer)).not.toBeNull();
  cleanup();
});

it('says what to do before the first search', () => {
  expect(screen.getByText(text.idle)).toBeDefined();
});

it('shows empty cards while it searches, and the query from the viewer', async () => {
  await find();
  expect(panel.container.querySelector('.cbmir-skeleton')).not.toBeNull();
  expect(screen.getAllByRole('status')[0]!.textContent).toBe(text.searching);
  expect(screen.getByRole('region', { name: text.query }).textContent).toContain('MR · T1 SE TRA +CSlice 1');
});

it('shows a case of the plugin’s answer with all that is known of it', async () => {
  await answer(goldenAnswer());
  const [card] = cards();
  for (const words of ['P 38', 'meningioma', 'histology', 'MR · T1 SE TRA +C', '2023-05-12 · M, 61 y', 'Demo, Two']) {
    expect(card?.textContent).toContain(words);
  }
  expect(card?.querySelector('img')?.src).toMatch(/\/instances\/3185df9f-[0-9a-f-]+\/frames\/0\/rendered\?width=192/);
  expect(screen.getAllByRole('status')[0]!.textContent).toBe('1 similar case');
  expect(screen.getByText('Model figshare-gem')).toBeDefined();
});

it('shows no name, id or date in anonymous mode', async () => {
  await answer(anonymousAnswer(), anonymousAnswer());
  const shown = panel.container.innerHTML;
  for (const secret of ['Demo', 'D1', 'D2', '2023', '2024', '61 y', 'undefined', 'null']) {
    expect(shown).not.toContain(secret);
  }
  expect(cards()).toHaveLength(1);
});

it('shows markup in DICOM text as text', async () => {
  const attack = '<img src=x onerror="alert(1)"><script>alert(2)</script>';
  await answer(
    answerWith({
      SeriesDescription: attack,
      StudyDescription: attack,
      StudyDate: attack,
      Modality: attack,
      labels: [{ label: attack, provenance: attack }],
      patient: { PatientName: attack, PatientSex: attack, PatientAge: attack },
    }),
  );
  expect(panel.container.querySelector('script, [onerror], img[src="x"]')).toBeNull();
  expect(cards()[0]?.textContent).toContain(attack);
});

it('loads no picture of another origin', async () => {
  const found = goldenAnswer();
  found.cases[0]!.slices[0]!.thumbnailUrl = 'https://evil.example/x.png';
  await answer(found);
  expect(within(cards()[0]!).getByLabelText(text.noPicture)).toBeDefined();
});

it('says calmly that nothing was found, in the plugin’s words where it has some', async () => {
  await answer({ ...goldenAnswer(), cases: [], message: 'No labelled case matches.' });
  expect(screen.getByText('No labelled case matches.')).toBeDefined();
  await answer({ ...goldenAnswer(), cases: [], message: null });
  expect(screen.getByText(text.none)).toBeDefined();
});

describe('failures', () => {
  const kinds = Object.keys(text.failures).filter((kind) => kind !== 'unsupported') as FailureKind[];

  it.each(kinds)('%s has its own words and can be tried again', async (kind) => {
    client.statusAnswer = new Failure('unreachable');
    await fail(new Failure(kind, 'the plugin says why'));
    expect(screen.getByText(text.failures[kind].title)).toBeDefined();
    expect(screen.getByText('the plugin says why')).toBeDefined();
    await user.click(screen.getByRole('button', { name: text.retry }));
    await act(async () => {
      client.last().answer(goldenAnswer());
      await settle();
    });
    expect(cards()).toHaveLength(1);
  });

  it('all differ from each other', () => {
    expect(new Set(Object.values(text.failures).map(({ title }) => title)).size).toBe(kinds.length + 1);
  });

  it('a viewport without a slice makes no request', async () => {
    viewer.viewports.get('default')!.type = 'volume3d';
    await find();
    expect(screen.getByText(text.failures.unsupported.title)).toBeDefined();
    expect(client.calls).toHaveLength(0);
  });

  it('an index in the making shows how far it is', async () => {
    client.statusAnswer = { state: 'running', reason: null, queued: 12, indexed: 36, etaSeconds: 60 };
    await fail(new Failure('notIndexed'));
    const progress = screen.getByRole('progressbar');
    expect([progress.getAttribute('value'), progress.getAttribute('max')]).toEqual(['36', '48']);
    expect(screen.getByText('12 slices to be indexed, about 60 s')).toBeDefined();
  });

  it.each(['starting', 'disabled'] as const)('a plugin that is %s says so', async (state) => {
    client.statusAnswer = { state, reason: 'the reason', queued: 0, indexed: 0, etaSeconds: null };
    await fail(new Failure('unavailable'));
    expect(screen.getByText(text[state].title)).toBeDefined();
    expect(screen.getByText('the reason')).toBeDefined();
  });
});

describe('the options', () => {
  it('search again at once and stay for the next time', async () => {
    await answer(goldenAnswer());
    await user.click(screen.getByRole('button', { name: text.options }));
    await user.click(screen.getByLabelText(text.sameSequence));
    expect(client.last().request.SeriesDescription).toBe('T1?SE?TRA??C');
    await user.selectOptions(screen.getByLabelText(text.k), '50');
    await user.selectOptions(screen.getByLabelText(text.group), 'study');
    expect(client.last().request).toMatchObject({ k: 50, group: 'study' });
    expect(screen.getByRole('button', { name: `${text.options}, 1 filter active` })).toBeDefined();
    cleanup();
    service = new SimilarCasesService(viewer.managers, client);
    panel = show();
    expect(service.getState().options).toMatchObject({ k: 50, group: 'study', sameSequence: true });
  });
});

describe('the cards', () => {
  it('can be gone through and opened by keyboard alone', async () => {
    await answer(answerWith({}, {}, {}));
    await act(() => cards()[0]!.focus());
    await user.keyboard('{ArrowDown}{ArrowDown}{ArrowDown}{ArrowUp}');
    expect(document.activeElement).toBe(cards()[1]);
    await user.keyboard('{Enter}');
    expect(cards()[1]?.getAttribute('aria-current')).toBe('true');
  });

  it('open up to their other matching slices', async () => {
    const found = goldenAnswer();
    found.cases[0]!.slices.push(slice('1.2.3.2.1.8'));
    await answer(found);
    const more = screen.getByRole('button', { name: '1 more matching slice' });
    await user.click(more);
    expect(more.getAttribute('aria-expanded')).toBe('true');
    await user.click(screen.getByRole('button', { name: text.openSlice('P 38') }));
    expect(service.getState().opened).toBe('1.2.3.2.1.8/1');
  });

  it('show the controls of the comparison while it is on screen', async () => {
    await answer(goldenAnswer());
    await user.click(cards()[0]!);
    await user.click(await screen.findByRole('button', { name: text.back }));
    expect(await screen.findByText('1 similar case')).toBeDefined();
  });

  it('keep linked scrolling as it was chosen', async () => {
    await answer(goldenAnswer());
    await user.click(cards()[0]!);
    const linked = await screen.findByRole('switch', { name: text.linked });
    expect(linked.getAttribute('aria-checked')).toBe('true');
    await user.click(linked);
    expect(linked.getAttribute('aria-checked')).toBe('false');
    expect(localStorage.getItem('cbmir.options')).toContain('"linkedScrolling":false');
  });
});

describe('the same patient’s other studies', () => {
  it('stand in a row of their own', async () => {
    await answer(goldenAnswer(), answerWith({ StudyInstanceUID: '1.2.3.9', StudyDate: '20190101' }));
    const row = screen.getByRole('region', { name: text.priors });
    expect(within(row).getByText('2019-01-01')).toBeDefined();
    expect(cards()).toHaveLength(1);
  });

  it('are said to be none', async () => {
    await answer(goldenAnswer(), { ...goldenAnswer(), cases: [] });
    expect(screen.getByText(text.noPriors)).toBeDefined();
  });
});

it('comes back with its results after another tab was shown, and ignores what came while it was away', async () => {
  await answer(goldenAnswer());
  await find();
  panel.unmount();
  await act(async () => {
    client.last().answer(answerWith({}, {}));
    await settle();
  });
  panel = show();
  expect(cards()).toHaveLength(2);
});

it('says when a case was deleted since it was found', async () => {
  viewer.loadable.clear();
  await answer(goldenAnswer());
  await user.click(cards()[0]!);
  expect((await screen.findByRole('alert')).textContent).toBe(text.sliceGone);
  await user.click(screen.getByRole('button', { name: text.dismiss }));
  expect(screen.queryByRole('alert')).toBeNull();
});
