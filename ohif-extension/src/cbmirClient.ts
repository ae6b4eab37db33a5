/** The plugin's REST API. Every failure is a `Failure`; an aborted request rejects with an AbortError. */
import { parseSimilar, parseStatus, type SimilarAnswer, type Status } from './answer';
import { Failure, failureOf } from './failure';

export interface SimilarRequest {
  SOPInstanceUID: string;
  frame: number;
  k: number;
  group: 'patient' | 'study' | 'none';
  samePatient: 'exclude' | 'only' | 'include';
  Modality?: string;
  SeriesDescription?: string;
  StudyDate?: string;
  label?: string;
}

export interface CbmirClient {
  similar(request: SimilarRequest, signal: AbortSignal): Promise<SimilarAnswer>;
  status(signal: AbortSignal): Promise<Status>;
}

/** An indexed slice is answered in milliseconds; one that must be embedded first, within seconds. */
const TIMEOUT_MS = 20_000;

export function cbmirClient(root: string, timeout = TIMEOUT_MS): CbmirClient {
  return {
    async similar({ SOPInstanceUID, ...parameters }, signal) {
      const url = new URL(`cbmir/similar/${encodeURIComponent(SOPInstanceUID)}`, root);
      for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, String(value));
      return parse(parseSimilar, await getJson(url, signal, timeout));
    },
    async status(signal) {
      return parse(parseStatus, await getJson(new URL('cbmir/status', root), signal, timeout));
    },
  };
}

async function getJson(url: URL, signal: AbortSignal, timeout: number): Promise<unknown> {
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  const timer = setTimeout(() => controller.abort(new Failure('timeout')), timeout);
  try {
    return await readJson(url, controller.signal);
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    throw error instanceof Failure ? error : new Failure('unreachable');
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

async function readJson(url: URL, signal: AbortSignal): Promise<unknown> {
  const response = await fetch(url, { signal, headers: { Accept: 'application/json' } });
  if (!response.ok) throw await failureOf(response);
  const body = await response.text();
  return parse(JSON.parse, body);
}

function parse<In, Out>(parser: (input: In) => Out, input: In): Out {
  try {
    return parser(input);
  } catch {
    throw new Failure('unexpected');
  }
}
