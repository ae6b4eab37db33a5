/** The plugin's REST API. Every failure is a `Failure`; an aborted request rejects with an AbortError. */
import { parseReport, parseSimilar, parseStatus, type SimilarAnswer, type Status } from './answer';
import { Failure, failureOf } from './failure';
import { parseHeat, type HeatAnswer } from './heatAnswer';
import { resolve } from './orthanc';
import { parseSaved, type Saved } from './saved';

export interface SimilarRequest {
  /** Of what is asked about: a slice, a series or a study. */
  uid: string;
  /** Of a slice alone. */
  frame?: number;
  k: number;
  group: 'patient' | 'study' | 'none';
  samePatient: 'exclude' | 'only' | 'include';
  Modality?: string;
  SeriesDescription?: string;
  StudyDate?: string;
  label?: string;
  class?: 'predicted';
  /** Whether statistics are of verified labels alone. */
  verified?: 'true';
  /** A part of the slice, in pixels of the stored picture: x,y,width,height. */
  roi?: string;
  /** Slices to rank by as well, as <Orthanc id>:<frame>, separated by commas. */
  more?: string;
  less?: string;
}

export interface HeatRequest {
  SOPInstanceUID: string;
  frame: number;
  roi?: string;
  /** The Orthanc id of the other slice. */
  against: string;
  againstFrame: number;
}

/** What a reader says of a hit. Slices by their Orthanc ids, which name nobody. */
export interface Feedback {
  query: string;
  queryFrame: number;
  hit: string;
  hitFrame: number;
  /** Null takes back what was said before. */
  verdict: 'similar' | 'different' | null;
}

/** A search to be saved. Slices by their Orthanc ids. */
export interface Selection {
  query: { instance: string; frame: number; roi?: string };
  hits: { instance: string; frame: number }[];
}

export interface CbmirClient {
  similar(request: SimilarRequest, signal: AbortSignal): Promise<SimilarAnswer>;
  heat(request: HeatRequest, signal: AbortSignal): Promise<HeatAnswer>;
  /** The first lines of a report, by the address that an answer gave. */
  report(path: string, signal: AbortSignal): Promise<string[]>;
  /** Resolves when it is kept. */
  feedback(said: Feedback): Promise<void>;
  /** Resolves when both documents are in the archive. */
  save(selection: Selection): Promise<Saved>;
  status(signal: AbortSignal): Promise<Status>;
}

interface Posted {
  method: 'POST';
  body: string;
  headers: { 'Content-Type': string };
}

/** An indexed slice is answered in milliseconds; one that must be embedded first, within seconds. */
const TIMEOUT_MS = 20_000;

/** The plugin waits up to 20 seconds for the archive, and longer for its turn. */
const SAVED_WITHIN_MS = 60_000;

export function cbmirClient(root: string, timeout = TIMEOUT_MS): CbmirClient {
  return {
    async similar({ uid, ...parameters }, signal) {
      const url = new URL(`cbmir/similar/${encodeURIComponent(uid)}`, root);
      url.search = queryString(parameters);
      return parse(parseSimilar, await getJson(url, signal, timeout));
    },
    async heat({ SOPInstanceUID, ...parameters }, signal) {
      const url = new URL(`cbmir/heatmap/${encodeURIComponent(SOPInstanceUID)}`, root);
      url.search = queryString(parameters);
      return parse(parseHeat, await getJson(url, signal, timeout));
    },
    async report(path, signal) {
      const address = resolve(path, root);
      if (!address) throw new Failure('unexpected');
      return parse(parseReport, await getJson(new URL(address), signal, timeout));
    },
    async feedback(said) {
      await getJson(new URL('cbmir/feedback', root), never(), timeout, [200, 201], posted(said));
    },
    async save(selection) {
      return parse(
        parseSaved,
        await getJson(new URL('cbmir/save', root), never(), SAVED_WITHIN_MS, [201], posted(selection)),
      );
    },
    async status(signal) {
      // A plugin that is switched off says so with status 503.
      return parse(parseStatus, await getJson(new URL('cbmir/status', root), signal, timeout, [200, 503]));
    },
  };
}

/** A signal for what goes on even where the reader leaves. */
function never(): AbortSignal {
  return new AbortController().signal;
}

function posted(document: unknown): Posted {
  return { method: 'POST', body: JSON.stringify(document), headers: { 'Content-Type': 'application/json' } };
}

/** These stay as they are, which URLs allow here; Orthanc 1.10 hands percent-encoded characters to plugins undecoded. */
const PLAIN = /%(3F|2C|3A)/g;

function queryString(parameters: Record<string, string | number>): string {
  return Object.entries(parameters)
    .map(([name, value]) => `${name}=${encodeURIComponent(value).replace(PLAIN, decodeURIComponent)}`)
    .join('&');
}

async function getJson(
  url: URL,
  signal: AbortSignal,
  timeout: number,
  accepted = [200],
  posted: Posted | null = null,
): Promise<unknown> {
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  const timer = setTimeout(() => controller.abort(new Failure('timeout')), timeout);
  try {
    const headers = { Accept: 'application/json', ...posted?.headers };
    return await readJson(url, { ...posted, headers, signal: controller.signal }, accepted);
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    throw error instanceof Failure ? error : new Failure('unreachable');
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

async function readJson(url: URL, init: RequestInit, accepted: number[]): Promise<unknown> {
  const response = await fetch(url, init);
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
