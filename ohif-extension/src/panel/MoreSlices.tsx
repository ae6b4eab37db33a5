import type { SliceAnswer } from '../answer';
import { formatNearness } from '../format';
import { sliceKey } from '../state';
import { text } from '../text';
import { useService } from '../useSimilarCases';
import { Thumbnail } from './Thumbnail';

/** Small pictures, each opens its slice. */
export function MoreSlices({ slices, opened }: { slices: SliceAnswer[]; opened: string | null }) {
  const service = useService();
  return (
    <ul className="cbmir-slices">
      {slices.map((slice) => {
        const similarity = formatNearness(slice);
        return (
          <li key={sliceKey(slice)}>
            <button
              type="button"
              className="cbmir-slice"
              data-cy="cbmir-slice"
              aria-current={sliceKey(slice) === opened}
              aria-label={text.openSlice(similarity)}
              onClick={() => void service.open(slice)}
            >
              <Thumbnail url={slice.thumbnailUrl} />
              {similarity}
            </button>
          </li>
        );
      })}
    </ul>
  );
}
