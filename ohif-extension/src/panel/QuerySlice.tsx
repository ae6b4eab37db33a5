import { formatDate, line } from '../format';
import { describedQuery, type State } from '../state';
import { text } from '../text';
import { Labels } from './Labels';
import { Thumbnail } from './Thumbnail';

/** The slice that was searched with, as the reader saw it. */
export function QuerySlice({ state }: { state: State }) {
  const { query, search } = state;
  const described = describedQuery(state);
  if (!query || !described) return null;
  const date = search.phase === 'found' ? search.answer.query.StudyDate : null;
  const labels = search.phase === 'found' ? search.answer.query.labels : [];
  const place =
    query.NumberOfFrames > 1
      ? text.frame(query.frame, query.NumberOfFrames)
      : query.InstanceNumber && text.slice(query.InstanceNumber);
  return (
    <section className="cbmir-query" aria-label={text.query} data-cy="cbmir-query">
      <Thumbnail url={query.picture ?? (search.phase === 'found' ? search.answer.query.thumbnailUrl : null)} />
      <span className="cbmir-facts">
        <span className="cbmir-caption">{text.query}</span>
        <span className="cbmir-line">{line(described.Modality, described.SeriesDescription)}</span>
        <span className="cbmir-line cbmir-muted">{line(place, date ? formatDate(date) : null)}</span>
        <Labels labels={labels} />
      </span>
    </section>
  );
}
