/** Thumbs up and down for one case. */
import type { CaseAnswer } from '../answer';
import { markOf, type Verdict } from '../marks';
import { text } from '../text';
import { useService, useSimilarCases } from '../useSimilarCases';
import { IconButton } from './IconButton';

export function Verdicts({ one }: { one: CaseAnswer }) {
  const service = useService();
  const { marks } = useSimilarCases();
  const mark = markOf(one, marks);
  const slice = mark?.slice ?? one.slices[0];
  if (!slice) return null;
  const thumb = (verdict: Verdict, icon: 'up' | 'down', label: string) => (
    <IconButton
      icon={icon}
      cy={verdict}
      label={label}
      className="cbmir-thumb"
      aria-pressed={mark?.verdict === verdict}
      onClick={() => service.mark(slice, mark?.verdict === verdict ? null : verdict)}
    />
  );
  return (
    <>
      {thumb('similar', 'up', text.markSimilar(one.rank))}
      {thumb('different', 'down', text.markDifferent(one.rank))}
    </>
  );
}
