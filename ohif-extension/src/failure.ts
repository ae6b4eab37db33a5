/** All that can go wrong on the way to an answer; each has its own words in text.ts. */
export type FailureKind =
  | 'unsupported' // the viewport shows no slice
  | 'unauthorised' // 401
  | 'forbidden' // 403
  | 'notIndexed' // 404
  | 'unavailable' // 503: starting, disabled or busy; /cbmir/status says which
  | 'timeout'
  | 'unreachable' // no answer at all
  | 'unexpected'; // an answer that is none: another status, no JSON, another shape

export class Failure extends Error {
  constructor(
    readonly kind: FailureKind,
    /** The plugin's own words, if it sent any. */
    readonly detail: string | null = null,
    /** Seconds, from the header Retry-After. */
    readonly retryAfter: number | null = null,
  ) {
    super(kind);
  }
}

const KIND_OF_STATUS: Record<number, FailureKind> = {
  401: 'unauthorised',
  403: 'forbidden',
  404: 'notIndexed',
  503: 'unavailable',
};

/** Some versions of Orthanc drop the body of an error, so the status alone decides; the body only adds words. */
export async function failureOf(response: Response): Promise<Failure> {
  const kind = KIND_OF_STATUS[response.status] ?? 'unexpected';
  const seconds = Number(response.headers.get('Retry-After'));
  return new Failure(kind, await messageIn(response), seconds > 0 ? seconds : null);
}

async function messageIn(response: Response): Promise<string | null> {
  try {
    const body = (await response.json()) as { error?: { message?: unknown } } | null;
    return typeof body?.error?.message === 'string' ? body.error.message : null;
  } catch {
    return null;
  }
}
