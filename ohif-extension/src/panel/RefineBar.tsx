/** Rank again by what was marked, and back. */
import { isSameRefinement, refinementBy } from '../marks';
import type { State } from '../state';
import { text } from '../text';
import { useService } from '../useSimilarCases';

export function RefineBar({ state: { query, marks, refinement } }: { state: State }) {
  const service = useService();
  // What was marked are slices: it says nothing of a series or study.
  if (query?.scope || (marks.length === 0 && !refinement)) return null;
  const possible = refinementBy(marks);
  const isNew = possible !== null && !isSameRefinement(possible, refinement);
  return (
    <div className="cbmir-refine" data-cy="cbmir-refine-bar" data-state={refinement ? 'refined' : 'plain'}>
      <span>{refinement ? text.refined : text.marks(marks.length)}</span>
      {isNew && (
        <button
          type="button"
          className="cbmir-button"
          data-cy="cbmir-refine"
          title={text.refineTitle}
          onClick={() => service.refine()}
        >
          {text.refine}
        </button>
      )}
      {refinement && (
        <button
          type="button"
          className="cbmir-button"
          data-cy="cbmir-unrefine"
          title={text.unrefineTitle}
          onClick={() => service.unrefine()}
        >
          {text.unrefine}
        </button>
      )}
    </div>
  );
}
