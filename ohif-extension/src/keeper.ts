/** Keeps what was found: as documents in the archive, or as a picture for teaching. Only when the reader asks. */
import type { CaseAnswer, SimilarAnswer } from './answer';
import type { CbmirClient } from './cbmirClient';
import { Failure } from './failure';
import { selectionOf, type SliceRef } from './request';
import { drawSheet } from './sheet/drawing';
import { sheetOf } from './sheet/sheet';
import { sliceKey, type State } from './state';
import type { Store } from './store';
import { pairingFrom } from './volume';

export const SHEET_FILE = 'similar-cases.png';

export class Keeper {
  constructor(
    private readonly store: Store<State>,
    private readonly client: CbmirClient,
  ) {}

  /** Choose a case, or choose it no more. */
  toggle(one: CaseAnswer): void {
    const { chosen } = this.store.get();
    const key = keyOf(one);
    const others = chosen.filter((other) => other !== key);
    this.store.set({ chosen: others.length < chosen.length ? others : [...chosen, key], keeping: { phase: 'none' } });
  }

  async save(): Promise<void> {
    const { query, search } = this.store.get();
    if (search.phase !== 'found' || !query) return;
    const { answer } = search;
    const hits = toKeep(this.store.get()).map((one) => hitOf(answer, one));
    await this.attempt('saving', async () => {
      const saved = await this.client.save(selectionOf(query, answer.query, hits));
      return { phase: 'saved', saved };
    });
  }

  async drawSheet(): Promise<void> {
    const { query, search } = this.store.get();
    if (search.phase !== 'found' || !query) return;
    const sheet = sheetOf(search.answer, query, toKeep(this.store.get()));
    await this.attempt('drawing', async () => {
      download(await drawSheet(sheet), SHEET_FILE);
      return { phase: 'none' };
    });
  }

  dismiss(): void {
    this.store.set({ keeping: { phase: 'none' } });
  }

  /** Says how it goes, beside the search that it belongs to. */
  private async attempt(what: 'saving' | 'drawing', work: () => Promise<State['keeping']>): Promise<void> {
    const { search } = this.store.get();
    this.store.set({ keeping: { phase: what } });
    let outcome: State['keeping'];
    try {
      outcome = await work();
    } catch (error) {
      outcome = { phase: 'failed', what, failure: error instanceof Failure ? error : new Failure('unexpected') };
    }
    if (this.store.get().search === search) this.store.set({ keeping: outcome });
  }
}

export function keyOf({ slices: [best] }: CaseAnswer): string {
  return best ? sliceKey(best) : '';
}

/** The cases chosen; all shown where none is. */
export function toKeep({ search, chosen }: State): CaseAnswer[] {
  const cases = search.phase === 'found' ? search.answer.cases : [];
  const some = cases.filter((one) => chosen.includes(keyOf(one)));
  return some.length > 0 ? some : cases;
}

/** The slice that is compared with the query's: the document says how similar these two are. */
function hitOf({ volume, query }: SimilarAnswer, { match, slices }: CaseAnswer): SliceRef {
  const pairing = volume && match ? pairingFrom(volume, match, query) : null;
  return pairing?.right ?? (slices[0] as SliceRef);
}

function download(picture: Blob, name: string): void {
  const address = URL.createObjectURL(picture);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
