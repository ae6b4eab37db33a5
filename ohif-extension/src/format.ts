/** DICOM values as people read them. */
import type { Patient } from './answer';

/** "20240131" -> "2024-01-31"; anything else as it is. */
export function formatDate(date: string): string {
  return /^\d{8}$/.test(date) ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}` : date;
}

const UNITS: Record<string, string> = { Y: 'y', M: 'mo', W: 'wk', D: 'd' };

/** "054Y" -> "54 y"; anything else as it is. */
export function formatAge(age: string): string {
  const [, number, unit] = /^(\d{3})([YMWD])$/.exec(age) ?? [];
  return number && unit ? `${Number(number)} ${UNITS[unit]}` : age;
}

/** "Demo^One^M" -> "Demo, One M": family name first, as DICOM has it (PS3.5 6.2.1.1). */
export function formatName(name: string): string {
  const [family = '', ...given] = name.split('=')[0]?.split('^') ?? [];
  return [family, given.filter(Boolean).join(' ')].filter(Boolean).join(', ');
}

/** Two digits: more would be more than the distance means. */
export function formatSimilarity(similarity: number): string {
  return similarity.toFixed(2);
}

/** How near a slice is among nearest slices, such as P 38; its similarity where that is not known. */
export function formatNearness({ similarity, percentile }: { similarity: number; percentile?: number | null }): string {
  return percentile === null || percentile === undefined ? formatSimilarity(similarity) : `P ${percentile}`;
}

/** 0.352 -> 35 */
export function percent(share: number): number {
  return Math.round(100 * share);
}

/** The parts that are there, in one line. */
export function line(...parts: (string | number | null | undefined)[]): string {
  return parts.filter((part) => part !== null && part !== undefined && part !== '').join(' · ');
}

/** "F, 54 y" */
export function formatPerson(patient: Patient | null | undefined): string {
  const age = patient?.PatientAge ? formatAge(patient.PatientAge) : null;
  return [patient?.PatientSex, age].filter(Boolean).join(', ');
}
