/**
 * A tree of our own inside the host's.
 *
 * A module loaded at run time cannot import the host's React, and a second copy of it would be most of our bundle: the
 * panel is written with Preact. So the host renders one empty <div> by a component without hooks, and our own root lives
 * in it.
 */
import { render, type ComponentChildren } from 'preact';

import type { HostElement } from './ohif';

/** React 19 hosts refuse elements as React 18 has them, and offer their own function under this name. */
const host = (globalThis as { react?: { createElement?: typeof createElement } }).react;
const createHostElement = host?.createElement ?? createElement;

type Props = Record<string, unknown>;

/** An element as React 18 knows it. */
function createElement(type: string, { ref, ...props }: Props): HostElement {
  return { $$typeof: Symbol.for('react.element'), type, key: null, ref, props, _owner: null };
}

/** Keys that work the panel's own controls; the viewer's hotkeys would take them away from there. */
const OWN_KEYS = ['Enter', ' ', 'Backspace', 'ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight'];

function keepOwnKeys(event: KeyboardEvent): void {
  if (OWN_KEYS.includes(event.key)) event.stopPropagation();
}

export function island(content: () => ComponentChildren): () => HostElement {
  let root: HTMLDivElement | null = null;
  const mount = (element: HTMLDivElement | null) => {
    if (root) render(null, root);
    root = element;
    if (!element) return;
    element.addEventListener('keydown', keepOwnKeys);
    render(content(), element);
  };
  return () => createHostElement('div', { ref: mount, style: { height: '100%', overflow: 'hidden' } });
}
