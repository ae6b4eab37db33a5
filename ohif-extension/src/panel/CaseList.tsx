import type { TargetedKeyboardEvent } from 'preact';
import { useRef } from 'preact/hooks';

import type { CaseAnswer } from '../answer';
import { text } from '../text';
import { CaseCard } from './CaseCard';

/** The cards, best first. Arrow keys move between them, Enter opens one. */
export function CaseList({ cases, opened }: { cases: CaseAnswer[]; opened: string | null }) {
  const list = useRef<HTMLUListElement>(null);
  const move = (event: TargetedKeyboardEvent<HTMLUListElement>) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const cards = [...(list.current?.querySelectorAll<HTMLButtonElement>('.cbmir-card-main') ?? [])];
    const at = cards.indexOf(event.target as HTMLButtonElement);
    if (!by || at < 0) return;
    event.preventDefault(); // the list would scroll as well
    cards[at + by]?.focus();
  };
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- it only helps between its buttons
    <ul ref={list} className="cbmir-cards" aria-label={text.panelTitle} data-cy="cbmir-cards" onKeyDown={move}>
      {cases.map((one) => (
        <CaseCard key={`${one.SeriesInstanceUID} ${one.rank}`} one={one} opened={opened} />
      ))}
    </ul>
  );
}
