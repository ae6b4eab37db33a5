import type { Label } from '../answer';
import { text } from '../text';

/** What a case was found to be, each with where that is known from. */
export function Labels({ labels }: { labels: Label[] }) {
  if (labels.length === 0) return null;
  return (
    <span className="cbmir-labels">
      {labels.map(({ label, provenance }) => (
        <span
          key={`${label} ${provenance}`}
          className="cbmir-label"
          title={provenance ? text.provenance(provenance) : ''}
        >
          <b>{label}</b>
          {provenance && <span className="cbmir-provenance">{provenance}</span>}
        </span>
      ))}
    </span>
  );
}
