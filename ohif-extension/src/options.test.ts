import { beforeEach, expect, it } from 'vitest';

import { activeFilters, dateRange, DEFAULTS, recall, remember } from './options';

beforeEach(() => localStorage.clear());

it('remembers what was chosen', () => {
  const options = { ...DEFAULTS, k: 20, group: 'study' as const, sameSequence: true, from: '2020-01-01' };
  remember(options);
  expect(recall()).toEqual(options);
});

it.each(['', 'null', '[]', '{', '{"k": "many", "group": "species", "sameModality": 1}', '{"k": 7}'])(
  'falls back to the defaults for %j in the storage',
  (stored) => {
    localStorage.setItem('cbmir.options', stored);
    expect(recall()).toEqual(DEFAULTS);
  },
);

it('works where storage is forbidden', () => {
  const forbidden = () => {
    throw new DOMException('denied', 'SecurityError');
  };
  expect(() => remember(DEFAULTS, forbidden)).not.toThrow();
  expect(recall(forbidden)).toEqual(DEFAULTS);
});

it('writes date ranges as DICOM does', () => {
  expect(dateRange('', '')).toBeUndefined();
  expect(dateRange('2020-01-01', '')).toBe('20200101-');
  expect(dateRange('', '2020-12-31')).toBe('-20201231');
  expect(dateRange('2020-01-01', '2020-12-31')).toBe('20200101-20201231');
});

it('counts what narrows the search', () => {
  expect(activeFilters(DEFAULTS)).toBe(0);
  expect(activeFilters({ ...DEFAULTS, sameModality: true, labelledOnly: true, from: '2020-01-01', to: 'x' })).toBe(3);
});
