/**
 * A React tree of our own inside the host's.
 *
 * A module loaded at run time cannot import the host's React, and hooks of a second copy fail inside the host's tree.
 * So the host renders one empty <div> by a component without hooks, and our own root lives in it.
 */
import { createElement, type ReactElement, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';

/** React 19 hosts refuse elements made by React 18 and offer their own under this name. */
const host = (globalThis as { react?: { createElement?: typeof createElement } }).react;
const createHostElement = host?.createElement ?? createElement;

/** Keys that work the panel's own controls; the viewer's hotkeys would take them away from there. */
const OWN_KEYS = ['Enter', ' ', 'Backspace', 'ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight'];

function keepOwnKeys(event: KeyboardEvent): void {
  if (OWN_KEYS.includes(event.key)) event.stopPropagation();
}

export function island(content: () => ReactNode): () => ReactElement {
  let root: Root | null = null;
  const mount = (element: HTMLDivElement | null) => {
    const old = root;
    root = element && createRoot(element);
    element?.addEventListener('keydown', keepOwnKeys);
    root?.render(content());
    // Not at once: the host is in the middle of its own rendering, where React forbids to unmount another root.
    if (old) setTimeout(() => old.unmount(), 0);
  };
  return () => createHostElement('div', { ref: mount, style: { height: '100%', overflow: 'hidden' } });
}
