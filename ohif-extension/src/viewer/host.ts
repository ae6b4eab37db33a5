/** Shorthands for what the host hands over. */
import type { Cornerstone, CornerstoneTools, Managers, Viewport } from '../ohif';

const UTILITIES = '@ohif/extension-cornerstone.utilityModule.common';

export function cornerstoneOf(managers: Managers): Cornerstone {
  return managers.extensionManager.getModuleEntry(UTILITIES).exports.getCornerstoneLibraries().cornerstone;
}

export function cornerstoneToolsOf(managers: Managers): CornerstoneTools {
  return managers.extensionManager.getModuleEntry(UTILITIES).exports.getCornerstoneLibraries().cornerstoneTools;
}

/** A viewport that shows slices one by one: the only kind that can be searched from and jumped in. */
export type StackViewport = Required<Viewport>;

/** The stack viewport of that id, or null when it is missing, not mounted yet, or shows a volume, a video, a document. */
export function stackViewport(managers: Managers, viewportId: string): StackViewport | null {
  const { cornerstoneViewportService } = managers.servicesManager.services;
  const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportId);
  return viewport?.type === 'stack' ? (viewport as StackViewport) : null;
}
