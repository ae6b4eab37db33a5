/** What is said of the nearest patients, against the archive. Counts and their uncertainty; nothing is concluded. */
import { percent } from '../format';
import { holds, type State } from '../state';
import type { LabelShare, Statistics as Figures } from '../statistics';
import { text } from '../text';
import { SmallCase } from './SmallCase';

export function Statistics({ state: { search, opened } }: { state: State }) {
  if (search.phase !== 'found' || !search.answer.statistics) return null;
  const { statistics, calibration } = search.answer;
  const { counterExample } = statistics;
  return (
    <section className="cbmir-statistics" aria-label={text.statistics} data-cy="cbmir-statistics">
      <h3>{text.statistics}</h3>
      {statistics.labels.length > 0 && <Shares statistics={statistics} />}
      <p className="cbmir-muted">{statistics.note}</p>
      {calibration.message && <p className="cbmir-muted">{calibration.message}</p>}
      {counterExample && (
        <div data-cy="cbmir-counter-row">
          <h3>{text.counterExample}</h3>
          <SmallCase one={counterExample} isOpen={holds(counterExample, opened)} cy="counter" withLabels />
        </div>
      )}
    </section>
  );
}

function Shares({ statistics: { labels, labelled, patients, verifiedOnly } }: { statistics: Figures }) {
  return (
    <>
      <p>{verifiedOnly ? text.labelledVerified(labelled, patients) : text.labelled(labelled, patients)}</p>
      <ul>
        {labels.map((share) => (
          <Share key={share.label} share={share} labelled={labelled} />
        ))}
      </ul>
    </>
  );
}

function Share({ share, labelled }: { share: LabelShare; labelled: number }) {
  const { label, patients, interval, archiveShare } = share;
  const [low, high] = interval.map(percent) as [number, number];
  return (
    <li className="cbmir-share" data-cy="cbmir-share">
      <span className="cbmir-share-label" title={label}>
        {label}
      </span>
      <span>{text.shareOf(patients, labelled)}</span>
      <span className="cbmir-interval" title={`${text.interval(low, high)}. ${text.intervalExplained}`}>
        <span style={{ left: `${low}%`, width: `${high - low}%` }} />
        {archiveShare !== null && <i style={{ left: `${percent(archiveShare)}%` }} />}
      </span>
      <span className="cbmir-muted cbmir-share-words">{inWords(share, low, high)}</span>
    </li>
  );
}

function inWords({ archiveShare, enrichment, compared }: LabelShare, low: number, high: number): string {
  const parts = [text.interval(low, high)];
  if (archiveShare !== null) parts.push(text.archiveShare(percent(archiveShare)));
  if (compared !== null && enrichment !== null) parts.push(text.enrichments[compared](enrichment.toFixed(1)));
  return parts.join(' · ');
}
