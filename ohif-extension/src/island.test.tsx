import { act } from '@testing-library/preact';
import { useEffect } from 'preact/hooks';
import { afterEach, expect, it, vi } from 'vitest';

import { island } from './island';

type Mount = (element: HTMLDivElement | null) => void;

const left = vi.fn();

function Content() {
  useEffect(() => left, []);
  return <button type="button">inside</button>;
}

/** What the host is given, and a place for it in the page. */
function shown() {
  const element = island(() => <Content />)();
  const place = document.createElement('div');
  document.body.append(place);
  return { element, mount: element.ref as Mount, place };
}

afterEach(() => document.body.replaceChildren());

it('hands the host an element as React 18 has them', () => {
  const { element } = shown();
  expect(element).toMatchObject({ $$typeof: Symbol.for('react.element'), type: 'div', key: null });
  expect(element.props).toEqual({ style: { height: '100%', overflow: 'hidden' } });
});

it('fills the place that the host gives, and empties it when the host takes it away', async () => {
  const { mount, place } = shown();
  await act(() => mount(place));
  expect(place.textContent).toBe('inside');
  await act(() => mount(null));
  expect(place.childElementCount).toBe(0);
  expect(left).toHaveBeenCalledOnce();
});

it('keeps the keys of its own controls from the hotkeys of the viewer', async () => {
  const { mount, place } = shown();
  const hotkey = vi.fn();
  document.addEventListener('keydown', hotkey);
  await act(() => mount(place));
  for (const key of ['Enter', 'ArrowDown', 'f']) {
    place.firstElementChild?.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  }
  document.removeEventListener('keydown', hotkey);
  expect(hotkey.mock.calls.map(([event]) => (event as KeyboardEvent).key)).toEqual(['f']);
});
