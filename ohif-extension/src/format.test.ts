import { expect, it } from 'vitest';

import { formatAge, formatDate, formatName, formatPerson, line } from './format';

it.each([
  ['054Y', '54 y'],
  ['006M', '6 mo'],
  ['003W', '3 wk'],
  ['001D', '1 d'],
  ['old', 'old'],
])('reads the age %s', (age, words) => expect(formatAge(age)).toBe(words));

it.each([
  ['20240131', '2024-01-31'],
  ['2024', '2024'],
])('reads the date %s', (date, words) => expect(formatDate(date)).toBe(words));

it.each([
  ['Demo^One', 'Demo, One'],
  ['Demo^One^Middle^Dr', 'Demo, One Middle Dr'],
  ['Demo', 'Demo'],
  ['^', ''],
  ['Yamada^Tarou=山田^太郎', 'Yamada, Tarou'],
])('reads the name %s', (name, words) => expect(formatName(name)).toBe(words));

it('leaves out what is not there', () => {
  expect(formatPerson({ PatientSex: 'F', PatientAge: '054Y' })).toBe('F, 54 y');
  expect(formatPerson({ PatientAge: '054Y' })).toBe('54 y');
  expect(formatPerson(undefined)).toBe('');
  expect(line('MR', null, undefined, '', 'T1')).toBe('MR · T1');
});
