/** Empty cards of the size of real ones: nothing moves when the answer comes. */
export function Skeleton({ cards = 5 }: { cards?: number }) {
  return (
    <ul className="cbmir-cards" aria-hidden="true" data-cy="cbmir-skeleton">
      {Array.from({ length: cards }, (_, index) => (
        <li key={index} className="cbmir-card cbmir-skeleton">
          <span className="cbmir-thumbnail" />
          <span className="cbmir-facts">
            <span className="cbmir-bone" />
            <span className="cbmir-bone" />
            <span className="cbmir-bone" />
          </span>
        </li>
      ))}
    </ul>
  );
}
