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
      url.search = queryString(parameters);
      return parse(parseSimilar, await getJson(url, signal, timeout));
    },
    async status(signal) {
      // A plugin that is switched off says so with status 503.
      return parse(parseStatus, await getJson(new URL('cbmir/status', root), signal, timeout, [200, 503]));
    },
  };
}

/** Question marks stay as they are, which URLs allow here: see `literally` in request.ts. */
function queryString(parameters: Record<string, string | number>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll('%3F', '?')}`)
    .join('&');
}

async function getJson(url: URL, signal: AbortSignal, timeout: number, accepted = [200]): Promise<unknown> {
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  const timer = setTimeout(() => controller.abort(new Failure('timeout')), timeout);
  try {
    return await readJson(url, controller.signal, accepted);
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    throw error instanceof Failure ? error : new Failure('unreachable');
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

async function readJson(url: URL, signal: AbortSignal, accepted: number[]): Promise<unknown> {
  const response = await fetch(url, { signal, headers: { Accept: 'application/json' } });
  if (!accepted.includes(response.status)) throw await failureOf(response);
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
