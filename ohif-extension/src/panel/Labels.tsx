import type { Label } from '../answer';
import { text } from '../text';

/** What a case was found to be, each with where that is known from. */
export function Labels({ labels }: { labels: Label[] }) {
  if (labels.length === 0) return null;
  // Study and series may say the same.
  const distinct = new Map(labels.map((label) => [`${label.label}\n${label.provenance ?? ''}`, label]));
  return (
    <span className="cbmir-labels">
      {[...distinct].map(([key, { label, provenance }]) => (
        <span key={key} className="cbmir-label" title={provenance ? text.provenance(provenance) : ''}>
          <b>{label}</b>
          {provenance && <span className="cbmir-provenance">{provenance}</span>}
        </span>
      ))}
    </span>
  );
}
