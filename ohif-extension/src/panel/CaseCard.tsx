/** One similar case: its best slice, what is known of it, and its other matching slices. */
import { useId, useState } from 'preact/hooks';

import type { CaseAnswer } from '../answer';
import { formatDate, formatName, formatPerson, line } from '../format';
import { keyOf } from '../keeper';
import { holds } from '../state';
import { text } from '../text';
import { useService, useSimilarCases } from '../useSimilarCases';
import { Icon } from './Icon';
import { IconButton } from './IconButton';
import { Labels } from './Labels';
import { MoreSlices } from './MoreSlices';
import { SimilarityBar } from './SimilarityBar';
import { Thumbnail } from './Thumbnail';
import { Verdicts } from './Verdicts';

export function CaseCard({ one, opened }: { one: CaseAnswer; opened: string | null }) {
  const service = useService();
  const { query } = useSimilarCases();
  // What a reader says is of two slices.
  const isVolume = query?.scope !== undefined;
  const [best, ...others] = one.slices;
  if (!best) return null;
  const isOpen = holds(one, opened);
  return (
    <li className={isOpen ? 'cbmir-card cbmir-card-open' : 'cbmir-card'} data-cy="cbmir-card">
      <button
        type="button"
        className="cbmir-card-main"
        data-cy="cbmir-hit"
        aria-current={isOpen}
        title={text.openCase(one.rank)}
        onClick={() => void service.openCase(one)}
      >
        <span className="cbmir-card-picture">
          <Thumbnail url={best.thumbnailUrl} />
          <span className="cbmir-rank">{text.rank(one.rank)}</span>
        </span>
        <Facts one={one} />
      </button>
      <span className="cbmir-thumbs">
        <Choice one={one} />
        {!isVolume && <Verdicts one={one} />}
      </span>
      {others.length > 0 && <Others slices={others} opened={opened} />}
    </li>
  );
}

function Choice({ one }: { one: CaseAnswer }) {
  const service = useService();
  const { chosen } = useSimilarCases();
  return (
    <IconButton
      icon="keep"
      cy="choose"
      label={text.choose(one.rank)}
      className="cbmir-thumb"
      aria-pressed={chosen.includes(keyOf(one))}
      onClick={() => service.keeper.toggle(one)}
    />
  );
}

function Facts({ one }: { one: CaseAnswer }) {
  const { patient, labels, Modality, SeriesDescription, StudyDescription, StudyDate, reportUrl } = one;
  const series = line(Modality, SeriesDescription ?? StudyDescription);
  const name = patient?.PatientName ? formatName(patient.PatientName) : null;
  return (
    <span className="cbmir-facts">
      <SimilarityBar of={one} />
      <Labels labels={labels} />
      {series && (
        <span className="cbmir-line" title={line(StudyDescription, SeriesDescription)}>
          {series}
        </span>
      )}
      <Fact>{line(StudyDate ? formatDate(StudyDate) : null, formatPerson(patient))}</Fact>
      <Fact>{name}</Fact>
      {reportUrl && <Report url={reportUrl} />}
    </span>
  );
}

/** One line, cut off where the card ends; all of it when pointed at. */
function Fact({ children }: { children: string | null }) {
  return children ? (
    <span className="cbmir-line cbmir-muted" title={children}>
      {children}
    </span>
  ) : null;
}

/** The first lines of the report, all of them when pointed at. Its place is kept while it is fetched. */
function Report({ url }: { url: string }) {
  const lines = useSimilarCases().reports[url] ?? [];
  return (
    <span className="cbmir-report" data-cy="cbmir-report" title={lines.join('\n')}>
      {lines.length > 0 && <span className="cbmir-caption">{text.report} </span>}
      {lines.join(' ')}
    </span>
  );
}

function Others({ slices, opened }: { slices: CaseAnswer['slices']; opened: string | null }) {
  const [expanded, setExpanded] = useState(false);
  const listId = useId();
  return (
    <>
      <button
        type="button"
        className="cbmir-more"
        data-cy="cbmir-more"
        aria-expanded={expanded}
        aria-controls={listId}
        onClick={() => setExpanded(!expanded)}
      >
        <Icon name={expanded ? 'less' : 'more'} size={12} />
        {text.moreSlices(slices.length)}
      </button>
      <div id={listId} className="cbmir-card-list" hidden={!expanded}>
        {expanded && <MoreSlices slices={slices} opened={opened} />}
      </div>
    </>
  );
}
