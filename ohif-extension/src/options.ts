/** What the reader chose in the panel: remembered in this browser, holds nothing of a patient. */
import type { SimilarRequest } from './cbmirClient';

export interface Options {
  k: number;
  group: SimilarRequest['group'];
  sameModality: boolean;
  sameSequence: boolean;
  labelledOnly: boolean;
  sameClass: boolean;
  /** No filter: whether figures are of verified labels alone. */
  verifiedOnly: boolean;
  /** ISO dates, "" for open. */
  from: string;
  to: string;
  linkedScrolling: boolean;
}

export const DEFAULTS: Options = {
  k: 10,
  group: 'patient',
  sameModality: false,
  sameSequence: false,
  labelledOnly: false,
  sameClass: false,
  verifiedOnly: false,
  from: '',
  to: '',
  linkedScrolling: true,
};

export const CHOICES_OF_K = [5, 10, 20, 50];
export const CHOICES_OF_GROUP: readonly Options['group'][] = ['patient', 'study', 'none'];

const KEY = 'cbmir.options';

/** The remembered options; the defaults where there are none, or of another version, or storage is not allowed. */
export function recall(storage: () => Storage = () => localStorage): Options {
  try {
    const stored = JSON.parse(storage().getItem(KEY) ?? '{}') as Record<string, unknown>;
    const options = { ...DEFAULTS };
    for (const key of Object.keys(DEFAULTS) as (keyof Options)[]) {
      if (typeof stored[key] === typeof DEFAULTS[key]) Object.assign(options, { [key]: stored[key] });
    }
    if (!CHOICES_OF_K.includes(options.k)) options.k = DEFAULTS.k;
    if (!CHOICES_OF_GROUP.includes(options.group)) options.group = DEFAULTS.group;
    return options;
  } catch {
    return DEFAULTS;
  }
}

export function remember(options: Options, storage: () => Storage = () => localStorage): void {
  try {
    storage().setItem(KEY, JSON.stringify(options));
  } catch {
    // Storage full or forbidden: the options then last as long as the page.
  }
}

/** How many of the filters narrow the search. */
export function activeFilters(options: Options): number {
  const { sameModality, sameSequence, labelledOnly, sameClass, from, to } = options;
  return [sameModality, sameSequence, labelledOnly, sameClass, from !== '' || to !== ''].filter(Boolean).length;
}

/** A DICOM date range for two ISO dates: 20200101-20201231, 20200101-, -20201231; undefined when both are open. */
export function dateRange(from: string, to: string): string | undefined {
  if (!from && !to) return undefined;
  return `${from.replaceAll('-', '')}-${to.replaceAll('-', '')}`;
}
