/** Scroll two viewports together, from the slices that they show when they are linked. */
import type { Managers } from '../ohif';
import { commonPositions, nearest } from './geometry';
import { cornerstoneOf, stackViewport, type StackViewport } from './host';
import { indexOfSlice, type SliceName } from './imageId';

/** From an index in one stack to the index of the matching slice in the other. */
type Follow = (index: number) => number;

/** Slices that belong side by side, whatever their positions. */
export type Pairs = readonly (readonly [left: SliceName, right: SliceName])[];

/** Returns the function that ends the link. */
export function linkScrolling(managers: Managers, leftId: string, rightId: string, pairs: Pairs = []): () => void {
  const [left, right] = [stackViewport(managers, leftId), stackViewport(managers, rightId)];
  if (!left || !right) return () => undefined;
  const [toRight, toLeft] = matched(managers, left, right, pairs) ?? matching(managers, left, right);
  const event = cornerstoneOf(managers).Enums.Events.STACK_NEW_IMAGE;
  // Moving the follower raises the same event there, which must not come back.
  const expected = new Map<StackViewport, number>();
  const listener = (leader: StackViewport, follower: StackViewport, follow: Follow) => () => {
    const index = leader.getCurrentImageIdIndex();
    if (expected.get(leader) === index) return void expected.delete(leader);
    expected.delete(leader);
    const target = follow(index);
    if (target === follower.getCurrentImageIdIndex()) return;
    expected.set(follower, target);
    void follower.setImageIdIndex(target);
  };
  const [onLeft, onRight] = [listener(left, right, toRight), listener(right, left, toLeft)];
  left.element.addEventListener(event, onLeft);
  right.element.addEventListener(event, onRight);
  return () => {
    left.element.removeEventListener(event, onLeft);
    right.element.removeEventListener(event, onRight);
  };
}

/** By pairs; a slice that is in none goes with the nearest in its stack that is. Null without pairs. */
function matched(managers: Managers, left: StackViewport, right: StackViewport, pairs: Pairs): [Follow, Follow] | null {
  const cornerstone = cornerstoneOf(managers);
  const [atLeft, atRight] = [left.getImageIds(), right.getImageIds()];
  const places = pairs
    .map(([one, other]) => [indexOfSlice(cornerstone, atLeft, one), indexOfSlice(cornerstone, atRight, other)] as const)
    .filter(([one, other]) => one >= 0 && other >= 0);
  if (places.length === 0) return null;
  const [lefts, rights] = [places.map(([one]) => one), places.map(([, other]) => other)];
  const follow = (from: number[], to: number[]) => (index: number) => to[nearest(from, index)] ?? 0;
  return [follow(lefts, rights), follow(rights, lefts)];
}

function matching(managers: Managers, left: StackViewport, right: StackViewport): [Follow, Follow] {
  const { metaData } = cornerstoneOf(managers);
  const instances = (viewport: StackViewport) => viewport.getImageIds().map((id) => metaData.get('instance', id));
  const positions = commonPositions(instances(left), instances(right));
  const [atLeft, atRight] = [left.getCurrentImageIdIndex(), right.getCurrentImageIdIndex()];
  if (positions) {
    const [p, q] = positions;
    const shift = (q[atRight] ?? 0) - (p[atLeft] ?? 0);
    return [(index) => nearest(q, (p[index] ?? 0) + shift), (index) => nearest(p, (q[index] ?? 0) - shift)];
  }
  const clamp = (index: number, viewport: StackViewport) =>
    Math.min(Math.max(index, 0), viewport.getImageIds().length - 1);
  return [
    (index) => clamp(index + atRight - atLeft, right),
    (index) => clamp(index + atLeft - atRight, left),
  ];
}
