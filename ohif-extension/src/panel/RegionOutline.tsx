import type { Region } from '../viewer/region';

/** The region on the picture that it was drawn on. */
export function RegionOutline({ region: { outline } }: { region: Region }) {
  return (
    <svg className="cbmir-region" viewBox="0 0 1 1" aria-hidden="true" data-cy="cbmir-region">
      <polygon points={outline.map((corner) => corner.join(',')).join(' ')} />
    </svg>
  );
}
