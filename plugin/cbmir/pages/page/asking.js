/** Asks the plugin. */

export const API = new URL('..', import.meta.url);
const TIMEOUT_MS = 15_000;

/** @param {string} path @param {RequestInit} [options] */
export async function ask(path, options) {
  const response = await fetch(new URL(path, API), { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
  // a disabled or stalled plugin says so with 503
  const answer = await response.json().catch(() => null);
  if (!answer || (!response.ok && !answer.state)) {
    throw Object.assign(new Error(answer?.error?.message ?? `HTTP ${response.status}`), { status: response.status });
  }
  return answer;
}
