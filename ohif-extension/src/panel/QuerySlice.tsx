import { formatDate, line } from '../format';
import { describedQuery, type State } from '../state';
import { text } from '../text';
import type { CurrentImage } from '../viewer/currentImage';
import type { Region } from '../viewer/region';
import type { Volume } from '../volume';
import { useService } from '../useSimilarCases';
import { Icon } from './Icon';
import { Labels } from './Labels';
import { RegionOutline } from './RegionOutline';
import { Thumbnail } from './Thumbnail';

/** The slice that was searched with, as the reader saw it. */
export function QuerySlice({ state }: { state: State }) {
  const { query, search } = state;
  const described = describedQuery(state);
  if (!query || !described) return null;
  const date = search.phase === 'found' ? search.answer.query.StudyDate : null;
  const labels = search.phase === 'found' ? search.answer.query.labels : [];
  const volume = search.phase === 'found' ? search.answer.volume : undefined;
  const place =
    query.NumberOfFrames > 1
      ? text.frame(query.frame, query.NumberOfFrames)
      : query.InstanceNumber && text.slice(query.InstanceNumber);
  return (
    <section className="cbmir-query" aria-label={text.query} data-cy="cbmir-query">
      <span className="cbmir-query-picture">
        <Thumbnail url={query.picture ?? (search.phase === 'found' ? search.answer.query.thumbnailUrl : null)} />
        {query.region && <RegionOutline region={query.region} />}
      </span>
      <span className="cbmir-facts">
        <span className="cbmir-caption">{caption(query)}</span>
        <span className="cbmir-line">{line(described.Modality, described.SeriesDescription)}</span>
        <span className="cbmir-line cbmir-muted">{line(place, date ? formatDate(date) : null)}</span>
        {volume && <VolumeLine volume={volume} />}
        {query.region ? <RegionLine region={query.region} /> : <Labels labels={labels} />}
        {!query.region && <Scope scope={query.scope ?? 'slice'} />}
      </span>
    </section>
  );
}

function caption({ region, scope }: CurrentImage): string {
  if (region) return text.regionQuery;
  return scope ? text.volumeQuery[scope] : text.query;
}

/** How much of the series or study takes part. */
function VolumeLine({ volume: { series, message } }: { volume: Volume }) {
  const slices = series.reduce((sum, one) => sum + one.slices.length, 0);
  return (
    <span className="cbmir-muted" data-cy="cbmir-volume">
      {text.compared(slices, series.length)} {message}
    </span>
  );
}

const SCOPES = ['slice', 'series', 'study'] as const;

/** The slice, or all of its series or study. */
function Scope({ scope }: { scope: (typeof SCOPES)[number] }) {
  const service = useService();
  return (
    <span className="cbmir-scope" role="group" aria-label={text.scope}>
      {SCOPES.map((one) => (
        <button
          key={one}
          type="button"
          className="cbmir-button cbmir-small"
          data-cy={`cbmir-scope-${one}`}
          aria-pressed={one === scope}
          title={text.scopeTitles[one]}
          onClick={() => one !== scope && service.findSimilarToWhole(one)}
        >
          {text.scopes[one]}
        </button>
      ))}
    </span>
  );
}

/** How large the region is, and the way back to the whole slice. */
function RegionLine({ region: { width, height } }: { region: Region }) {
  const service = useService();
  return (
    <span className="cbmir-region-line">
      <span className="cbmir-muted">{text.regionSize(Math.round(width), Math.round(height))}</span>
      <button
        type="button"
        className="cbmir-button cbmir-small"
        data-cy="cbmir-whole"
        title={text.wholeSliceTitle}
        onClick={() => service.findSimilarToWhole()}
      >
        <Icon name="close" size={12} />
        {text.wholeSlice}
      </button>
    </span>
  );
}
