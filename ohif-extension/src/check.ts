/** Answers are checked as far as the panel depends on them. */

/** Another server answered, or another version of the plugin. */
export class UnexpectedAnswer extends Error {}

type Json = Record<string, unknown>;

export function record(json: unknown, what: string): Json {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new UnexpectedAnswer(what);
  return json as Json;
}

export function list(json: unknown, what: string): unknown[] {
  if (!Array.isArray(json)) throw new UnexpectedAnswer(what);
  return json;
}

export function texts(json: Json, what: string, ...keys: string[]): void {
  for (const key of keys) if (typeof json[key] !== 'string') throw new UnexpectedAnswer(`${what}.${key}`);
}

export function numbers(json: Json, what: string, ...keys: string[]): void {
  for (const key of keys) if (!Number.isFinite(json[key])) throw new UnexpectedAnswer(`${what}.${key}`);
}

/** A number where it is known. */
export function numbersOrNull(json: Json, what: string, ...keys: string[]): void {
  for (const key of keys) if (json[key] !== null) numbers(json, what, key);
}
